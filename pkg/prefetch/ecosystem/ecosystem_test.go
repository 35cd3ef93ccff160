package ecosystem

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDecode(t *testing.T) {
	cases := map[string]struct{ raw, text string }{
		"what it has":          {raw: `{"path": "a"}`},
		"a key it has not":     {raw: `{"paths": "a"}`, text: `key "paths" is not supported for this type`},
		"a value of no string": {raw: `{"path": ["a"]}`, text: "cannot unmarshal array"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var options struct {
				Path string `json:"path"`
			}
			err := Decode([]byte(tc.raw), &options)
			var input *InputError
			if tc.text == "" && (err != nil || options.Path != "a") {
				t.Errorf("Decode() = %v, %+v", err, options)
			}
			if tc.text != "" && (!errors.As(err, &input) || !strings.Contains(err.Error(), tc.text) || input.Fix == "") {
				t.Errorf("Decode() = %v, want an *InputError with %q and a fix", err, tc.text)
			}
		})
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	large, err := os.Create(filepath.Join(dir, "large"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(large.Truncate(maxLock+1), large.Close(), os.Symlink("/etc/passwd", filepath.Join(dir, "link")), os.Mkdir(filepath.Join(dir, "folder"), 0o755)); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	job := Job{Source: root}
	for name, text := range map[string]string{
		"large": "large: is larger than", "link": "escapes", "folder": "folder: is not a regular file", "../x": "escapes", "none": "the source has no none",
	} {
		if _, err := job.ReadLock(name, "commit it"); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("ReadLock(%q) = %v, want an error with %q", name, err, text)
		}
	}
}

func TestRebase(t *testing.T) {
	const registry = "https://registry.test/"
	cases := map[string]struct{ proxy, raw, want string }{
		"no proxy":         {raw: registry + "a", want: registry + "a"},
		"of the registry":  {proxy: "http://proxy.test/npm", raw: registry + "a/b", want: "http://proxy.test/npm/a/b"},
		"a slash at end":   {proxy: "http://proxy.test/npm/", raw: registry + "a/b", want: "http://proxy.test/npm/a/b"},
		"of another":       {proxy: "http://proxy.test", raw: "https://other.test/a", want: "https://other.test/a"},
		"of a like name":   {proxy: "http://proxy.test", raw: "https://registry.test.evil/a", want: "https://registry.test.evil/a"},
		"a proxy by file":  {proxy: "file:///etc", raw: registry},
		"a proxy that no":  {proxy: "http://u:secret@pro xy", raw: registry},
		"a proxy of words": {proxy: "proxy", raw: registry},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Job{Proxy: tc.proxy}.Rebase(tc.raw, registry)
			var wrong *ProxyError
			if got != tc.want || (tc.want == "") != errors.As(err, &wrong) {
				t.Errorf("Rebase() = %q, %v, want %q", got, err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows a password: %v", err)
			}
		})
	}
}

func TestPURL(t *testing.T) {
	for want, got := range map[string]string{
		"pkg:npm/%40scope/dep@1.0.0":             PURL("npm", "@scope/dep", "1.0.0", nil, "."),
		"pkg:golang/example.com/a/b?type=module": PURL("golang", "example.com/a/b", "", map[string]string{"type": "module"}, ""),
		"pkg:pypi/dep@1#sub/dir":                 PURL("pypi", "dep", "1", nil, "sub/./dir"),
	} {
		if got != want {
			t.Errorf("PURL() = %q, want %q", got, want)
		}
	}
}
