package prefetchdependencies_test

import (
	"bytes"
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/pkg/artifact"
	"github.com/headrace-ci/headrace/pkg/task/prefetchdependencies"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/test/fixture"
)

func runTask(t *testing.T, args ...string) (code int, stderr string, results map[string]string) {
	t.Helper()
	dir := t.TempDir()
	cmd := prefetchdependencies.Command()
	cmd.SetArgs(append(args, "--results-dir="+dir))
	var out bytes.Buffer
	code = taskcli.Run(context.Background(), cmd, &out)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	results = map[string]string{}
	for _, entry := range entries {
		raw, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		results[entry.Name()] = string(raw)
	}
	return code, out.String(), results
}

func TestNothingToFetchMovesNothing(t *testing.T) {
	uri := "oci:nowhere.invalid/x@sha256:" + strings.Repeat("0", 64)
	code, stderr, results := runTask(t, "--input=", "--source-artifact="+uri, "--oci-storage=nowhere.invalid/x:y")
	if code != 0 {
		t.Fatalf("exit code = %d: %s", code, stderr)
	}
	want := map[string]string{"SOURCE_ARTIFACT": uri, "CACHI2_ARTIFACT": ""}
	if diff := cmp.Diff(want, results); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

func TestFetchedFilesAreKeptAsAnArtifact(t *testing.T) {
	store := fixture.Registry(t) + "/app"
	src := t.TempDir()
	if err := os.WriteFile(filepath.Join(src, "go.mod"), []byte("module example.com/app\n\ngo 1.21\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	uris, err := artifact.Create(t.Context(), artifact.CreateOptions{Store: store + ":git", Paths: map[string]string{"S": src}})
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(nil)
	defer proxy.Close()
	t.Setenv("HERMETO_GOMOD__PROXY_URL", proxy.URL)

	code, stderr, results := runTask(t, "--input=gomod", "--source-artifact="+uris["S"], "--oci-storage="+store+":prefetch", "--work-dir="+t.TempDir())

	if code != 0 {
		t.Fatalf("exit code = %d: %s", code, stderr)
	}
	if results["SOURCE_ARTIFACT"] != uris["S"] {
		t.Errorf("SOURCE_ARTIFACT = %q, want the source handed on", results["SOURCE_ARTIFACT"])
	}
	kept := t.TempDir()
	if err := artifact.Use(t.Context(), results["CACHI2_ARTIFACT"], kept); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"cachi2.env":        "export GOPROXY=file:///cachi2/output/deps/gomod/pkg/mod/cache/download\n",
		"prefetch.env":      "export GOTOOLCHAIN=local\n",
		"prefetch-env.json": `{"name":"GOSUMDB","value":"off"}`,
		"output/bom.json":   `"pkg:golang/example.com/app?type=module"`,
	} {
		raw, err := os.ReadFile(filepath.Join(kept, name))
		if err != nil {
			t.Error(err)
			continue
		}
		if !strings.Contains(string(raw), want) {
			t.Errorf("%s = %s, want it to contain %q", name, raw, want)
		}
	}
}

func TestCalledWrongly(t *testing.T) {
	cases := map[string]struct {
		args []string
		text string
	}{
		"a package manager to come": {args: []string{"--input=pnpm"}, text: `--input: dependencies of type "pnpm" cannot be prefetched`},
		"a mode there is not":       {args: []string{"--mode=lax"}, text: "--mode:"},
		"an SBOM format to come":    {args: []string{"--sbom-type=cyclonedx"}, text: "--sbom-type:"},
		"settings to come":          {args: []string{"--config-file-content=gomod_strict_vendors: true"}, text: "gomod_strict_vendors"},
		"settings that are broken":  {args: []string{"--config-file-content={"}, text: "not YAML"},
		"no place to keep it":       {args: []string{"--input=gomod"}, text: "--oci-storage: is empty"},
		"no source":                 {args: []string{"--input=gomod", "--oci-storage=r.test/x:y"}, text: "--source-artifact: is empty"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			code, stderr, results := runTask(t, tc.args...)
			if code != 2 || !strings.Contains(stderr, tc.text) {
				t.Errorf("exit code = %d, want 2, with %q: %s", code, tc.text, stderr)
			}
			if len(results) != 0 {
				t.Errorf("results = %v, want none", results)
			}
		})
	}
}

func TestTheProjectDoesNotChooseTheProxy(t *testing.T) {
	code, stderr, _ := runTask(t, "--config-file-content=goproxy_url: https://evil.test")
	if code != 0 || !strings.Contains(stderr, "setting=goproxy_url") {
		t.Errorf("exit code = %d: %s", code, stderr)
	}
}
