package bundler

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/pkg/prefetch/ecosystem"
	"github.com/headrace-ci/headrace/pkg/prefetch/fake"
	"github.com/headrace-ci/headrace/pkg/prefetch/fetch"
)

const specification = `--- !ruby/object:Gem::Specification
name: %s
version: !ruby/object:Gem::Version
  version: 1.0.0
platform: %s
authors: [somebody]
summary: one word
files: [lib/%[1]s.rb]
require_paths: [lib]
required_ruby_version: !ruby/object:Gem::Requirement
  requirements: [[">=", !ruby/object:Gem::Version {version: '0'}]]
required_rubygems_version: !ruby/object:Gem::Requirement
  requirements: [[">=", !ruby/object:Gem::Version {version: '0'}]]
specification_version: 4
`

// pack makes a gem with a constant that holds a word.
func pack(t testing.TB, name, platform, word string) []byte {
	t.Helper()
	var metadata bytes.Buffer
	zipped := gzip.NewWriter(&metadata)
	if _, err := fmt.Fprintf(zipped, specification, name, platform); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	code := fmt.Sprintf("module %s\n  WORD = %q\nend\n", strings.ToUpper(name[:1])+name[1:], word)
	data := fake.Archive(t, map[string]string{"lib/" + name + ".rb": code})
	var out bytes.Buffer
	archive := tar.NewWriter(&out)
	for _, file := range []struct {
		name    string
		content []byte
	}{{"metadata.gz", metadata.Bytes()}, {"data.tar.gz", data}} {
		if err := archive.WriteHeader(&tar.Header{Name: file.name, Mode: 0o444, Size: int64(len(file.content)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(archive, bytes.NewReader(file.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func sum(content []byte) string { return fmt.Sprintf("sha256=%x", sha256.Sum256(content)) }

// project depends on a gem of the public server, of which there is a compiled
// form too, and on one of the project's own.
func project(public, compiled []byte) map[string]string {
	return map[string]string{
		"app/Gemfile":              "source 'https://rubygems.org'\ngem 'public'\ngem 'own', path: 'own'\n",
		"app/own/own.gemspec":      "Gem::Specification.new { |s| s.name = 'own'; s.version = '2.0'; s.summary = 's'; s.authors = ['a']; s.files = ['lib/own.rb'] }\n",
		"app/own/lib/own.rb":       "module Own\n  WORD = 'own'\nend\n",
		"app/.bundle/config":       "---\nBUNDLE_CACHE_PATH: \"elsewhere\"\nBUNDLE_JOBS: \"1\"\n",
		"app/vendor-is-not-cached": "",
		"app/Gemfile.lock": `PATH
  remote: own
  specs:
    own (2.0)

GEM
  remote: https://rubygems.org/
  specs:
    public (1.0.0)
    public (1.0.0-x86_64-linux)

PLATFORMS
  ruby
  x86_64-linux

DEPENDENCIES
  own!
  public

CHECKSUMS
  own (2.0)
  public (1.0.0) ` + sum(public) + `
  public (1.0.0-x86_64-linux) ` + sum(compiled) + `

BUNDLED WITH
   2.3.15
`,
	}
}

func TestFeedsAHermeticBuild(t *testing.T) {
	public, compiled := pack(t, "public", "ruby", "from source"), pack(t, "public", "x86_64-linux", "compiled")
	mirror := fake.NewMirror(t, map[string][]byte{"/gems/public-1.0.0.gem": public, "/gems/public-1.0.0-x86_64-linux.gem": compiled})
	source := []string{"pkg:gem/own@2.0#app/own", "pkg:gem/public@1.0.0"}
	both := append(source[:2:2], source[1])
	cases := map[string]struct { // no name has a brace: bundler would not find its cache in such a folder
		input string
		want  []string
		word  string // that the build's gem holds; "" where it is not built
	}{
		"source alone":           {input: `{"path": "app"}`, want: source, word: "from source"},
		"compiled, as of old":    {input: `{"path": "app", "allow_binary": true}`, want: both},
		"compiled":               {input: `{"path": "app", "binary": {}}`, want: both, word: "compiled"},
		"compiled of this":       {input: `{"path": "app", "binary": {"packages": "other, public", "platform": "x86_64-linux"}}`, want: both},
		"compiled of others":     {input: `{"path": "app", "binary": {"platform": "arm64-darwin"}}`, want: source},
		"compiled of other gems": {input: `{"path": "app", "binary": {"packages": "other"}}`, want: source},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			src := fake.Source(t, project(public, compiled))
			job := fake.Job(t, src)
			job.Proxy = mirror.URL
			input, err := Parse([]byte(tc.input))
			if err != nil {
				t.Fatal(err)
			}
			result, err := input.Fetch(t.Context(), job)
			if err != nil {
				t.Fatal(err)
			}
			got := fake.PURLs(append(result.Main, result.Components...))
			for i, c := range append(result.Main, result.Components...) {
				isBinary := len(c.Properties) == 1 && c.Properties[0].Name == ecosystem.BundlerBinary
				if isBinary != strings.Contains(c.PURL, "platform=") {
					t.Errorf("%s has properties %v", c.PURL, c.Properties)
				}
				got[i], _, _ = strings.Cut(got[i], "?")
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("purls (-want +got):\n%s", diff)
			}

			if tc.word == "" {
				return // it is built as another case is, and bundler is slow
			}
			fake.Tool(t, "bundle")
			script := "require 'public'; require 'own'; puts Public::WORD + ' ' + Own::WORD"
			out := fake.Build(t, src, "app", result, []string{"BUNDLE_SILENCE_ROOT_WARNING=1"},
				[]string{"bundle", "install"}, []string{"bundle", "exec", "ruby", "-e", script})
			if out != tc.word+" own\n" {
				t.Errorf("the program says %q, want %q", out, tc.word+" own\n")
			}
		})
	}
}

func TestConfigurationOfTheProjectIsKept(t *testing.T) {
	job := fake.Job(t, fake.Source(t, map[string]string{
		".bundle/config":     "---\nBUNDLE_CACHE_PATH: \"elsewhere\"\nBUNDLE_WITHOUT: \"test:\n  development\"",
		"other/.keep":        "",
		"Gemfile.lock":       "",
		"other/Gemfile.lock": "",
	}))
	job.Mount = "/cachi2/output"
	if _, err := (Input{Path: "."}).Fetch(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(job.Output, config, "config"))
	want := "---\nBUNDLE_WITHOUT: \"test:\n  development\"\nBUNDLE_CACHE_PATH: \"/cachi2/output/deps/bundler\"\n"
	if err != nil || !strings.HasPrefix(string(got), want) {
		t.Errorf("configuration = %s, %v, want it to begin with %s", got, err, want)
	}
	if _, err := (Input{Path: "other"}).Fetch(t.Context(), job); err == nil || !strings.Contains(err.Error(), "differs from that of another input") {
		t.Errorf("Fetch() = %v, want a second configuration refused", err)
	}
}

func TestFetchRefuses(t *testing.T) {
	gem := func(spec, checksum string) map[string]string {
		return map[string]string{lockfile: "GEM\n  remote: https://rubygems.org/\n  specs:\n    " + spec + "\n\nCHECKSUMS\n  " + checksum + "\n"}
	}
	good := sum([]byte("good"))
	cases := map[string]struct {
		files map[string]string
		want  any
		text  string
		hint  string
	}{
		"another content than is pinned": {
			files: gem("dep (1.0.0)", "dep (1.0.0) "+good), want: new(*fetch.ChecksumError), text: "dep-1.0.0", hint: "before you touch Gemfile.lock",
		},
		"no checksum": {
			files: gem("dep (1.0.0)", "dep (1.0.0)"), want: new(*fetch.UnpinnedError), text: "Gemfile.lock has no checksum of dep-1.0.0", hint: "--add-checksums",
		},
		"a checksum of another platform": {
			files: gem("dep (1.0.0)", "dep (1.0.0-java) "+good), want: new(*fetch.UnpinnedError), text: "no checksum of dep-1.0.0",
		},
		"a checksum that is weak": {files: gem("dep (1.0.0)", "dep (1.0.0) md5=00"), text: `line 7: checksum "md5:00"`, hint: "--add-checksums"},
		"compiled code alone": {
			files: gem("dep (1.0.0-x86_64-linux)", "dep (1.0.0-x86_64-linux) "+good), text: "there is no source of it", hint: "binary",
		},
		"a git repository":     {files: map[string]string{lockfile: "GIT\n  remote: https://h.test/dep\n  revision: 00\n"}, text: "line 1: gems that do not come from a gem server", hint: "depend on a version"},
		"a merge conflict":     {files: map[string]string{lockfile: "<<<<<<< HEAD\n"}, text: "merge conflict"},
		"a name to climb":      {files: gem("../dep (1.0.0)", ""), text: `"../dep (1.0.0)" is not a gem`},
		"a version to climb":   {files: gem("dep (1.0.0/../x)", ""), text: "is not a gem"},
		"a folder that leaves": {files: map[string]string{lockfile: "PATH\n  remote: ../dep\n  specs:\n    dep (1.0.0)\n"}, text: `at "../dep", which leaves the source`},
		"a server by file":     {files: map[string]string{lockfile: "GEM\n  remote: file:///etc\n  specs:\n    dep (1.0.0)\n"}, text: "not an http or https URL"},
		"a server with login":  {files: map[string]string{lockfile: "GEM\n  remote: https://u:secret@h.test/\n  specs:\n    dep (1.0.0)\n"}, text: "URL has a login", hint: "netrc"},
		"two servers":          {files: map[string]string{lockfile: "GEM\n  remote: https://a.test/\n  remote: https://b.test/\n  specs:\n    dep (1.0.0)\n"}, text: "any of several gem servers", hint: "block"},
		"no lockfile":          {files: map[string]string{"Gemfile": ""}, want: new(*ecosystem.InputError), text: "the source has no Gemfile.lock", hint: "commit it"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			mirror := fake.NewMirror(t, map[string][]byte{"/gems/dep-1.0.0.gem": []byte("evil")})
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

func FuzzParseLock(f *testing.F) {
	f.Add([]byte(project(nil, nil)["app/Gemfile.lock"]))
	f.Add([]byte("GEM\n  specs:\n    a (1)\nPATH\n  remote: /\n  specs:\n    ../b (1-../c)\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		gems, err := parseLock(lockfile, raw)
		if err != nil {
			return
		}
		for _, g := range gems {
			if g.Path != "" {
				continue
			}
			file, _, err := g.file(ecosystem.Job{}, lockfile)
			if err == nil && (!filepath.IsLocal(file.Path) || filepath.Dir(file.Path) != deps) {
				t.Errorf("would be kept at %q", file.Path)
			}
		}
	})
}
