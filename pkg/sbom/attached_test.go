package sbom_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/pkg/sbom"
	"github.com/headrace-ci/headrace/test/fixture"
)

func TestAttached(t *testing.T) {
	cases := map[string]struct {
		document string
		want     []sbom.Listed
		wantErr  string
	}{
		"SPDX": {
			document: `{"spdxVersion":"SPDX-2.3","packages":[
{"externalRefs":[{"referenceType":"cpe23Type","referenceLocator":"cpe"},{"referenceType":"purl","referenceLocator":"pkg:npm/a@1"}]},
{"externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:oci/b@sha256:0"}],"annotations":[{"comment":"no JSON"},{"comment":"{\"name\":\"mark\",\"value\":\"1\"}"}]}]}`,
			want: []sbom.Listed{{PURL: "pkg:npm/a@1"}, {PURL: "pkg:oci/b@sha256:0", Marks: []string{"mark"}}},
		},
		"CycloneDX, in components of components": {
			document: `{"bomFormat":"CycloneDX","components":[{"components":[{"purl":"pkg:npm/a@1"}]}],
"formulation":[{"components":[{"purl":"pkg:oci/b@sha256:0","properties":[{"name":"mark"}]}]}]}`,
			want: []sbom.Listed{{PURL: "pkg:oci/b@sha256:0", Marks: []string{"mark"}}, {PURL: "pkg:npm/a@1"}},
		},
		"something else": {document: `{"packages":[]}`, wantErr: "neither SPDX nor CycloneDX"},
		"no JSON":        {document: `<xml/>`, wantErr: "reading the SBOM"},
	}
	for title, tc := range cases {
		t.Run(title, func(t *testing.T) {
			image := fixture.Push(t, fixture.Registry(t)+"/app:1", fixture.Layered(t))
			if _, err := sbom.Attach(t.Context(), image, []byte(tc.document)); err != nil {
				t.Fatal(err)
			}
			got, err := sbom.Attached(t.Context(), image)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Errorf("Attached() = %v, want %q", err, tc.wantErr)
				}
				return
			}
			if diff := cmp.Diff(tc.want, got); diff != "" || err != nil {
				t.Errorf("Attached() = %v (-want +got):\n%s", err, diff)
			}
		})
	}
	image := fixture.Push(t, fixture.Registry(t)+"/app:1", fixture.Layered(t))
	if _, err := sbom.Attached(t.Context(), image); !errors.Is(err, sbom.ErrNone) {
		t.Errorf("Attached() = %v, want that there is none", err)
	}
}

// TestSources: vulnerabilities are recorded by what packages were built from.
func TestSources(t *testing.T) {
	image := fixture.Layered(t, map[string]string{
		"var/lib/dpkg/status":  "Package: libssl3\nVersion: 3.0.9-1\nSource: openssl\n\nPackage: libc-bin\nVersion: 2.36-9+b1\nSource: glibc (2.36-9)\n\nPackage: bash\nVersion: 5.2-1\n",
		"lib/apk/db/installed": "P:libcrypto3\nV:3.1.4-r2\no:openssl\n\n",
	})
	found, err := sbom.Scan(image)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, p := range found {
		got[p.Name] = p.Source + " " + p.SourceVersion
	}
	want := map[string]string{"libssl3": "openssl 3.0.9-1", "libc-bin": "glibc 2.36-9", "bash": " ", "libcrypto3": "openssl 3.1.4-r2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
}
