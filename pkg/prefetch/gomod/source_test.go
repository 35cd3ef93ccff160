package gomod

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/module"

	"github.com/headrace-ci/headrace/pkg/prefetch/fake"
)

const (
	sumA = "h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	sumB = "h1:BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
)

func TestReadModule(t *testing.T) {
	workspace := map[string]string{
		"go.work":     "go 1.21\n\nuse ./a\nuse ./b\n",
		"go.work.sum": "example.com/w v1.0.0/go.mod " + sumA + "\n",
		"a/go.mod":    "module example.com/a\n\nrequire example.com/b v1.0.0\n",
		"b/go.mod":    "module example.com/b\n\nrequire example.com/x v1.0.0\n",
		"b/go.sum":    "example.com/x v1.0.0/go.mod " + sumA + "\n",
		"c/go.mod":    "module example.com/c\n",
	}
	cases := map[string]struct {
		files map[string]string
		dir   string
		mains []string
		sums  checksums
		text  string
	}{
		"a module alone": {files: workspace, dir: "c", mains: []string{"example.com/c"}, sums: checksums{}},
		"a workspace by one of its modules": {
			files: workspace, dir: "a", mains: []string{"example.com/a", "example.com/b"},
			sums: checksums{{Path: "example.com/w", Version: "v1.0.0/go.mod"}: sumA, {Path: "example.com/x", Version: "v1.0.0/go.mod"}: sumA},
		},
		"a workspace by its root": {
			files: workspace, dir: ".", mains: []string{"example.com/a", "example.com/b"},
			sums: checksums{{Path: "example.com/w", Version: "v1.0.0/go.mod"}: sumA, {Path: "example.com/x", Version: "v1.0.0/go.mod"}: sumA},
		},
		"a replacement is what is pinned": {
			files: map[string]string{
				"go.mod": "module m\n\nrequire example.com/x v1.0.0\n\nreplace example.com/x => example.com/y v1.1.0\n",
				"go.sum": "example.com/y v1.1.0/go.mod " + sumA + "\n",
			},
			dir: ".", mains: []string{"m"}, sums: checksums{{Path: "example.com/y", Version: "v1.1.0/go.mod"}: sumA},
		},
		"a replacement in the source needs no pin": {
			files: map[string]string{"go.mod": "module m\n\nrequire example.com/x v1.0.0\n\nreplace example.com/x => ./x\n"},
			dir:   ".", mains: []string{"m"}, sums: checksums{},
		},
		"a replacement of the workspace comes first": {
			files: map[string]string{
				"go.work":  "go 1.21\n\nuse ./a\n\nreplace example.com/x v1.0.0 => example.com/z v1.2.0\n\nreplace example.com/x => ./x\n",
				"a/go.mod": "module a\n\nrequire example.com/x v1.0.0\n\nreplace example.com/x => example.com/y v1.1.0\n",
				"a/go.sum": "example.com/z v1.2.0/go.mod " + sumA + "\n",
			},
			dir: "a", mains: []string{"a"}, sums: checksums{{Path: "example.com/z", Version: "v1.2.0/go.mod"}: sumA},
		},
		"a replacement of the workspace that leaves the source": {
			files: map[string]string{
				"a/go.work": "go 1.21\n\nuse .\n\nreplace example.com/x => ../../x\n", "a/go.mod": "module a\n\nrequire example.com/x v1.0.0\n",
			},
			dir: "a", text: "leaves the source",
		},
		"a workspace that leaves the source": {
			files: map[string]string{"go.work": "go 1.21\n\nuse ../x\n"}, dir: ".", text: "leaves the source",
		},
		"two checksums of one module": {
			files: map[string]string{"go.mod": "module m\n", "go.sum": "example.com/x v1.0.0 " + sumA + "\nexample.com/x v1.0.0 " + sumB + "\n"},
			dir:   ".", text: "two checksums",
		},
		"a module path that climbs": {
			files: map[string]string{"go.mod": "module m\n", "go.sum": "example.com/../x v1.0.0 " + sumA + "\n"}, dir: ".", text: "line 1",
		},
		"a checksum of another kind": {
			files: map[string]string{"go.mod": "module m\n", "go.sum": "example.com/x v1.0.0 h2:AAAA\n"}, dir: ".", text: "not h1:",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			root, err := os.OpenRoot(fake.Source(t, tc.files))
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()

			got, err := readModule(root, tc.dir)
			if err == nil {
				err = got.complete(false)
			}

			if tc.text != "" {
				if err == nil || !strings.Contains(err.Error(), tc.text) {
					t.Fatalf("readModule() = %v, want an error with %q", err, tc.text)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.mains, got.mains); diff != "" {
				t.Errorf("modules (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.sums, got.sums); diff != "" {
				t.Errorf("checksums (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadModuleDoesNotFollowLinksOut(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/etc/passwd", dir+"/go.mod"); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if _, err := readModule(root, "."); err == nil || !strings.Contains(err.Error(), "escapes") {
		t.Errorf("readModule() = %v, want the link refused", err)
	}
}

func FuzzParseSums(f *testing.F) {
	f.Add("example.com/x v1.0.0 " + sumA + "\nexample.com/x v1.0.0/go.mod " + sumA + "\n")
	f.Add("a b c\n\n../x v1 h1:\n")
	f.Fuzz(func(t *testing.T, text string) {
		sums, err := parseSums([]byte(text))
		if err != nil {
			return
		}
		for mod := range sums {
			at, err := location(module.Version{Path: mod.Path, Version: strings.TrimSuffix(mod.Version, modSuffix)})
			if err != nil {
				t.Fatalf("%v was read, but has no place: %v", mod, err)
			}
			for part := range strings.SplitSeq(at, "/") {
				if part == ".." || part == "." || part == "" {
					t.Fatalf("%v would be kept at %q", mod, at)
				}
			}
		}
	})
}

func FuzzParseModules(f *testing.F) {
	f.Add([]byte("# example.com/x v1.0.0\n## explicit\nexample.com/x\n# a v1 => ../b\n# a => b v2\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		modules, err := parseModules("vendor/modules.txt", ".", raw)
		for _, v := range modules {
			if err == nil && v.dir != "" && !filepath.IsLocal(v.dir) {
				t.Errorf("would be compared with %q", v.dir)
			}
		}
	})
}
