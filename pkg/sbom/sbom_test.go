package sbom_test

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	spdxjson "github.com/spdx/tools-golang/json"
	spdx "github.com/spdx/tools-golang/spdx/v2/v2_3"

	"github.com/headrace-ci/headrace/pkg/run"
	"github.com/headrace-ci/headrace/pkg/sbom"
	"github.com/headrace-ci/headrace/test/fixture"
)

const dpkgStatus = `Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u8
Description: GNU C Library
 Version: none, this continues the description

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
`

func image(t *testing.T, layers ...map[string]string) v1.Image {
	t.Helper()
	img := v1.Image(empty.Image)
	for _, files := range layers {
		var buf bytes.Buffer
		w := tar.NewWriter(&buf)
		for file, content := range files {
			if err := w.WriteHeader(&tar.Header{Name: file, Mode: 0o755, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(w, content); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil })
		if err != nil {
			t.Fatal(err)
		}
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			t.Fatal(err)
		}
	}
	return img
}

func TestScan(t *testing.T) {
	release := map[string]string{"etc/os-release": "ID=debian\nVERSION_ID=\"12\"\n", "var/lib/dpkg/status": dpkgStatus}
	libc := []string{"pkg:deb/debian/libc6@2.36-9%2Bdeb12u8?arch=amd64&distro=debian-12"}
	cases := map[string]struct {
		layers []map[string]string
		want   []string
	}{
		"packages of Debian":                    {[]map[string]string{release}, libc},
		"with leading dots in names":            {[]map[string]string{{"./etc/os-release": release["etc/os-release"], "./var/lib/dpkg/status": dpkgStatus}}, libc},
		"packages of Alpine":                    {[]map[string]string{{"lib/apk/db/installed": "C:Q1\nP:musl\nV:1.2.5-r0\nA:x86_64\n\n"}}, []string{"pkg:apk/alpine/musl@1.2.5-r0?arch=x86_64"}},
		"a layer above replaces the database":   {[]map[string]string{release, {"var/lib/dpkg/status": ""}}, nil},
		"a layer above deletes the database":    {[]map[string]string{release, {"var/lib/dpkg/.wh.status": ""}}, nil},
		"a layer above deletes a folder":        {[]map[string]string{release, {"var/.wh.lib": ""}}, nil},
		"a layer above makes a folder its own":  {[]map[string]string{release, {"var/lib/.wh..wh..opq": ""}}, nil},
		"a deletion below does not count":       {[]map[string]string{{"var/lib/dpkg/.wh.status": ""}, release}, libc},
		"a file that is no program":             {[]map[string]string{{"bin/x": "\x7fELF, or not"}}, nil},
		"an image of nothing has nothing in it": {nil, nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			found, err := sbom.Scan(image(t, tc.layers...))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range found {
				got = append(got, p.PURL)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("packages (-want +got):\n%s", diff)
			}
		})
	}
}

// TestScanRPM scans a database that the module which reads such brings with it.
func TestScanRPM(t *testing.T) {
	dir, err := run.Output(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/knqyf263/go-rpmdb")
	if err != nil {
		t.Fatal(err)
	}
	database, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "pkg/testdata/fedora35/rpmdb.sqlite"))
	if err != nil {
		t.Fatal(err)
	}

	found, err := sbom.Scan(image(t, map[string]string{
		"etc/os-release": "ID=fedora\nVERSION_ID=35\n", "var/lib/rpm/rpmdb.sqlite": string(database),
	}))
	if err != nil {
		t.Fatal(err)
	}

	want := sbom.Package{
		Name: "bash", Version: "5.1.8-2.fc35", Location: "var/lib/rpm/rpmdb.sqlite",
		PURL: "pkg:rpm/fedora/bash@5.1.8-2.fc35?arch=x86_64&distro=fedora-35",
	}
	if len(found) != 137 || !slices.Contains(found, want) {
		t.Errorf("found %d packages, want 137 with %+v", len(found), want)
	}
}

// TestScanGo scans this test's own program.
func TestScanGo(t *testing.T) {
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Skip("this system has no /proc/self/exe")
	}

	found, err := sbom.Scan(image(t, map[string]string{"usr/bin/app": string(program)}))
	if err != nil {
		t.Fatal(err)
	}

	var all strings.Builder
	for _, p := range found {
		all.WriteString(p.PURL + "\n")
		if p.Location != "usr/bin/app" {
			t.Errorf("%s was found in %q", p.PURL, p.Location)
		}
	}
	for _, want := range []string{"pkg:golang/stdlib@1.", "pkg:golang/github.com/headrace-ci/headrace\n"} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("found no %s in\n%s", want, &all)
		}
	}
}

func TestImageDocument(t *testing.T) {
	ref := fixture.Registry(t) + "/team/app"
	img := image(t, map[string]string{"lib/apk/db/installed": "P:musl\nV:1.2.5-r0\n\n"})
	tag, err := name.NewTag(ref + ":1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, img); err != nil {
		t.Fatal(err)
	}
	hash, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	subject := sbom.Subject{Reference: tag.Context().Digest(hash.String()), Tag: "1", Arch: "amd64"}
	bases := []sbom.Base{
		{Name: "registry.example.com/golang:1.26", Digest: hash.String()},
		{Name: "registry.example.com/base:1", Digest: hash.String(), Stage: 1, Final: true},
		{Name: "registry.example.com/tool:1", Digest: hash.String(), Copied: true},
	}
	found := []sbom.Package{{Name: "musl", Version: "1.2.5-r0", PURL: "pkg:apk/alpine/musl@1.2.5-r0"}}
	prefetched, err := sbom.Prefetched(strings.NewReader(prefetchedDocument))
	if err != nil {
		t.Fatal(err)
	}

	doc, err := sbom.Image(subject, bases, found, prefetched)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := sbom.Encode(doc)
	if err != nil {
		t.Fatal(err)
	}
	url, err := sbom.Attach(t.Context(), subject.Reference, encoded)
	if err != nil {
		t.Fatal(err)
	}

	got := fetch(t, url)
	if diff := cmp.Diff(map[string]string{
		"app": "", "golang": "konflux:container:is_builder_image:for_stage=0", "base": "konflux:container:is_base_image=true",
		"tool": "konflux:container:is_builder_image:additional_builder_image=true", "musl": "", "example.com/lib": "",
	}, marks(got)); diff != "" {
		t.Errorf("packages and their marks (-want +got):\n%s", diff)
	}
	attached, err := remote.Image(tag.Context().Tag(strings.Replace(hash.String(), ":", "-", 1) + ".sbom"))
	if err != nil {
		t.Fatalf("no SBOM where clients look for one: %v", err)
	}
	layers, err := attached.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("layers %v, error %v", layers, err)
	}
}

// marks are the names of a document's packages, with what they are annotated.
func marks(doc *spdx.Document) map[string]string {
	all := map[string]string{}
	for _, p := range doc.Packages {
		all[p.PackageName] = ""
		for _, a := range p.Annotations {
			comment := strings.NewReplacer(`{"name":"`, "", `","value":"`, "=", `"}`, "").Replace(a.AnnotationComment)
			all[p.PackageName] = comment
		}
	}
	return all
}

func fetch(t *testing.T, url string) *spdx.Document {
	t.Helper()
	ref, err := name.NewDigest(url)
	if err != nil {
		t.Fatal(err)
	}
	layer, err := remote.Layer(ref)
	if err != nil {
		t.Fatal(err)
	}
	content, err := layer.Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	doc, err := spdxjson.Read(content)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

const prefetchedDocument = `{
  "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": "x", "documentNamespace": "https://example.com/x",
  "creationInfo": {"creators": ["Tool: x"], "created": "2026-01-01T00:00:00Z"},
  "packages": [
    {"name": "example.com/app", "SPDXID": "SPDXRef-main", "downloadLocation": "NOASSERTION"},
    {"name": "example.com/lib", "SPDXID": "SPDXRef-lib", "downloadLocation": "NOASSERTION",
     "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": "pkg:golang/example.com/lib@v1.0.0?type=module"}]},
    {"name": "musl", "SPDXID": "SPDXRef-musl", "downloadLocation": "NOASSERTION",
     "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": "pkg:apk/alpine/musl@1.2.5-r0?x=y"}]}
  ],
  "relationships": [{"spdxElementId": "SPDXRef-DOCUMENT", "relatedSpdxElement": "SPDXRef-main", "relationshipType": "DESCRIBES"}]
}`
