package clairscan_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"

	"github.com/headrace-ci/headrace/pkg/sbom"
	"github.com/headrace-ci/headrace/pkg/task/clairscan"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/testoutput"
	"github.com/headrace-ci/headrace/test/fixture"
)

const (
	release = "ID=debian\nVERSION_ID=\"12\"\n"
	status  = `Package: libssl3
Status: install ok installed
Architecture: amd64
Source: openssl
Version: 3.0.9-1

Package: bash
Status: install ok installed
Architecture: amd64
Version: 5.2.15-2+b2
`
	opensslRecord = `{"id":"DEBIAN-CVE-2023-1","published":"2023-03-01T00:00:00Z","modified":"2026-05-04T00:00:00Z","upstream":["CVE-2023-1"],
"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
"affected":[{"package":{"ecosystem":"Debian:12","name":"openssl"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"3.0.9-2"}]}]}]}`
	bashRecord = `{"id":"DEBIAN-CVE-2023-2","published":"2023-03-02T00:00:00Z","modified":"2026-05-03T00:00:00Z","upstream":["CVE-2023-2"],
"affected":[{"package":{"ecosystem":"Debian:12","name":"bash"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}],"ecosystem_specific":{"urgency":"unimportant"}}]}`
	elsewhere = `{"id":"DEBIAN-CVE-2023-3","modified":"2026-05-03T00:00:00Z",
"affected":[{"package":{"ecosystem":"Debian:11","name":"openssl"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}]}]}`
	npmRecord = `{"id":"GHSA-1","published":"2024-01-01T00:00:00Z","modified":"2026-05-01T00:00:00Z","aliases":["CVE-2024-9"],"database_specific":{"severity":"MODERATE"},
"affected":[{"package":{"ecosystem":"npm","name":"@acme/left"},"ranges":[{"type":"SEMVER","events":[{"introduced":"1.0.0"},{"fixed":"1.2.4"}]}]}]}`
)

// database is an archive of records, as OSV publishes them.
func database(t *testing.T, records ...string) []byte {
	t.Helper()
	var raw bytes.Buffer
	w := zip.NewWriter(&raw)
	for i, r := range records {
		entry, err := w.Create(string(rune('a'+i)) + ".json")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := entry.Write([]byte(r)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return raw.Bytes()
}

// push pushes a database as an artifact.
func push(t *testing.T, ref string, archives ...[]byte) string {
	t.Helper()
	image := empty.Image
	for _, raw := range archives {
		var err error
		if image, err = mutate.AppendLayers(image, static.NewLayer(raw, "application/zip")); err != nil {
			t.Fatal(err)
		}
	}
	fixture.Push(t, ref, image)
	return ref
}

func scan(t *testing.T, args ...string) (code int, stderr string, verdict testoutput.Output, results map[string]string) {
	t.Helper()
	dir, work := t.TempDir(), t.TempDir()
	cmd := clairscan.Command()
	cmd.SetArgs(append([]string{"--results-dir=" + dir, "--workdir=" + work, "--database-dir=/nowhere"}, args...))
	var out bytes.Buffer
	code = taskcli.Run(t.Context(), cmd, &out)
	results = map[string]string{}
	for _, name := range []string{"SCAN_OUTPUT", "REPORTS", testoutput.ProcessedName, testoutput.Name} {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		results[name] = string(raw)
	}
	verdict, err := testoutput.Parse(results[testoutput.Name])
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(work); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	return code, out.String(), verdict, results
}

func counted(critical, medium, low, unknown, unpatchedLow int) string {
	return strings.NewReplacer("C", itoa(critical), "M", itoa(medium), "L", itoa(low), "U", itoa(unknown), "P", itoa(unpatchedLow)).Replace(
		`{"vulnerabilities":{"critical":C,"high":0,"low":L,"medium":M,"unknown":U},"unpatched_vulnerabilities":{"critical":0,"high":0,"low":P,"medium":0,"unknown":0}}`)
}

func itoa(n int) string { return string(rune('0' + n)) }

// parsed is a report as policies read it: from the layer of their media type in
// the manifest that REPORTS names for the image.
func parsed(t *testing.T, image name.Digest, reports string) []map[string]string {
	t.Helper()
	var digests map[string]string
	if err := json.Unmarshal([]byte(reports), &digests); err != nil {
		t.Fatal(err)
	}
	attached, err := remote.Image(image.Context().Digest(digests[image.DigestStr()]))
	if err != nil {
		t.Fatalf("REPORTS = %s: %v", reports, err)
	}
	manifest, err := attached.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Layers) != 1 || manifest.Layers[0].MediaType != "application/vnd.redhat.clair-report+json" || manifest.Subject.Digest.String() != image.DigestStr() {
		t.Fatalf("manifest = %+v", manifest)
	}
	raws := fixture.Attached(t, image)["application/vnd.redhat.clair-report+json"]
	if len(raws) != 1 {
		t.Fatalf("%d reports are attached, want 1", len(raws))
	}
	var report struct {
		Vulnerabilities map[string]map[string]any
	}
	if err := json.Unmarshal(raws[0], &report); err != nil {
		t.Fatal(err)
	}
	var all []map[string]string
	for _, id := range []string{"1", "2", "3"} {
		v, ok := report.Vulnerabilities[id]
		if !ok {
			break
		}
		short := map[string]string{}
		for _, key := range []string{"name", "normalized_severity", "fixed_in_version", "issued"} {
			short[key] = v[key].(string)
		}
		all = append(all, short)
	}
	return all
}

func TestScanImage(t *testing.T) {
	host := fixture.Registry(t)
	image := fixture.Push(t, host+"/app:1", fixture.Layered(t, map[string]string{"etc/os-release": release, "var/lib/dpkg/status": status}))
	db := push(t, host+"/osv:1", database(t, opensslRecord, elsewhere), database(t, bashRecord))

	code, stderr, verdict, results := scan(t, "--image-url="+host+"/app:1", "--image-digest="+image.DigestStr(), "--vulnerability-database="+db)

	if code != 0 || verdict.Result != testoutput.Success || !strings.Contains(verdict.Note, "database of 2026-05-04") {
		t.Fatalf("exit code = %d, verdict = %v: %s", code, verdict, stderr)
	}
	if diff := cmp.Diff(counted(1, 0, 0, 0, 1), results["SCAN_OUTPUT"]); diff != "" {
		t.Errorf("SCAN_OUTPUT (-want +got):\n%s", diff)
	}
	if want := testoutput.Processed(host+"/app:1", []string{image.DigestStr()}); results[testoutput.ProcessedName] != want {
		t.Errorf("IMAGES_PROCESSED = %s, want %s", results[testoutput.ProcessedName], want)
	}
	want := []map[string]string{
		{"name": "CVE-2023-2", "normalized_severity": "Negligible", "fixed_in_version": "", "issued": "2023-03-02T00:00:00Z"},
		{"name": "CVE-2023-1", "normalized_severity": "Critical", "fixed_in_version": "3.0.9-2", "issued": "2023-03-01T00:00:00Z"},
	}
	if diff := cmp.Diff(want, parsed(t, image, results["REPORTS"])); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

// TestScanSBOM: what only the attached SBOM lists is looked up too.
func TestScanSBOM(t *testing.T) {
	host := fixture.Registry(t)
	image := fixture.Push(t, host+"/app:1", fixture.Layered(t, map[string]string{"app.js": "x"}))
	document := `{"spdxVersion":"SPDX-2.3","packages":[
{"externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:npm/%40acme/left@1.2.3"}]},
{"externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:oci/base@sha256:0?repository_url=x"}]}]}`
	if _, err := sbom.Attach(t.Context(), image, []byte(document)); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "npm.zip"), database(t, npmRecord), 0o600); err != nil {
		t.Fatal(err)
	}

	code, stderr, verdict, results := scan(t, "--image-url="+host+"/app:1", "--image-digest="+image.DigestStr(), "--database-dir="+dir)

	if code != 0 || verdict.Result != testoutput.Success || results["SCAN_OUTPUT"] != counted(0, 1, 0, 0, 0) {
		t.Errorf("exit code = %d, verdict = %v, SCAN_OUTPUT = %s: %s", code, verdict, results["SCAN_OUTPUT"], stderr)
	}
}

func TestScanIndex(t *testing.T) {
	host := fixture.Registry(t)
	bad := fixture.Layered(t, map[string]string{"etc/os-release": release, "var/lib/dpkg/status": status})
	good := fixture.Layered(t, map[string]string{"app": "x"})
	images := map[string]v1.Image{"amd64": bad, "arm64": good}
	index := fixture.Push(t, host+"/app:1", fixture.Index(t, images))
	digests := map[string]string{"index": index.DigestStr()}
	for arch, image := range images {
		digest, err := image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		digests[arch] = digest.String()
	}
	db := push(t, host+"/osv:1", database(t, opensslRecord))
	cases := map[string]struct {
		platform string
		scanned  []string
		output   string
	}{
		"all":            {scanned: []string{"amd64", "arm64"}, output: counted(1, 0, 0, 0, 0)},
		"linux/x86_64":   {platform: "linux/x86_64", scanned: []string{"amd64"}, output: counted(1, 0, 0, 0, 0)},
		"linux-m2/arm64": {platform: "linux-m2/arm64", scanned: []string{"arm64"}, output: counted(0, 0, 0, 0, 0)},
	}
	for title, tc := range cases {
		t.Run(title, func(t *testing.T) {
			code, stderr, verdict, results := scan(t, "--image-url="+host+"/app:1", "--image-digest="+index.DigestStr(),
				"--vulnerability-database="+db, "--image-platform="+tc.platform)
			if code != 0 || verdict.Result != testoutput.Success || verdict.Successes != len(tc.scanned) || results["SCAN_OUTPUT"] != tc.output {
				t.Fatalf("exit code = %d, verdict = %v, SCAN_OUTPUT = %s: %s", code, verdict, results["SCAN_OUTPUT"], stderr)
			}
			var reports map[string]string
			if err := json.Unmarshal([]byte(results["REPORTS"]), &reports); err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, arch := range tc.scanned {
				want = append(want, digests[arch])
				if reports[digests[arch]] == "" {
					t.Errorf("REPORTS = %v has none of %s", reports, arch)
				}
			}
			if len(reports) != len(tc.scanned) {
				t.Errorf("REPORTS = %v, want of %v", reports, tc.scanned)
			}
			if want := testoutput.Processed(host+"/app:1", append(want, digests["index"])); results[testoutput.ProcessedName] != want {
				t.Errorf("IMAGES_PROCESSED = %s, want %s", results[testoutput.ProcessedName], want)
			}
		})
	}
}

// TestGaps: what was not looked up is said.
func TestGaps(t *testing.T) {
	host := fixture.Registry(t)
	image := fixture.Push(t, host+"/app:1", fixture.Layered(t, map[string]string{"etc/os-release": release, "var/lib/dpkg/status": status}))
	db := push(t, host+"/osv:1", database(t, npmRecord))
	_, stderr, verdict, _ := scan(t, "--image-url="+host+"/app:1", "--image-digest="+image.DigestStr(), "--vulnerability-database="+db, "--skip-oci-attach-report")
	if verdict.Result != testoutput.Warning || !strings.Contains(verdict.Note, "no record of Debian:12") {
		t.Errorf("verdict = %v: %s", verdict, stderr)
	}
	if got := fixture.Attached(t, image); len(got) > 0 {
		t.Errorf("a report is attached: %v", got)
	}
}

func TestThereIsAlwaysAVerdict(t *testing.T) {
	host := fixture.Registry(t)
	image := fixture.Push(t, host+"/app:1", fixture.Layered(t, map[string]string{"app": "x"}))
	index := fixture.Push(t, host+"/app:2", fixture.Index(t, map[string]v1.Image{"amd64": fixture.Layered(t)}))
	db := push(t, host+"/osv:1", database(t, npmRecord))
	zeros := "sha256:" + strings.Repeat("0", 64)
	cases := map[string]struct {
		args []string // over good ones
		code int
		text string // in the note
	}{
		"the image is gone":              {args: []string{"--image-digest=" + zeros}, text: "fetching"},
		"the registry is gone":           {args: []string{"--image-url=127.0.0.1:1/a:1"}, text: "127.0.0.1:1"},
		"another platform":               {args: []string{"--image-digest=" + index.DigestStr(), "--image-platform=linux/s390x"}, text: "only for amd64"},
		"no database":                    {args: []string{"--vulnerability-database="}, text: "oras push"},
		"the database is gone":           {args: []string{"--vulnerability-database=" + host + "/osv:2"}, text: "fetching the database"},
		"a database without records":     {args: []string{"--vulnerability-database=" + push(t, host+"/osv:3", database(t))}, text: "no record"},
		"a database that is none":        {args: []string{"--vulnerability-database=" + push(t, host+"/osv:4", []byte("no zip"))}, text: "reading record"},
		"no digest":                      {args: []string{"--image-digest="}, code: 2, text: "image digest"},
		"a database that is no name":     {args: []string{"--vulnerability-database=$(id)"}, code: 2, text: "--vulnerability-database"},
		"an image that is no name":       {args: []string{"--image-url=" + strings.Repeat("$(id)\n", 20_000)}, code: 2, text: "--image-url"},
		"a folder for files that is not": {args: []string{"--workdir=/nowhere"}, code: 2, text: "--workdir"},
	}
	for title, tc := range cases {
		t.Run(title, func(t *testing.T) {
			code, stderr, verdict, results := scan(t, append([]string{
				"--image-url=" + host + "/app:1", "--image-digest=" + image.DigestStr(), "--vulnerability-database=" + db,
			}, tc.args...)...)
			if code != tc.code || verdict.Result != testoutput.Error || !strings.Contains(verdict.Note, tc.text) {
				t.Errorf("exit code = %d, verdict = %v, want %d and a note with %q: %s", code, verdict, tc.code, tc.text, stderr)
			}
			if want := `{"vulnerabilities":{},"unpatched_vulnerabilities":{}}`; results["SCAN_OUTPUT"] != want || results["REPORTS"] != "{}" {
				t.Errorf("SCAN_OUTPUT = %s, REPORTS = %s, want no numbers", results["SCAN_OUTPUT"], results["REPORTS"])
			}
		})
	}
}
