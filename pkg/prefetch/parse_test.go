package prefetch

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/module"
)

func TestParseInput(t *testing.T) {
	root := []Package{{Type: "gomod", Path: "."}}
	cases := map[string]struct {
		input string
		want  []Package
		text  string // in the error; "" for none
	}{
		"empty is nothing":             {input: " "},
		"a name":                       {input: "gomod", want: root},
		"an object":                    {input: `{"type": "gomod"}`, want: root},
		"a path":                       {input: `{"type": "gomod", "path": "tools/x"}`, want: []Package{{Type: "gomod", Path: "tools/x"}}},
		"a list":                       {input: `[{"type": "gomod"}, {"type": "gomod", "path": "b"}]`, want: append(root[:1:1], Package{Type: "gomod", Path: "b"})},
		"a list under packages":        {input: `{"packages": [{"type": "gomod"}]}`, want: root},
		"another package manager":      {input: `{"type": "npm"}`, text: `type "npm" cannot be prefetched yet`},
		"no package manager":           {input: "gmod", text: `"gmod" is no package manager`},
		"no type":                      {input: `{"path": "."}`, text: "no type"},
		"a path that leaves":           {input: `{"type": "gomod", "path": "../x"}`, text: "leaves the source"},
		"an absolute path":             {input: `{"type": "gomod", "path": "/etc"}`, text: "leaves the source"},
		"a key that would be lost":     {input: `{"type": "gomod", "flags": ["x"]}`, text: "flags"},
		"a flag that would be lost":    {input: `{"packages": [], "flags": ["gomod-vendor"]}`, text: "flags"},
		"a path that is no string":     {input: `{"type": "gomod", "path": 1}`, text: "not a string"},
		"JSON that is broken":          {input: `{"type": "gomod"`, text: "not valid JSON"},
		"a list of something else":     {input: `["gomod"]`, text: "not valid JSON"},
		"packages that are no list":    {input: `{"packages": "gomod"}`, text: "not valid JSON"},
		"null in the list of packages": {input: `[null]`, text: "no type"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := ParseInput(tc.input)

			var input *InputError
			switch {
			case tc.text == "" && err != nil:
				t.Fatalf("ParseInput() = %v", err)
			case tc.text != "" && !errors.As(err, &input):
				t.Fatalf("ParseInput() = %v, want an *InputError", err)
			case tc.text != "" && !strings.Contains(err.Error(), tc.text):
				t.Errorf("ParseInput() = %q, want it to contain %q", err, tc.text)
			}
			if diff := cmp.Diff(tc.want, got); tc.text == "" && diff != "" {
				t.Errorf("packages (-want +got):\n%s", diff)
			}
		})
	}
}

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
			root, err := os.OpenRoot(source(t, tc.files))
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

func TestParseNetrc(t *testing.T) {
	text := "machine a login u password p\n\nmachine b\n\tlogin v\n\taccount x\n\tpassword q\ndefault login anonymous password me\n"
	want := []login{{"a", "u", "p"}, {"b", "v", "q"}, {"", "anonymous", "me"}}
	if diff := cmp.Diff(want, parseNetrc(text), cmp.AllowUnexported(login{})); diff != "" {
		t.Errorf("logins (-want +got):\n%s", diff)
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

func FuzzParseInput(f *testing.F) {
	f.Add(`{"packages": [{"type": "gomod", "path": "a"}]}`)
	f.Add(`[{"type": 1}]`)
	f.Fuzz(func(_ *testing.T, text string) {
		_, _ = ParseInput(text) // must not panic
	})
}
