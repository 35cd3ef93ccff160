package sastunicodecheck_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/headrace-ci/headrace/pkg/artifact"
	"github.com/headrace-ci/headrace/pkg/task/sastunicodecheck"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/testoutput"
	"github.com/headrace-ci/headrace/test/fixture"
)

// built is a source and the image that was built from it.
type built struct {
	source string // URI
	image  name.Digest
}

func build(t *testing.T, text string) built {
	t.Helper()
	repo, err := name.NewRepository(fixture.Registry(t) + "/app")
	if err != nil {
		t.Fatal(err)
	}
	image, err := random.Image(16, 1)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(repo.Tag("1"), image); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if text != "" {
		if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	uris, err := artifact.Create(t.Context(), artifact.CreateOptions{Store: repo.Name() + ":git", Paths: map[string]string{"S": dir}})
	if err != nil {
		t.Fatal(err)
	}
	return built{source: uris["S"], image: repo.Digest(digest.String())}
}

func (b built) args() []string {
	return []string{"--source-artifact=" + b.source, "--image-url=" + b.image.Context().Name() + ":1", "--image-digest=" + b.image.DigestStr()}
}

func check(t *testing.T, args ...string) (int, string, testoutput.Output) {
	t.Helper()
	dir := t.TempDir()
	cmd := sastunicodecheck.Command()
	cmd.SetArgs(append([]string{"--results-dir=" + dir, "--work-dir=" + t.TempDir()}, args...))
	var stderr bytes.Buffer
	code := taskcli.Run(t.Context(), cmd, &stderr)
	raw, err := os.ReadFile(filepath.Join(dir, testoutput.Name))
	if err != nil {
		t.Fatal(err)
	}
	verdict, err := testoutput.Parse(string(raw))
	if err != nil {
		t.Fatal(err)
	}
	return code, stderr.String(), verdict
}

func TestVerdict(t *testing.T) {
	cases := map[string]struct {
		text     string
		want     string
		failures int
	}{
		"a clean source":         {text: "package main\n", want: testoutput.Success},
		"a source that deceives": {text: "package main // \u202e\n", want: testoutput.Failure, failures: 1},
		"no source":              {want: testoutput.Skipped},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			b := build(t, tc.text)

			code, stderr, verdict := check(t, b.args()...)

			if code != 0 || verdict.Result != tc.want || verdict.Failures != tc.failures {
				t.Errorf("exit code = %d, verdict = %v, want %s: %s", code, verdict, tc.want, stderr)
			}
			if got := attachedResults(t, b.image); got != tc.failures {
				t.Errorf("the report has %d results, want %d", got, tc.failures)
			}
		})
	}
}

// TestWorkspace looks at a source that is there already.
func TestWorkspace(t *testing.T) {
	b, dir := build(t, ""), t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "source"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "source", "main.go"), []byte("package main // \u202e\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	code, stderr, verdict := check(t, append(b.args(), "--source-artifact=", "--work-dir="+dir)...)
	if code != 0 || verdict.Result != testoutput.Failure {
		t.Errorf("exit code = %d, verdict = %v: %s", code, verdict, stderr)
	}
}

// attachedResults counts the results in the report attached to the image.
func attachedResults(t *testing.T, image name.Digest) int {
	t.Helper()
	referrers, err := remote.Referrers(image)
	if err != nil {
		t.Fatal(err)
	}
	index, err := referrers.IndexManifest()
	if err != nil || len(index.Manifests) != 1 {
		t.Fatalf("referrers = %+v, %v, want one report", index, err)
	}
	attached, err := remote.Image(image.Context().Digest(index.Manifests[0].Digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	layers, err := attached.Layers()
	if err != nil {
		t.Fatal(err)
	}
	content, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	raw, err := io.ReadAll(content)
	if err != nil {
		t.Fatal(err)
	}
	var log struct{ Runs []struct{ Results []any } }
	if err := json.Unmarshal(raw, &log); err != nil {
		t.Fatal(err)
	}
	return len(log.Runs[0].Results)
}

func TestThereIsAlwaysAVerdict(t *testing.T) {
	b := build(t, "package main\n")
	missing := "oci:" + b.image.Context().Name() + "@sha256:" + strings.Repeat("0", 64)
	cases := map[string]struct {
		args []string // over good ones
		code int
		text string // in the note
	}{
		"the source is gone":             {args: []string{"--source-artifact=" + missing}, text: "fetching artifact"},
		"the image is gone":              {args: []string{"--image-digest=sha256:" + strings.Repeat("0", 64)}, text: "resolving"},
		"the folder is not there":        {args: []string{"--target-dirs=nowhere"}, text: "nowhere"},
		"a folder outside":               {args: []string{"--target-dirs=../.."}, code: 2, text: "leaves the source"},
		"no source":                      {args: []string{"--source-artifact="}, code: 2, text: "--source-artifact: is empty"},
		"no image":                       {args: []string{"--image-url="}, code: 2, text: "--image-url"},
		"false positives are to come":    {args: []string{"--kfp-git-url=https://example.com/x"}, code: 2, text: "not supported yet"},
		"an argument nobody understands": {args: []string{"--find-unicode-control-args=-c x"}, code: 2, text: "-c"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			code, stderr, verdict := check(t, append(b.args(), tc.args...)...)
			if code != tc.code || verdict.Result != testoutput.Error || !strings.Contains(verdict.Note, tc.text) {
				t.Errorf("exit code = %d, verdict = %v, want %d and a note with %q: %s", code, verdict, tc.code, tc.text, stderr)
			}
		})
	}
}
