package prefetch

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/pkg/prefetch/ecosystem"
	"github.com/headrace-ci/headrace/pkg/prefetch/fake"
	"github.com/headrace-ci/headrace/pkg/prefetch/fetch"
)

const mount = "/cachi2/output"

// monorepo has two npm projects that share a package, a file of any kind, and a
// package that nobody pinned.
func monorepo(t testing.TB, mirror *fake.Mirror) map[string]string {
	dep := fake.Archive(t, map[string]string{"package/package.json": `{"name": "dep", "version": "1.0.0"}`})
	mirror.Set("/dep/-/dep-1.0.0.tgz", dep)
	mirror.Set("/tool.bin", []byte("tool"))
	sum := sha1.Sum(dep)
	lock := `{"name": "%s", "lockfileVersion": 3, "packages": {"": {"name": "%[1]s"}, "node_modules/dep": {"version": "1.0.0",
		"resolved": "https://registry.npmjs.org/dep/-/dep-1.0.0.tgz"%s}}}`
	pin := `, "integrity": "sha1-` + base64.StdEncoding.EncodeToString(sum[:]) + `"`
	return map[string]string{
		"a/package.json": `{}`, "a/package-lock.json": fmt.Sprintf(lock, "a", pin),
		"b/package.json": `{}`, "b/package-lock.json": fmt.Sprintf(lock, "b", pin),
		"loose/package.json": `{}`, "loose/package-lock.json": fmt.Sprintf(lock, "loose", ""),
		"artifacts.lock.yaml": fmt.Sprintf("metadata: {version: '1.0'}\nartifacts:\n  - {download_url: %s/tool.bin, checksum: 'sha256:%x'}\n",
			mirror.URL, sha256.Sum256([]byte("tool"))),
	}
}

func options(t testing.TB, source, input string, mirror *fake.Mirror) Options {
	t.Helper()
	request, err := ParseInput(input)
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Source: source, Output: t.TempDir(), Mount: mount, Request: request,
		Fetch: fetch.Options{Transport: http.DefaultTransport, Attempts: 1}, Proxies: map[string]string{"npm": mirror.URL},
	}
}

// sbom is what the tests read of one.
type sbom struct {
	DocumentNamespace string
	Packages          []struct {
		SPDXID, Name string
		Checksums    []struct{ ChecksumValue string }
		ExternalRefs []struct{ ReferenceLocator string }
		Annotations  []struct{ Annotator, Comment string }
	}
	Relationships []struct{ SpdxElementID, RelatedSpdxElement, RelationshipType string }
}

func readSBOM(t testing.TB, output string) (raw string, doc sbom) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(output, "bom.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &doc); err != nil {
		t.Fatal(err)
	}
	return string(content), doc
}

func TestRunManyInputs(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "0")
	mirror := fake.NewMirror(t, map[string][]byte{})
	source := fake.Source(t, monorepo(t, mirror))
	opts := options(t, source, `{"packages": [{"type": "npm", "path": "a"}, {"type": "npm", "path": "b"}, {"type": "generic"}], "flags": ["cgo-disable"]}`, mirror)

	outcome, err := Run(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	want := []ecosystem.Variable{{Name: "CGO_ENABLED", Value: "0"}, {Name: "NPM_CONFIG_AUDIT", Value: "false"}}
	if diff := cmp.Diff(want, outcome.Env); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
	raw, doc := readSBOM(t, opts.Output)
	edges := map[string]string{}
	for _, r := range doc.Relationships {
		edges[r.SpdxElementID] += " " + r.RelationshipType + " " + r.RelatedSpdxElement
	}
	var got []string
	for _, p := range doc.Packages {
		purl, _, _ := strings.Cut(p.ExternalRefs[0].ReferenceLocator, "?")
		got = append(got, strings.TrimPrefix(p.SPDXID, "SPDXRef-")+" "+purl+edges[p.SPDXID])
	}
	packages := []string{
		"Package-0 pkg:npm/a#a DEPENDS_ON SPDXRef-Package-1", "Package-1 pkg:npm/dep@1.0.0",
		"Package-2 pkg:npm/b#b DEPENDS_ON SPDXRef-Package-1", "Package-3 pkg:generic/tool.bin",
	}
	if diff := cmp.Diff(packages, got); diff != "" {
		t.Errorf("packages of the SBOM (-want +got):\n%s", diff)
	}
	if edges["SPDXRef-DOCUMENT"] != " DESCRIBES SPDXRef-Package-0 DESCRIBES SPDXRef-Package-2" {
		t.Errorf("the document %s", edges["SPDXRef-DOCUMENT"])
	}

	again := options(t, source, "", mirror)
	again.Request = opts.Request
	if _, err := Run(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	if second, _ := readSBOM(t, again.Output); second != raw {
		t.Errorf("a second run differs:\n%s", cmp.Diff(raw, second))
	}

	if err := Apply(source, outcome.Edits); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b"} {
		content, err := os.ReadFile(filepath.Join(source, name, "package-lock.json"))
		if err != nil || !strings.Contains(string(content), `"file:///cachi2/output/deps/npm/dep-1.0.0.tgz"`) {
			t.Errorf("lockfile of %s = %s, %v, want it to name what was fetched", name, content, err)
		}
	}
}

func TestRunSaysWhatItTookWithoutAChecksum(t *testing.T) {
	mirror := fake.NewMirror(t, map[string][]byte{})
	opts := options(t, fake.Source(t, monorepo(t, mirror)), `{"type": "npm", "path": "loose"}`, mirror)
	var unpinned *fetch.UnpinnedError
	if _, err := Run(t.Context(), opts); !errors.As(err, &unpinned) {
		t.Fatalf("Run() = %v, want an *UnpinnedError", err)
	}
	opts.Fetch.Permissive = true
	if _, err := Run(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	_, doc := readSBOM(t, opts.Output)
	want := `{"name":"hermeto:missing_hash:in_file","value":"loose/package-lock.json"}`
	if a := doc.Packages[1].Annotations; len(a) != 1 || a[0].Comment != want || !strings.HasSuffix(a[0].Annotator, "hermeto:jsonencoded") {
		t.Errorf("annotations = %v, want %s", a, want)
	}
}

func TestMergeEnv(t *testing.T) {
	have := []ecosystem.Variable{{Name: "A", Value: "1"}, {Name: "C", Value: "3"}}
	got, err := mergeEnv(have, []ecosystem.Variable{{Name: "B", Value: "2"}, {Name: "A", Value: "1"}})
	if diff := cmp.Diff([]ecosystem.Variable{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}, {Name: "C", Value: "3"}}, got); err != nil || diff != "" {
		t.Errorf("mergeEnv() = %v (-want +got):\n%s", err, diff)
	}
	if _, err := mergeEnv(have, []ecosystem.Variable{{Name: "A", Value: "2"}}); err == nil || err.Error() != `the build would need variable A to be both "1" and "2"` {
		t.Errorf("mergeEnv() = %v, want the conflict", err)
	}
}

func TestMergeEdits(t *testing.T) {
	one := []ecosystem.Edit{{Path: "a/../b", Content: []byte("1")}}
	if got, err := mergeEdits(one[:0:0], append(one, ecosystem.Edit{Path: "b", Content: []byte("1")})); err != nil || len(got) != 1 {
		t.Errorf("mergeEdits() = %v, %v, want one edit", got, err)
	}
	if _, err := mergeEdits(one, []ecosystem.Edit{{Path: "a/../b", Content: []byte("2")}, {Path: "b", Content: []byte("3")}}); err == nil || !strings.Contains(err.Error(), "change b, each in its way") {
		t.Errorf("mergeEdits() = %v, want the conflict", err)
	}
}

func TestApplyDoesNotFollowLinksOut(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "file")
	source := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(source, "package.json")); err != nil {
		t.Fatal(err)
	}
	err := Apply(source, []ecosystem.Edit{{Path: "package.json", Content: []byte("{}")}})
	if err == nil || !strings.Contains(err.Error(), "changing package.json for the build") {
		t.Errorf("Apply() = %v, want the link refused", err)
	}
	if _, err := os.Stat(outside); err == nil {
		t.Error("a file outside of the source was written")
	}
}

func TestWriteEnvIsReadByAShellAsItIs(t *testing.T) {
	dir := t.TempDir()
	value := `it's $(touch x) "quoted" \ and long`
	if err := WriteEnv(dir, []ecosystem.Variable{{Name: "A", Value: value}, {Name: "B", Value: "/plain/path"}, {Name: "C"}}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cachi2.env", "prefetch.env"} {
		cmd := exec.Command("sh", "-c", `. "./$0"; printf %s "$A|$B|$C"`, name)
		cmd.Dir = dir
		out, err := cmd.Output()
		if err != nil || string(out) != value+"|/plain/path|" {
			t.Errorf("%s gives %q, %v", name, out, err)
		}
	}
	raw, err := os.ReadFile(filepath.Join(dir, "prefetch-env.json"))
	if err != nil {
		t.Fatal(err)
	}
	var got []ecosystem.Variable
	if err := json.Unmarshal(raw, &got); err != nil || len(got) != 3 || got[0].Value != value {
		t.Errorf("prefetch-env.json = %s, %v", raw, err)
	}
}
