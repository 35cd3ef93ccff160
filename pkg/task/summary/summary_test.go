package summary_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headrace-ci/headrace/pkg/task/summary"
	"github.com/headrace-ci/headrace/test/fixture"
)

func TestSummary(t *testing.T) {
	dir := t.TempDir()
	cases := map[string]struct {
		opts   summary.Options
		source string // what source-build left
		want   []string
		not    string
	}{
		"a build":               {summary.Options{BuildTaskStatus: "Succeeded"}, "", []string{"Build Summary:", "Build repository: https://git.example/r", "Generated Image is in : reg.example/app:1", "End Summary"}, "Source Image"},
		"a build that failed":   {summary.Options{BuildTaskStatus: "Failed"}, "", []string{"ended as Failed"}, "reg.example/app:1"},
		"a build with sources":  {summary.Options{BuildTaskStatus: "Succeeded", WorkspaceDir: dir}, `{"image_url":"reg.example/app:src"}`, []string{"Generated Source Image is in : reg.example/app:src"}, "hunter2"},
		"a source that dropped": {summary.Options{BuildTaskStatus: "Succeeded", WorkspaceDir: dir}, `{"status":"drop"}`, []string{"End Summary"}, "Source Image"},
		"a workspace without":   {summary.Options{BuildTaskStatus: "Succeeded", WorkspaceDir: t.TempDir()}, "", []string{"End Summary"}, "Source Image"},
	}
	for what, tc := range cases {
		t.Run(what, func(t *testing.T) {
			if tc.source != "" {
				if err := os.WriteFile(filepath.Join(dir, "source_build_result.json"), []byte(tc.source), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			tc.opts.GitURL, tc.opts.ImageURL = "https://me:hunter2@git.example/r", "reg.example/app:1"
			var out bytes.Buffer
			if err := summary.Run(tc.opts, &out); err != nil {
				t.Fatal(err)
			}
			for _, want := range tc.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("no %q in:\n%s", want, out.String())
				}
			}
			if strings.Contains(out.String(), tc.not) || strings.Contains(out.String(), "hunter2") {
				t.Errorf("%q in:\n%s", tc.not, out.String())
			}
		})
	}
	if err := os.WriteFile(filepath.Join(dir, "source_build_result.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := summary.Run(summary.Options{WorkspaceDir: dir}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "source_build_result.json") {
		t.Errorf("a result that is not JSON: %v", err)
	}
}

func TestHostileParams(t *testing.T) {
	fixture.Hostile(t, summary.Command)
}
