package releasedata_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/pkg/releasedata"
)

func TestMerge(t *testing.T) {
	cases := map[string]struct{ release, plan, admission, want string }{
		"the later wins":         {release: `{"a":1,"b":1}`, plan: `{"a":2}`, admission: `{"a":3}`, want: `{"a":3,"b":1}`},
		"objects merge deep":     {release: `{"a":{"b":1,"c":1}}`, plan: `{"a":{"c":2}}`, admission: `{}`, want: `{"a":{"b":1,"c":2}}`},
		"lists become one":       {release: `{"a":["b","a"]}`, plan: `{"a":["c","a"]}`, admission: `{}`, want: `{"a":["a","b","c"]}`},
		"null overrides nothing": {release: `{"a":1}`, plan: `{"a":null}`, admission: `{}`, want: `{"a":1}`},
		"another type wins":      {release: `{"a":[1]}`, plan: `{"a":{"b":1}}`, admission: `{"a":"x"}`, want: `{"a":"x"}`},
		"one place alone":        {release: `{}`, plan: `{}`, admission: `{"a":[{"b":null}]}`, want: `{"a":[{"b":null}]}`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := json.Marshal(releasedata.Merge(object(t, tc.release), object(t, tc.plan), object(t, tc.admission)))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tc.want {
				t.Errorf("Merge() = %s, want %s", got, tc.want)
			}
		})
	}
}

func object(t *testing.T, text string) map[string]any {
	t.Helper()
	var value map[string]any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestFolderStaysInside(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret.json"), []byte(`{}`), 0o600); err != nil {
		t.Fatal(err)
	}
	folder := releasedata.Folder{Dir: filepath.Join(dir, "data")}
	if err := folder.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../secret.json", filepath.Join(folder.Dir, "link.json")); err != nil {
		t.Fatal(err)
	}
	var into any
	for _, file := range []string{"../secret.json", "link.json", filepath.Join(dir, "secret.json")} {
		if err := folder.Read(file, &into); err == nil {
			t.Errorf("read %q", file)
		}
		if err := folder.Write(file, 1); err == nil {
			t.Errorf("wrote %q", file)
		}
	}
}

func TestFolderNeedsStorage(t *testing.T) {
	folder := releasedata.Folder{Dir: t.TempDir(), Storage: "empty"}
	var storage *releasedata.StorageError
	if _, err := folder.Keep(t.Context()); !errors.As(err, &storage) || !strings.Contains(storage.Hint(), "ociStorage") {
		t.Errorf("Keep() = %v, want a *StorageError", err)
	}
}

func TestResults(t *testing.T) {
	folder := releasedata.Folder{Dir: t.TempDir()}
	for file, value := range map[string]string{
		"r/b.json": `{"images":[2],"deep":{"b":1}}`, "r/a.json": `{"images":[1],"deep":{"a":1}}`, "r/note.txt": `{"x":1}`,
	} {
		if err := folder.Write(file, object(t, value)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := folder.Results("r")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(object(t, `{"images":[2],"deep":{"a":1,"b":1}}`), got); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	if got, err := folder.Results("none"); err != nil || len(got) != 0 {
		t.Errorf("Results() = %v, %v, want none", got, err)
	}
}
