package generic

import (
	"crypto/sha256"
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

func sum(content string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(content))) }

func TestFetch(t *testing.T) {
	mirror := fake.NewMirror(t, map[string][]byte{
		"/a/tool.bin": []byte("tool"), "/b/tool.bin": []byte("other"),
		"/m2/org/example/lib/1.2/lib-1.2-sources.jar": []byte("jar"),
	})
	job := fake.Job(t, fake.Source(t, map[string]string{"sub/files.yaml": `
metadata: {version: "1.0"}
artifacts:
  - {download_url: ` + mirror.URL + `/a/tool.bin, checksum: "` + sum("tool") + `"}
  - {download_url: ` + mirror.URL + `/b/tool.bin, checksum: "` + sum("other") + `", filename: deeper/tool.bin}
  - type: maven
    checksum: "` + sum("jar") + `"
    attributes: {repository_url: ` + mirror.URL + `/m2, group_id: org.example, artifact_id: lib, version: "1.2", classifier: sources}
`}))
	input, err := Parse([]byte(`{"type": "generic", "path": "sub", "lockfile": "files.yaml"}`))
	if err != nil {
		t.Fatal(err)
	}

	result, err := input.Fetch(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"tool.bin": "tool", "deeper/tool.bin": "other", "lib-1.2-sources.jar": "jar"} {
		got, err := os.ReadFile(filepath.Join(job.Output, "deps/generic", name))
		if err != nil || string(got) != want {
			t.Errorf("%s = %q, %v, want %q", name, got, err, want)
		}
	}
	var plain []string
	for _, c := range result.Components {
		purl, qualifiers, _ := strings.Cut(c.PURL, "?")
		if !strings.Contains(qualifiers, "checksum=sha256%3A"+c.SHA256) {
			t.Errorf("%s lacks the checksum %s", c.PURL, c.SHA256)
		}
		plain = append(plain, purl)
	}
	if diff := cmp.Diff([]string{"pkg:generic/tool.bin", "pkg:generic/tool.bin", "pkg:maven/org.example/lib@1.2"}, plain); diff != "" {
		t.Errorf("purls (-want +got):\n%s", diff)
	}
}

func TestFetchRefuses(t *testing.T) {
	head := "metadata: {version: \"1.0\"}\nartifacts:\n"
	cases := map[string]struct {
		lock string // %s is the mirror
		want any
		text string
		hint string
	}{
		"another content than is pinned": {
			lock: head + `  - {download_url: %s/tool, checksum: "` + sum("good") + `"}`,
			want: new(*fetch.ChecksumError), text: "fetching tool: tool: http", hint: "artifacts.lock.yaml",
		},
		"no checksum":              {lock: head + `  - {download_url: %s/tool}`, want: new(*fetch.UnpinnedError), text: "no checksum of tool", hint: "sha256:"},
		"a checksum that is weak":  {lock: head + `  - {download_url: %s/tool, checksum: "md5:00"}`, text: `artifact 1: checksum "md5:00"`, hint: "sha256"},
		"a checksum that is none":  {lock: head + `  - {download_url: %s/tool, checksum: "sha256:0g"}`, text: "not in hex"},
		"a path that leaves":       {lock: head + `  - {download_url: %s/tool, filename: ../../x, checksum: "` + sum("") + `"}`, text: "leaves the folder"},
		"an absolute path":         {lock: head + `  - {download_url: %s/tool, filename: /etc/x, checksum: "` + sum("") + `"}`, text: "leaves the folder"},
		"a URL without a name":     {lock: head + `  - {download_url: "%s/", checksum: "` + sum("") + `"}`, text: "leaves the folder"},
		"a file of this machine":   {lock: head + `  - {download_url: "file:///etc/passwd", checksum: "` + sum("") + `"}`, text: "not an http or https URL"},
		"a login in the URL":       {lock: head + `  - {download_url: "https://u:secret@h.test/x", checksum: "` + sum("") + `"}`, text: "put it into workspace netrc"},
		"a login in the file":      {lock: head + `  - {download_url: "%s/tool", auth: {basic: {username: u}}, checksum: "` + sum("") + `"}`, text: "workspace netrc"},
		"two files with one name":  {lock: head + strings.Repeat(`  - {download_url: "https://h.test/tool", checksum: "`+sum("")+"\"}\n", 2), text: "artifact 2: an artifact before it"},
		"a key that would be lost": {lock: head + `  - {url: "%s/tool"}`, text: `unknown field "url"`, hint: "download_url"},
		"a Maven group to climb":   {lock: head + `  - {type: maven, attributes: {group_id: a/../b, artifact_id: c, version: d}}`, text: "attribute group_id"},
		"another type":             {lock: head + `  - {type: npm, download_url: "%s/tool"}`, text: "not a Maven artifact"},
		"another version":          {lock: "metadata: {version: \"3.0\"}", text: `metadata.version "3.0" is not supported`, hint: `"1.0"`},
		"no version":               {lock: "artifacts: []", text: "is not supported"},
		"broken YAML":              {lock: "{", text: "artifacts.lock.yaml: "},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			mirror := fake.NewMirror(t, map[string][]byte{"/tool": []byte("evil")})
			job := fake.Job(t, fake.Source(t, map[string]string{lockfile: strings.ReplaceAll(tc.lock, "%s", mirror.URL)}))

			_, err := Input{Path: ".", Lockfile: lockfile}.Fetch(t.Context(), job)

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

func TestParseRefusesWhatLeavesTheSource(t *testing.T) {
	for _, raw := range []string{`{"path": "../x"}`, `{"lockfile": "/etc/passwd"}`, `{"lockfile": "../x"}`} {
		var input *ecosystem.InputError
		if _, err := Parse([]byte(raw)); !errors.As(err, &input) {
			t.Errorf("Parse(%s) = %v, want it refused", raw, err)
		}
	}
	job := fake.Job(t, t.TempDir())
	if _, err := (Input{Path: ".", Lockfile: lockfile}).Fetch(t.Context(), job); err == nil || !strings.Contains(err.Error(), "the source has no artifacts.lock.yaml") {
		t.Errorf("Fetch() = %v, want it to say what is missing", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("metadata: {version: '1.0'}\nartifacts:\n  - {download_url: https://h.test/a, checksum: 'sha256:00', filename: ../x}\n"))
	f.Add([]byte("metadata: {version: 1.0}\nartifacts:\n  - {type: maven, attributes: {group_id: a, artifact_id: b, version: c, repository_url: 'https://h.test'}}\n"))
	f.Add([]byte("a: &a [1]\nmetadata: *a\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		files, _, err := parse(lockfile, raw)
		for _, file := range files {
			if err == nil && (!filepath.IsLocal(file.Path) || !strings.HasPrefix(file.Path, deps+"/")) {
				t.Errorf("would be kept at %q", file.Path)
			}
		}
	})
}
