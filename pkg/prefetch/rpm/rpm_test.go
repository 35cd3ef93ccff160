package rpm

import (
	"bytes"
	"compress/gzip"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/pkg/prefetch/ecosystem"
	"github.com/headrace-ci/headrace/pkg/prefetch/fake"
	"github.com/headrace-ci/headrace/pkg/prefetch/fetch"
	"github.com/headrace-ci/headrace/pkg/run"
)

// The packages in testdata, built by rpmbuild from the .spec files beside them.
const (
	lib    = "sample-lib-1.2-3.noarch.rpm"
	app    = "sample-app-2.0-1.noarch.rpm"
	source = "sample-lib-1.2-3.src.rpm"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// entry is one of a lockfile.
func entry(t testing.TB, mirror *fake.Mirror, name, repo string, content []byte) string {
	t.Helper()
	mirror.Set("/"+repo+"/"+name, content)
	text := fmt.Sprintf("      - url: %s/%s/%s\n        size: %d\n        checksum: sha256:%s\n        name: ignored\n        evr: 1-1\n",
		mirror.URL, repo, name, len(content), sum(content))
	if repo != "" {
		text += "        repoid: " + repo + "\n"
	}
	return text
}

func lockOf(t testing.TB, mirror *fake.Mirror) string {
	return "lockfileVersion: 1\nlockfileVendor: redhat\narches:\n" +
		"  - arch: x86_64\n    packages:\n" + entry(t, mirror, lib, "base-rpms", read(t, lib)) + entry(t, mirror, app, "", read(t, app)) +
		"    source:\n" + entry(t, mirror, source, "base-source-rpms", read(t, source)) +
		"    module_metadata:\n" + entry(t, mirror, "modules.yaml", "base-rpms", []byte("---\ndocument: modulemd-defaults\nversion: 1\ndata:\n  module: sample\n  profiles: {}\n...\n")) +
		"  - arch: aarch64\n    packages:\n" + entry(t, mirror, lib, "base-rpms", read(t, lib))
}

func TestFeedsAHermeticBuild(t *testing.T) {
	mirror := fake.NewMirror(t, map[string][]byte{})
	job := fake.Job(t, fake.Source(t, map[string]string{lockfile: lockOf(t, mirror)}))
	// The packages are signed by nobody, and gpgcheck is on unless it is put off.
	input, err := Parse([]byte(`{"type": "rpm", "include_summary_in_sbom": true, "options": {"dnf": {"base-rpms": {"gpgcheck": 0}, "hermeto-packages": {"gpgcheck": 0}, "base-source-rpms": {"gpgcheck": 0}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	result, err := input.Fetch(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	mirror.Close() // the build has no network
	var got []string
	for _, c := range result.Components {
		purl := regexp.MustCompile(`checksum=sha256%3A[0-9a-f]{64}|http[^&]*`).ReplaceAllString(c.PURL, "…")
		got = append(got, purl+" "+c.Properties[0].Value)
	}
	want := []string{
		"pkg:rpm/fedora/sample-lib@1.2-3?arch=noarch&…&epoch=1&repository_id=base-rpms A <library> & more",
		"pkg:rpm/sample-app@2.0-1?arch=noarch&…&download_url=… A program",
		"pkg:rpm/fedora/sample-lib@1.2-3?arch=src&…&epoch=1&repository_id=base-source-rpms A <library> & more",
		"pkg:rpm/fedora/sample-lib@1.2-3?arch=noarch&…&epoch=1&repository_id=base-rpms A <library> & more",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("purls and summaries (-want +got):\n%s", diff)
	}
	repos, err := os.ReadFile(filepath.Join(job.Output, "deps/rpm/aarch64/repos.d/hermeto.repo"))
	wantRepo := "[base-rpms]\nbaseurl=file://" + job.Output + "/deps/rpm/aarch64/base-rpms\nenabled=1\ngpgcheck=0\nname=base-rpms\n\n"
	if err != nil || string(repos) != wantRepo {
		t.Errorf("repositories of aarch64 = %s, %v, want %s", repos, err, wantRepo)
	}

	fake.Tool(t, "dnf")
	image := t.TempDir()
	dnf := func(args ...string) string {
		t.Helper()
		var out bytes.Buffer
		args = append([]string{
			"--installroot=" + image, "--setopt=reposdir=" + filepath.Join(job.Output, "deps/rpm/x86_64/repos.d"), "--setopt=cachedir=" + t.TempDir(),
			"--setopt=module_platform_id=platform:sample", "--releasever=1", "--forcearch=x86_64", "--assumeyes", "--noplugins",
		}, args...)
		if err := (run.Command{Name: "dnf", Args: args, Stdout: &out}).Run(t.Context()); err != nil {
			t.Fatalf("dnf %q: %v\n%s", args, err, out.String())
		}
		return out.String()
	}
	dnf("install", "sample-app") // which needs sample-lib by what it provides, and by a file
	if word, err := os.ReadFile(filepath.Join(image, "usr/share/sample/word")); err != nil || string(word) != "word\n" {
		t.Errorf("the library's file holds %q, %v", word, err)
	}
	if out := dnf("module", "list", "--all"); strings.Contains(out, "rror") {
		t.Errorf("dnf module list: %s", out)
	}
}

// metadata is the text of all parts of a repository's metadata, each with its
// elements in lines and those that tools may choose left out.
func metadata(t testing.TB, dir, kind string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "repodata", "*-"+kind+".xml.gz"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%s of %s: %v, %v", kind, dir, files, err)
	}
	in, err := os.Open(files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	zipped, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	decoder := xml.NewDecoder(zipped)
	var lines []string
	for {
		token, err := decoder.RawToken()
		if errors.Is(err, io.EOF) {
			return lines
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			line := "<" + token.Name.Space + ":" + token.Name.Local
			slices.SortFunc(token.Attr, func(a, b xml.Attr) int { return strings.Compare(a.Name.Local, b.Name.Local) })
			for _, a := range token.Attr {
				if token.Name.Local == "time" && a.Name.Local == "file" {
					continue // when the file was written
				}
				line += " " + a.Name.Local + "=" + a.Value
			}
			lines = append(lines, line)
		case xml.CharData:
			if text := strings.TrimSpace(string(token)); text != "" {
				lines = append(lines, text)
			}
		}
	}
}

// TestMetadataIsThatOfCreaterepo compares what dnf resolves by with what the
// tool writes that everybody uses.
func TestMetadataIsThatOfCreaterepo(t *testing.T) {
	fake.Tool(t, "createrepo_c")
	var dirs [2]string
	for i := range dirs {
		dirs[i] = t.TempDir()
		for _, name := range []string{app, lib, source} {
			if err := os.WriteFile(filepath.Join(dirs[i], name), read(t, name), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := describe(dirs[0]); err != nil {
		t.Fatal(err)
	}
	if err := (run.Command{Name: "createrepo_c", Args: []string{"--general-compress-type=gz", dirs[1]}}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"primary", "filelists"} {
		ours, theirs := metadata(t, dirs[0], kind), metadata(t, dirs[1], kind)
		slices.Sort(ours)
		slices.Sort(theirs)
		if diff := cmp.Diff(theirs, ours); diff != "" {
			t.Errorf("%s (-createrepo_c +ours):\n%s", kind, diff)
		}
	}
}

func TestFetchRefuses(t *testing.T) {
	head := "lockfileVersion: 1\nlockfileVendor: redhat\narches:\n  - arch: x86_64\n    packages:\n      - url: "
	good := "\n        checksum: sha256:" + sum([]byte("good"))
	cases := map[string]struct {
		lock string // %s is the mirror
		want any
		text string
		hint string
	}{
		"another content than is pinned": {lock: head + "%s/dep.rpm" + good, want: new(*fetch.ChecksumError), text: "dep.rpm", hint: "before you touch rpms.lock.yaml"},
		"no checksum":                    {lock: head + "%s/dep.rpm", want: new(*fetch.UnpinnedError), text: "no checksum of dep.rpm", hint: "writes checksums"},
		"a checksum that is weak":        {lock: head + "%s/dep.rpm\n        checksum: md5:00", text: `dep.rpm: checksum "md5:00"`, hint: "writes checksums"},
		"no RPM":                         {lock: head + "%s/dep.rpm\n        checksum: sha256:" + sum([]byte("evil")), text: "dep.rpm: it is not an RPM"},
		"another size":                   {lock: head + "%s/dep.rpm\n        size: 5\n        checksum: sha256:" + sum([]byte("evil")), text: "has 4 bytes, and the lockfile says 5"},
		"a login":                        {lock: head + "https://u:secret@h.test/dep.rpm" + good, text: "workspace netrc"},
		"a file of this machine":         {lock: head + "file:///etc/dep.rpm" + good, text: "not an http or https URL"},
		"a file that is no package":      {lock: head + "%s/dep.txt" + good, text: "does not name a file of the kind"},
		"a repository to climb":          {lock: head + "%s/dep.rpm\n        repoid: ../x" + good, text: `repoid "../x" cannot name`},
		"an architecture to climb":       {lock: strings.Replace(head, "x86_64", "../x", 1) + "%s/dep.rpm" + good, text: `arch "../x" is not an architecture`},
		"an architecture twice":          {lock: head + "%s/dep.rpm" + good + "\n  - arch: x86_64", text: "stands there twice"},
		"another version":                {lock: "lockfileVersion: 2\nlockfileVendor: redhat\n", text: "lockfileVersion 2"},
		"a key that would be lost":       {lock: "lockfileVersion: 1\nwhat: 1\n", text: `unknown field "what"`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			mirror := fake.NewMirror(t, map[string][]byte{"/dep.rpm": []byte("evil")})
			job := fake.Job(t, fake.Source(t, map[string]string{lockfile: strings.ReplaceAll(tc.lock, "%s", mirror.URL)}))

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

func TestOnlyTheArchitecturesAskedFor(t *testing.T) {
	mirror := fake.NewMirror(t, map[string][]byte{})
	job := fake.Job(t, fake.Source(t, map[string]string{lockfile: lockOf(t, mirror)}))
	input, err := Parse([]byte(`{"binary": {"arch": "s390x, aarch64"}}`))
	if err != nil {
		t.Fatal(err)
	}
	result, err := input.Fetch(t.Context(), job)
	if err != nil || len(result.Components) != 1 || mirror.Asked("//"+app) != 0 {
		t.Errorf("Fetch() = %v, %v, want one package", result, err)
	}
	repos, err := os.ReadFile(filepath.Join(job.Output, "deps/rpm/aarch64/repos.d/hermeto.repo"))
	if err != nil || !strings.Contains(string(repos), "gpgcheck=1\n") {
		t.Errorf("repositories = %s, %v, want signatures checked", repos, err)
	}
	if _, err := os.Stat(filepath.Join(job.Output, "deps/rpm/x86_64")); err == nil {
		t.Error("there is a folder for another architecture")
	}
}

func TestParseRefuses(t *testing.T) {
	for raw, text := range map[string]string{
		`{"options": {"ssl": {"client_cert": "/x"}}}`:             "options.ssl is not supported",
		`{"options": {"dnf": {"a": {"b": "1\n[c]\nbaseurl=x"}}}}`: "options.dnf.a.b cannot be set",
		`{"options": {"dnf": {"a]": {"b": 1}}}}`:                  "options.dnf.a].b cannot be set",
		`{"options": {"dnf": {"a": {"baseurl": "x"}}}}`:           "cannot be set",
		`{"path": "../x"}`: "leaves the source",
		`{"what": 1}`:      `key "what"`,
	} {
		var input *ecosystem.InputError
		if _, err := Parse([]byte(raw)); !errors.As(err, &input) || !strings.Contains(err.Error(), text) {
			t.Errorf("Parse(%s) = %v, want an error with %q", raw, err, text)
		}
	}
}

func FuzzParseLock(f *testing.F) {
	f.Add([]byte("lockfileVersion: 1\nlockfileVendor: redhat\narches:\n- arch: x86_64\n  packages:\n  - {url: 'https://h.test/a.rpm', repoid: b, checksum: 'sha256:00'}\n"))
	f.Add([]byte("lockfileVersion: 1\nlockfileVendor: redhat\narches: [{arch: .., module_metadata: [{url: 'https://h.test/..'}]}]\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		all, err := parseLock(lockfile, raw, func(string) bool { return true })
		for _, w := range all {
			parts := strings.Split(w.file.Path, "/")
			if err == nil && (!filepath.IsLocal(w.file.Path) || len(parts) != 5 || !strings.HasPrefix(w.file.Path, deps+"/")) {
				t.Errorf("would be kept at %q", w.file.Path)
			}
		}
	})
}

func FuzzReadFile(f *testing.F) {
	f.Add(read(f, lib)[:4096])
	f.Add(read(f, source)[:4096])
	f.Fuzz(func(_ *testing.T, raw []byte) {
		rpm, err := readFile(bytes.NewReader(raw))
		if err == nil {
			_, _ = encode(listed{file: rpm}.primary()) // must not panic
		}
	})
}
