package vuln_test

import (
	"archive/zip"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/pkg/vuln"
)

func record(t *testing.T, text string) *vuln.Record {
	t.Helper()
	var r vuln.Record
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return &r
}

// affected is a record with one range of a package.
func affected(ecosystem, name, events string) string {
	return `{"id":"X-1","affected":[{"package":{"ecosystem":"` + ecosystem + `","name":"` + name + `"},"ranges":[{"type":"ECOSYSTEM","events":[` + events + `]}]}]}`
}

// TestVersions holds every system's order of versions, at a place where the
// order of strings, or of another system, would be wrong.
func TestVersions(t *testing.T) {
	cases := map[string]struct {
		purl              string
		source, version   string // of the source package
		ecosystem, name   string
		events            string
		affected, unknown bool
		fixed             string
	}{
		"debian, ten after nine": {
			purl: "pkg:deb/debian/libc6@2.36-9%2Bdeb12u9?distro=debian-12", source: "glibc", version: "2.36-9+deb12u9",
			ecosystem: "Debian:12", name: "glibc", events: `{"introduced":"0"},{"fixed":"2.36-9+deb12u10"}`, affected: true, fixed: "2.36-9+deb12u10",
		},
		"debian, a tilde is before": {
			purl: "pkg:deb/debian/x@1.0~rc1-1?distro=debian-12", ecosystem: "Debian:12", name: "x", events: `{"introduced":"0"},{"fixed":"1.0-1"}`, affected: true, fixed: "1.0-1",
		},
		"debian, another release": {
			purl: "pkg:deb/debian/x@1.0-1?distro=debian-11", ecosystem: "Debian:12", name: "x", events: `{"introduced":"0"}`,
		},
		"ubuntu with long support": {
			purl: "pkg:deb/ubuntu/x@1.0-1?distro=ubuntu-22.04", ecosystem: "Ubuntu:22.04:LTS", name: "x", events: `{"introduced":"0"}`, affected: true,
		},
		"alpine, a revision": {
			purl: "pkg:apk/alpine/libssl3@3.1.4-r2?distro=alpine-3.19.1", source: "openssl", version: "3.1.4-r2",
			ecosystem: "Alpine:v3.19", name: "openssl", events: `{"introduced":"0"},{"fixed":"3.1.4-r10"}`, affected: true, fixed: "3.1.4-r10",
		},
		"rpm, an epoch beats a version": {
			purl: "pkg:rpm/rhel/bind@9.16-1.el9?epoch=32&distro=rhel-9.4", ecosystem: "Red Hat:enterprise_linux:9::appstream", name: "bind",
			events: `{"introduced":"0"},{"fixed":"32:9.16-2.el9"}`, affected: true, fixed: "32:9.16-2.el9",
		},
		"rpm, fixed": {
			purl: "pkg:rpm/rhel/bash@5.1.8-9.el9?distro=rhel-9.4", ecosystem: "Red Hat:enterprise_linux:9::baseos", name: "bash",
			events: `{"introduced":"0"},{"fixed":"0:5.1.8-9.el9"}`,
		},
		"rpm, another release": {
			purl: "pkg:rpm/rhel/bash@5.1.8-9.el9?distro=rhel-9.4", ecosystem: "Red Hat:enterprise_linux:90::baseos", name: "bash", events: `{"introduced":"0"}`,
		},
		"go, with and without v": {
			purl: "pkg:golang/golang.org/x/net@v0.9.0", ecosystem: "Go", name: "golang.org/x/net", events: `{"introduced":"0"},{"fixed":"0.10.0"}`, affected: true, fixed: "0.10.0",
		},
		"go, its library": {
			purl: "pkg:golang/stdlib@1.21.3", ecosystem: "Go", name: "stdlib", events: `{"introduced":"0"},{"fixed":"1.20.10"},{"introduced":"1.21.0-0"},{"fixed":"1.21.10"}`,
			affected: true, fixed: "1.21.10",
		},
		"npm, a scope and a candidate": {
			purl: "pkg:npm/%40babel/traverse@7.23.0-rc.1", ecosystem: "npm", name: "@babel/traverse", events: `{"introduced":"0"},{"fixed":"7.23.0"}`, affected: true, fixed: "7.23.0",
		},
		"pypi, spelled differently": {
			purl: "pkg:pypi/Foo_Bar@1.0.post1", ecosystem: "PyPI", name: "foo-bar", events: `{"introduced":"1.0"},{"fixed":"1.0.1"}`, affected: true, fixed: "1.0.1",
		},
		"crates, after the last one": {
			purl: "pkg:cargo/time@0.2.1", ecosystem: "crates.io", name: "time", events: `{"introduced":"0"},{"last_affected":"0.2.0"}`,
		},
		"crates, the last one": {
			purl: "pkg:cargo/time@0.2.0", ecosystem: "crates.io", name: "time", events: `{"introduced":"0"},{"last_affected":"0.2.0"}`, affected: true,
		},
		"gem": {
			purl: "pkg:gem/rack@2.0.9.1", ecosystem: "RubyGems", name: "rack", events: `{"introduced":"0"},{"fixed":"2.0.9.2"}`, affected: true, fixed: "2.0.9.2",
		},
		"events in any order": {
			purl: "pkg:cargo/a@1.5.0", ecosystem: "crates.io", name: "a", events: `{"fixed":"2.0.0"},{"introduced":"1.4.0"},{"fixed":"1.2.0"},{"introduced":"1.0.0"}`, affected: true, fixed: "2.0.0",
		},
		"between two ranges": {
			purl: "pkg:cargo/a@1.3.0", ecosystem: "crates.io", name: "a", events: `{"introduced":"1.0.0"},{"fixed":"1.2.0"},{"introduced":"1.4.0"},{"fixed":"2.0.0"}`,
		},
		"a version that cannot be compared": {
			purl: "pkg:cargo/a@not-a-version", ecosystem: "crates.io", name: "a", events: `{"introduced":"1.0.0"}`, unknown: true,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := vuln.NewScan([]vuln.Package{{PURL: tc.purl, Source: tc.source, SourceVersion: tc.version}})
			s.Add(record(t, affected(tc.ecosystem, tc.name, tc.events)))
			got := s.Of(tc.purl)
			if len(got) > 0 != tc.affected || tc.affected && got[0].Fixed != tc.fixed {
				t.Errorf("matches = %+v, want affected %v, fixed in %q", got, tc.affected, tc.fixed)
			}
			if len(s.Problems) > 0 != tc.unknown {
				t.Errorf("problems = %v", s.Problems)
			}
		})
	}
}

func TestSeverity(t *testing.T) {
	cases := map[string]struct {
		record, affected string // more of each
		want             vuln.Severity
	}{
		"none":                     {want: vuln.Unknown},
		"GitHub's word":            {record: `,"database_specific":{"severity":"MODERATE"}`, want: vuln.Medium},
		"the distribution's word":  {affected: `,"ecosystem_specific":{"urgency":"unimportant"}`, record: `,"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]`, want: vuln.Negligible},
		"not assigned is no word":  {affected: `,"ecosystem_specific":{"urgency":"not yet assigned"}`, record: `,"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]`, want: vuln.Critical},
		"a score of version 3.1":   {record: `,"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H"}]`, want: vuln.High},
		"a score of version 4":     {record: `,"severity":[{"type":"CVSS_V4","score":"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"}]`, want: vuln.Critical},
		"a score of version 2":     {record: `,"severity":[{"type":"CVSS_V2","score":"AV:N/AC:L/Au:N/C:P/I:N/A:N"}]`, want: vuln.Medium},
		"a score that is none":     {record: `,"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/XX"}]`, want: vuln.Unknown},
		"Ubuntu's word is a score": {record: `,"severity":[{"type":"Ubuntu","score":"medium"}]`, want: vuln.Medium},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := vuln.NewScan([]vuln.Package{{PURL: "pkg:npm/a@1.0.0"}})
			text := `{"id":"X","affected":[{"package":{"ecosystem":"npm","name":"a"},"versions":["1.0.0"]` + tc.affected + `}]` + tc.record + `}`
			s.Add(record(t, text))
			if got := s.Of("pkg:npm/a@1.0.0"); len(got) != 1 || got[0].Severity != tc.want {
				t.Errorf("matches = %+v, want one that is %s", got, tc.want)
			}
		})
	}
}

// TestOnce: a vulnerability that several records tell of counts once.
func TestOnce(t *testing.T) {
	s := vuln.NewScan([]vuln.Package{{PURL: "pkg:npm/a@1.0.0"}})
	for _, more := range []string{
		`"id":"GO-1","aliases":["CVE-2024-1","GHSA-x"]`,
		`"id":"GHSA-x","aliases":["CVE-2024-1"],"database_specific":{"severity":"HIGH"}`,
		`"id":"DSA-1","upstream":["CVE-2024-1","CVE-2024-2"]`,
		`"id":"DEBIAN-CVE-2024-2","upstream":["CVE-2024-2"]`,
		`"id":"MAL-1"`,
		`"id":"GONE","withdrawn":"2024-01-01T00:00:00Z"`,
	} {
		s.Add(record(t, `{`+more+`,"affected":[{"package":{"ecosystem":"npm","name":"a"},"versions":["1.0.0"]}]}`))
	}
	var got []string
	for _, m := range s.Of("pkg:npm/a@1.0.0") {
		got = append(got, m.ID+" "+m.Name+" "+string(m.Severity))
	}
	want := []string{"DEBIAN-CVE-2024-2 CVE-2024-2 Unknown", "GHSA-x CVE-2024-1 High", "MAL-1 MAL-1 Unknown"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("matches (-want +got):\n%s", diff)
	}
}

func TestMissing(t *testing.T) {
	s := vuln.NewScan([]vuln.Package{
		{PURL: "pkg:npm/a@1.0.0"}, {PURL: "pkg:rpm/rhel/bash@5-1?distro=rhel-9.4"}, {PURL: "pkg:deb/debian/a@1?distro=debian-12"}, {PURL: "pkg:rpm/fedora/a@1?distro=fedora-40"},
	})
	for _, ecosystem := range []string{"npm", "Red Hat:enterprise_linux:9::baseos", "Debian:11"} {
		s.Add(record(t, affected(ecosystem, "other", `{"introduced":"0"}`)))
	}
	ecosystems, packages := s.Missing()
	if diff := cmp.Diff([]string{"Debian:12"}, ecosystems); diff != "" || packages != 1 {
		t.Errorf("missing %d packages, ecosystems (-want +got):\n%s", packages, diff)
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	archive := filepath.Join(dir, "all.zip")
	file, err := os.Create(archive)
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(file)
	for name, content := range map[string]string{"A-1.json": `{"id":"A-1"}`, "A-2.json": `{"id":"A-2"}`, "README": "no record"} {
		entry, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := entry.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "one.json"), []byte(`{"id":"B-1"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := vuln.Files(dir)
	if err != nil || len(files) != 2 {
		t.Fatalf("files = %v, %v", files, err)
	}
	ids := map[string]bool{}
	for _, f := range files {
		if err := vuln.Read(f, func(r *vuln.Record) error { ids[r.ID] = true; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(map[string]bool{"A-1": true, "A-2": true, "B-1": true}, ids); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}

	for content, want := range map[string]string{"no JSON": "reading record", `{"name":"x"}`: "has no id"} {
		bad := filepath.Join(dir, "bad.json")
		if err := os.WriteFile(bad, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		err := vuln.Read(bad, func(*vuln.Record) error { return nil })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Read(%q) = %v, want %q", content, err, want)
		}
	}
}

// FuzzAdd: no record and no package makes a scan crash.
func FuzzAdd(f *testing.F) {
	f.Add("pkg:deb/debian/a@1~rc1?distro=debian-12", affected("Debian:12", "a", `{"introduced":"0"},{"fixed":"1.0-1"}`))
	f.Add("pkg:npm/a@1.0.0", `{"id":"X","severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N"}],"affected":[{"package":{"ecosystem":"npm","name":"a"},"versions":["1.0.0"]}]}`)
	f.Fuzz(func(t *testing.T, purl, text string) {
		var r vuln.Record
		if json.Unmarshal([]byte(text), &r) != nil {
			return
		}
		s := vuln.NewScan([]vuln.Package{{PURL: purl}})
		s.Add(&r)
		s.Of(purl)
		s.Missing()
	})
}
