package test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/headrace-ci/headrace/pkg/run"
	"github.com/headrace-ci/headrace/pkg/tekton/bundle"
)

// flags are those of .ko.yaml.
var flags = []string{"-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid="}

// TestBinariesDependOnTheirCodeAlone builds a task's program, and again with a
// comment more in a file that it links: users pin our tasks by digest, and
// shall not be told of a change that is none.
func TestBinariesDependOnTheirCodeAlone(t *testing.T) {
	dir := t.TempDir()
	linked, err := filepath.Abs("../pkg/oci/oci.go")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(linked)
	if err != nil {
		t.Fatal(err)
	}
	commented := filepath.Join(dir, "oci.go")
	if err := os.WriteFile(commented, append(source, "\n// A comment more.\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {linked: commented}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o644); err != nil {
		t.Fatal(err)
	}
	first, second := build(t, filepath.Join(dir, "first")), build(t, filepath.Join(dir, "second"), "-overlay="+file)
	if first != second {
		t.Errorf("a comment changed the program: %s and %s", first, second)
	}
}

func build(t *testing.T, out string, more ...string) string {
	t.Helper()
	args := append(append([]string{"build", "-o", out}, flags...), more...)
	if err := run.InDir(t.Context(), "..", []string{"CGO_ENABLED=0"}, "go", append(args, "./cmd/artifact")...); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(content))
}

// TestBundlesAreReproducible packs the catalog twice.
func TestBundlesAreReproducible(t *testing.T) {
	for _, entry := range tasks(t) {
		object := bundle.Object{APIVersion: "tekton.dev/v1", Kind: entry.Kind, Name: entry.Name, Raw: entry.Raw}
		var digests []string
		for range 2 {
			img, err := bundle.Image([]bundle.Object{object}, map[string]string{bundle.VersionKey: entry.Version})
			if err != nil {
				t.Fatal(err)
			}
			digest, err := img.Digest()
			if err != nil {
				t.Fatal(err)
			}
			digests = append(digests, digest.String())
		}
		if digests[0] != digests[1] {
			t.Errorf("%s: packed twice, %s and %s", entry.Name, digests[0], digests[1])
		}
	}
}
