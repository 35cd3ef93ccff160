package npm

import (
	"bytes"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/pkg/prefetch/ecosystem"
	"github.com/headrace-ci/headrace/pkg/prefetch/fake"
	"github.com/headrace-ci/headrace/pkg/prefetch/fetch"
)

func integrity(content []byte) string {
	sum := sha512.Sum512(content)
	return "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
}

// pack makes a package with one module that exports text.
func pack(t testing.TB, name, text string) []byte {
	return fake.Archive(t, map[string]string{
		"package/package.json": fmt.Sprintf(`{"name": %q, "version": "1.0.0", "main": "index.js"}`, name),
		"package/index.js":     fmt.Sprintf("module.exports = %q\n", text),
	})
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// project depends on two packages as the public registry has them, one of them
// with no place in the lockfile, on a scoped one under another name, on one
// given by URL, and on a workspace.
func project(t testing.TB, mirror *fake.Mirror) map[string]string {
	scoped, external := pack(t, "@scope/real", "scoped"), pack(t, "external", "external")
	mirror.Set("/@scope/real/-/real-1.0.0.tgz", scoped)
	mirror.Set("/archives/external.tgz", external)
	archive := mirror.URL + "/archives/external.tgz"
	return map[string]string{
		"package.json": `{
  "name": "sample", "version": "1.0.0", "workspaces": ["packages/*"],
  "dependencies": {"is-odd": "3.0.1", "alias": "npm:@scope/real@1.0.0", "external": "` + archive + `"}
}`,
		"packages/inner/package.json": `{"name": "inner", "version": "2.0.0", "main": "index.js"}`,
		"packages/inner/index.js":     "module.exports = 'inner'\n",
		"package-lock.json": `{
  "name": "sample", "version": "1.0.0", "lockfileVersion": 3, "requires": true,
  "packages": {
    "": {"name": "sample", "version": "1.0.0", "workspaces": ["packages/*"],
      "dependencies": {"is-odd": "3.0.1", "alias": "npm:@scope/real@1.0.0", "external": "` + archive + `"}},
    "node_modules/alias": {"name": "@scope/real", "version": "1.0.0", "resolved": "https://registry.npmjs.org/@scope/real/-/real-1.0.0.tgz",
      "integrity": "` + integrity(scoped) + `"},
    "node_modules/external": {"version": "1.0.0", "resolved": "` + archive + `", "integrity": "` + integrity(external) + `"},
    "node_modules/inner": {"resolved": "packages/inner", "link": true},
    "node_modules/is-number": {"version": "6.0.0", "dev": true,
      "integrity": "sha512-Wu1VHeILBK8KAWJUAiSZQX94GmOE45Rg6/538fKwiloUu21KncEkYGPqob2oSZ5mUT73vLGrHQjKw3KMPwfDzg=="},
    "node_modules/is-odd": {"version": "3.0.1", "resolved": "https://registry.npmjs.org/is-odd/-/is-odd-3.0.1.tgz",
      "integrity": "sha512-CQpnWPrDwmP1+SMHXZhtLtJv90yiyVfluGsX5iNCVkrhQtU3TQHsUWPG9wkdk9Lgd5yNpAg9jQEo90CBaXgWMA==",
      "dependencies": {"is-number": "^6.0.0"}},
    "packages/inner": {"version": "2.0.0"}
  }
}`,
	}
}

func mirrorOf(t testing.TB) *fake.Mirror {
	return fake.NewMirror(t, map[string][]byte{
		"/is-odd/-/is-odd-3.0.1.tgz":       read(t, "is-odd-3.0.1.tgz"),
		"/is-number/-/is-number-6.0.0.tgz": read(t, "is-number-6.0.0.tgz"),
	})
}

func TestFeedsAHermeticBuild(t *testing.T) {
	mirror := mirrorOf(t)
	src := fake.Source(t, project(t, mirror))
	job := fake.Job(t, src)
	job.Proxy = mirror.URL

	result, err := Input{Path: "."}.Fetch(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	mirror.Close() // the build has no network
	want := []string{
		"pkg:npm/sample@1.0.0", "pkg:npm/inner@2.0.0#packages/inner",
		"pkg:npm/%40scope/real@1.0.0", "pkg:npm/external@1.0.0", "pkg:npm/is-number@6.0.0", "pkg:npm/is-odd@3.0.1",
	}
	var got []string
	for _, purl := range fake.PURLs(append(result.Main, result.Components...)) {
		plain, qualifiers, _ := strings.Cut(purl, "?")
		if strings.Contains(plain, "external") != strings.Contains(qualifiers, "download_url=") {
			t.Errorf("%s: download_url belongs to what is in no registry", purl)
		}
		got = append(got, plain)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("purls (-want +got):\n%s", diff)
	}
	if p := result.Components[2].Properties; len(p) != 1 || p[0].Name != ecosystem.NpmDevelopment {
		t.Errorf("is-number has properties %v, want that it is for development", p)
	}

	fake.Tool(t, "npm")
	script := `console.log(require("is-odd")(3), require("alias"), require("external"), require("inner"))`
	env := []string{"npm_config_registry=http://127.0.0.1:1/", "npm_config_cache=" + t.TempDir()}
	out := fake.Build(t, src, ".", result, env, []string{"npm", "ci"}, []string{"node", "-e", script})
	if out != "true scoped external inner\n" {
		t.Errorf("the program says %q", out)
	}
}

func TestEditsLeaveTheRestAsItIs(t *testing.T) {
	mirror := mirrorOf(t)
	job := fake.Job(t, fake.Source(t, project(t, mirror)))
	job.Proxy, job.Mount = mirror.URL, "/cachi2/output"
	result, err := Input{Path: "."}.Fetch(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, edit := range result.Edits {
		files[edit.Path] = string(edit.Content)
		if !json.Valid(edit.Content) {
			t.Errorf("%s is no JSON any more", edit.Path)
		}
	}
	if got, want := files["package.json"], `"dependencies": {"is-odd": "3.0.1", "alias": "npm:@scope/real@1.0.0", "external": ""}`; !strings.Contains(got, want) {
		t.Errorf("package.json = %s, want %s", got, want)
	}
	for _, want := range []string{
		`"resolved": "file:///cachi2/output/deps/npm/@scope/real-1.0.0.tgz"`,
		`"node_modules/is-number": {"version": "6.0.0", "resolved": "file:///cachi2/output/deps/npm/is-number-6.0.0.tgz", "dev": true`,
		`"node_modules/inner": {"resolved": "packages/inner", "link": true}`,
		`"packages/inner": {"version": "2.0.0"}`,
		`"external": ""}},`,
	} {
		if got := files["package-lock.json"]; !strings.Contains(got, want) {
			t.Errorf("package-lock.json = %s, want %s", got, want)
		}
	}
	if len(files) != 2 {
		t.Errorf("edits = %v, want the lockfile and package.json alone", files)
	}
}

func TestFetchRefuses(t *testing.T) {
	lock := func(entry string) map[string]string {
		return map[string]string{
			"package.json":      `{"name": "sample"}`,
			"package-lock.json": `{"name": "sample", "lockfileVersion": 3, "packages": {"": {}, ` + entry + `}}`,
		}
	}
	good := `"resolved": "https://registry.npmjs.org/dep/-/dep-1.0.0.tgz", "integrity": "` + integrity([]byte("good")) + `"`
	cases := map[string]struct {
		files map[string]string
		want  any
		text  string
		hint  string
	}{
		"another content than is pinned": {
			files: lock(`"node_modules/dep": {"version": "1.0.0", ` + good + `}`),
			want:  new(*fetch.ChecksumError), text: "dep@1.0.0", hint: "before you touch package-lock.json",
		},
		"no integrity": {
			files: lock(`"node_modules/dep": {"version": "1.0.0", "resolved": "https://registry.npmjs.org/dep/-/dep-1.0.0.tgz"}`),
			want:  new(*fetch.UnpinnedError), text: "package-lock.json has no checksum of dep@1.0.0", hint: "npm install",
		},
		"an integrity that is none": {
			files: lock(`"node_modules/dep": {"version": "1.0.0", "integrity": "md5-AAAA"}`), text: "dep@1.0.0 integrity", hint: "npm install",
		},
		"a git repository": {
			files: lock(`"node_modules/dep": {"version": "1.0.0", "resolved": "git+ssh://git@github.com/x/dep.git#0000"}`),
			text:  "dep@1.0.0 does not come from a registry", hint: "published version",
		},
		"an old lockfile": {
			files: map[string]string{"package-lock.json": `{"lockfileVersion": 1, "dependencies": {}}`}, text: "lockfileVersion 1", hint: "--lockfile-version 3",
		},
		"no lockfile":     {files: map[string]string{"package.json": "{}"}, want: new(*ecosystem.InputError), text: "the source has no package-lock.json", hint: "commit"},
		"broken JSON":     {files: map[string]string{"package-lock.json": "{"}, text: "package-lock.json: unexpected end of JSON", hint: "npm install"},
		"a node_modules":  {files: map[string]string{"package-lock.json": "{}", "node_modules/x/index.js": ""}, text: "nobody has checked", hint: "delete it"},
		"a name to climb": {files: lock(`"node_modules/../../dep": {"version": "1.0.0", ` + good + `}`), text: "has a name"},
		"a name with a quote": {
			files: lock(`"node_modules/d\"ep": {"version": "1.0.0", ` + good + `}`), text: "has a name",
		},
		"a version to climb":     {files: lock(`"node_modules/dep": {"version": "1/../../x", ` + good + `}`), text: "has a version"},
		"a link that leaves":     {files: lock(`"node_modules/dep": {"resolved": "../dep", "link": true}`), text: `"../dep" leaves the source`},
		"an archive that leaves": {files: lock(`"node_modules/dep": {"resolved": "file:../dep.tgz"}`), text: "leaves the source"},
		"a workspace that leaves": {
			files: lock(`"../dep": {"version": "1.0.0"}`), text: `"../dep" leaves the source`,
		},
		"a workspace without package.json": {files: lock(`"dep": {"version": "1.0.0"}`), text: ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			mirror := fake.NewMirror(t, map[string][]byte{"/dep/-/dep-1.0.0.tgz": []byte("evil")})
			job := fake.Job(t, fake.Source(t, tc.files))
			job.Proxy = mirror.URL

			_, err := Input{Path: "."}.Fetch(t.Context(), job)

			if tc.text == "" {
				if err != nil {
					t.Fatalf("Fetch() = %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.text) {
				t.Fatalf("Fetch() = %v, want an error with %q", err, tc.text)
			}
			if tc.want != nil && !errors.As(err, tc.want) {
				t.Errorf("Fetch() = %T, want %T", err, tc.want)
			}
			var hinted interface{ Hint() string }
			if !errors.As(err, &hinted) || !strings.Contains(hinted.Hint(), tc.hint) {
				t.Errorf("Fetch() = %v, want the hint to contain %q", err, tc.hint)
			}
		})
	}
}

func FuzzParseLock(f *testing.F) {
	f.Add([]byte(`{"name": "sample", "lockfileVersion": 3, "packages": {"": {}, "node_modules/@a/b": {"version": "1.0.0", "resolved": "https://r.test/b.tgz", "integrity": "sha1-AAAA"}}}`))
	f.Add([]byte(`{"lockfileVersion": 2, "packages": {"node_modules/../x": {"version": "1"}, "w": {"resolved": "../x", "link": true}}}`))
	f.Add([]byte(`{"packages": [[{"a": "b"}]], "x": "\ud800"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		changed, err := replaceStrings(raw, func([]string, string) (string, bool) { return `"x"`, true })
		if err == nil && !json.Valid(changed) {
			t.Errorf("replaceStrings(%q) = %q, which is no JSON", raw, changed)
		}
		if same, err := replaceStrings(raw, func([]string, string) (string, bool) { return "", false }); err == nil && !bytes.Equal(raw, same) {
			t.Errorf("replaceStrings(%q) = %q with nothing to replace", raw, same)
		}
		lock, err := parseLock("package-lock.json", raw)
		if err != nil {
			return
		}
		all, err := (Input{Path: "app"}).dependencies(ecosystem.Job{}, "package-lock.json", lock)
		if err != nil {
			return
		}
		for _, d := range all {
			if d.file.URL != "" && !filepath.IsLocal(d.file.Path) {
				t.Errorf("%q would be kept at %q", d.name, d.file.Path)
			}
		}
	})
}
