package pnpm

import (
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
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

// project depends on a scoped package of another registry, on one under an
// alias, on one given by URL, and on a workspace.
func project(t testing.TB, mirror *fake.Mirror) map[string]string {
	scoped, plain, external := pack(t, "@scope/dep", "scoped"), pack(t, "plain", "plain"), pack(t, "external", "external")
	mirror.Set("/private/@scope/dep/-/dep-1.0.0.tgz", scoped)
	mirror.Set("/plain/-/plain-1.0.0.tgz", plain)
	mirror.Set("/other/external.tgz", external)
	archive := mirror.URL + "/other/external.tgz"
	return map[string]string{
		".npmrc":                      "@scope:registry=" + mirror.URL + "/private\nauto-install-peers=true\n",
		"pnpm-workspace.yaml":         "packages:\n  - packages/*\n",
		"package.json":                `{"name": "sample", "version": "1.0.0", "dependencies": {"@scope/dep": "^1.0.0", "alias": "npm:plain@1.0.0", "external": "` + archive + `", "inner": "workspace:*"}}`,
		"packages/inner/package.json": `{"name": "inner", "version": "2.0.0", "main": "index.js"}`,
		"packages/inner/index.js":     "module.exports = 'inner'\n",
		"pnpm-lock.yaml": `lockfileVersion: '9.0'

settings:
  autoInstallPeers: true
  excludeLinksFromLockfile: false

importers:

  .:
    dependencies:
      '@scope/dep':
        specifier: ^1.0.0
        version: 1.0.0
      alias:
        specifier: npm:plain@1.0.0
        version: plain@1.0.0
      external:
        specifier: ` + archive + `
        version: ` + archive + `
      inner:
        specifier: workspace:*
        version: link:packages/inner

  packages/inner: {}

packages:

  '@scope/dep@1.0.0':
    resolution: {integrity: ` + integrity(scoped) + `}

  external@` + archive + `:
    resolution: {integrity: ` + integrity(external) + `, tarball: ` + archive + `}
    version: 1.0.0

  plain@1.0.0:
    resolution: {integrity: ` + integrity(plain) + `}
    engines: {node: '>=4'}

snapshots:

  '@scope/dep@1.0.0': {}

  external@` + archive + `: {}

  plain@1.0.0: {}
`,
	}
}

func TestFeedsAHermeticBuild(t *testing.T) {
	mirror := fake.NewMirror(t, map[string][]byte{})
	src := fake.Source(t, project(t, mirror))
	job := fake.Job(t, src)
	job.Proxy = mirror.URL

	result, err := Input{Path: "."}.Fetch(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	mirror.Close() // the build has no network
	var got []string
	for _, purl := range fake.PURLs(append(result.Main, result.Components...)) {
		plain, qualifiers, _ := strings.Cut(purl, "?")
		if isPublic := strings.Contains(plain, "/plain@"); qualifiers != "" && isPublic == strings.Contains(qualifiers, "download_url=") {
			t.Errorf("%s: download_url belongs to what is not in the public registry", purl)
		}
		got = append(got, plain)
	}
	want := []string{"pkg:npm/sample@1.0.0", "pkg:npm/inner@2.0.0#packages/inner", "pkg:npm/%40scope/dep@1.0.0", "pkg:npm/external@1.0.0", "pkg:npm/plain@1.0.0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("purls (-want +got):\n%s", diff)
	}
	if text := string(result.Edits[0].Content); !strings.Contains(text, "deps/pnpm/plain-1.0.0.tgz}\n    engines: {node: '>=4'}\n\nsnapshots:\n") {
		t.Errorf("lockfile = %s", text)
	}

	fake.Tool(t, "pnpm")
	script := `console.log(require("@scope/dep"), require("alias"), require("external"), require("inner"))`
	out := fake.Build(t, src, ".", result, nil, []string{"pnpm", "install", "--frozen-lockfile"}, []string{"node", "-e", script})
	if out != "scoped plain external inner\n" {
		t.Errorf("the program says %q", out)
	}
}

func TestFetchRefuses(t *testing.T) {
	const head = "lockfileVersion: '9.0'\n\npackages:\n\n"
	dep := func(resolution string) map[string]string {
		return map[string]string{lockfile: head + "  dep@1.0.0:\n    resolution: {" + resolution + "}\n"}
	}
	good := "integrity: " + integrity([]byte("good"))
	cases := map[string]struct {
		files map[string]string
		want  any
		text  string
		hint  string
	}{
		"another content than is pinned": {files: dep(good), want: new(*fetch.ChecksumError), text: "dep@1.0.0", hint: "before you touch pnpm-lock.yaml"},
		"no integrity":                   {files: dep("tarball: https://registry.npmjs.org/dep/-/dep-1.0.0.tgz"), want: new(*fetch.UnpinnedError), text: "no checksum of dep@1.0.0", hint: "pnpm install"},
		"an integrity that is none":      {files: dep("integrity: sha512-AAAA"), text: "dep@1.0.0 checksum"},
		"a git repository":               {files: dep("commit: '00', repo: https://h.test/x.git, type: git"), text: "does not come from a registry", hint: "published version"},
		"a login":                        {files: dep(good + ", tarball: https://u:secret@h.test/x.tgz"), text: "URL has a login", hint: "netrc"},
		"a folder that leaves":           {files: dep("directory: ../x, type: directory"), text: `at "../x", which leaves the source`},
		"an archive that leaves":         {files: dep(good + ", tarball: 'file:/etc/x.tgz'"), text: "leaves the source"},
		"a name to climb":                {files: map[string]string{lockfile: head + "  ../dep@1.0.0:\n    resolution: {" + good + "}\n"}, text: "has a name or version"},
		"a version to climb":             {files: map[string]string{lockfile: head + "  dep@1/../../x:\n    resolution: {" + good + "}\n"}, text: "has a name or version"},
		"another version":                {files: map[string]string{lockfile: "lockfileVersion: 5.4\n"}, text: "lockfileVersion 5.4 is not supported", hint: "pnpm 9"},
		"broken YAML":                    {files: map[string]string{lockfile: "{"}, text: "pnpm-lock.yaml: ", hint: "pnpm install"},
		"no lockfile":                    {files: map[string]string{"package.json": "{}"}, want: new(*ecosystem.InputError), text: "the source has no pnpm-lock.yaml"},
		"a node_modules":                 {files: map[string]string{lockfile: head, "node_modules/x": ""}, text: "nobody has checked", hint: "delete it"},
		"a registry with a login":        {files: map[string]string{lockfile: head, ".npmrc": "registry=https://u:secret@h.test"}, text: "registry is not an http or https URL without a login", hint: "netrc"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			mirror := fake.NewMirror(t, map[string][]byte{"/dep/-/dep-1.0.0.tgz": []byte("evil")})
			job := fake.Job(t, fake.Source(t, tc.files))
			job.Proxy = mirror.URL

			_, err := Input{Path: "."}.Fetch(t.Context(), job)

			if err == nil || !strings.Contains(err.Error(), tc.text) || strings.Contains(err.Error(), "secret") {
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

func TestALockfileInOtherLinesIsRefused(t *testing.T) {
	content := pack(t, "dep", "")
	mirror := fake.NewMirror(t, map[string][]byte{"/dep/-/dep-1.0.0.tgz": content})
	job := fake.Job(t, fake.Source(t, map[string]string{
		lockfile: "lockfileVersion: '9.0'\npackages:\n  dep@1.0.0:\n    resolution:\n      integrity: " + integrity(content) + "\n",
	}))
	job.Proxy = mirror.URL
	if _, err := (Input{Path: "."}).Fetch(t.Context(), job); err == nil || !strings.Contains(err.Error(), "does not have dep@1.0.0 in lines as pnpm writes them") {
		t.Errorf("Fetch() = %v, want it refused rather than half done", err)
	}
}

func FuzzParseLock(f *testing.F) {
	f.Add([]byte("lockfileVersion: '9.0'\n\npackages:\n\n  '@a/b@1.0.0':\n    resolution: {integrity: sha512-AAAA, tarball: https://h.test/b.tgz}\n"))
	f.Add([]byte("lockfileVersion: 9\npackages: {a@1: {resolution: {directory: ../x}}}\nimporters: {../x: {}}\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		job := fake.Job(t, t.TempDir())
		content, err := parseLock(lockfile, raw)
		if err != nil {
			return
		}
		all, err := (Input{Path: "."}).dependencies(job, lockfile, content)
		if err != nil {
			return
		}
		for _, d := range all {
			if !filepath.IsLocal(d.file.Path) || !strings.HasPrefix(d.file.Path, deps+"/") {
				t.Errorf("would be kept at %q", d.file.Path)
			}
		}
		_, _ = localize(job, lockfile, raw, all) // must not panic
	})
}
