package ecosystemcertpreflightchecks

import (
	"testing"

	"github.com/headrace-ci/headrace/pkg/sbom"
)

func TestJudgePackages(t *testing.T) {
	cases := map[string]struct {
		packages []sbom.Package
		want     string
	}{
		"none":              {},
		"others":            {packages: []sbom.Package{{Name: "bash", PURL: "pkg:rpm/rhel/bash@5"}, {Name: "kernel-headers", PURL: "pkg:rpm/rhel/kernel-headers@5"}}},
		"a kernel":          {packages: []sbom.Package{{Name: "kernel-core", PURL: "pkg:rpm/rhel/kernel-core@5"}}, want: "the image has kernel-core"},
		"a patch of one":    {packages: []sbom.Package{{Name: "kpatch-patch-5", PURL: "pkg:rpm/rhel/kpatch-patch-5@1"}}, want: "the image has kpatch-patch-5"},
		"of another system": {packages: []sbom.Package{{Name: "kernel", PURL: "pkg:npm/kernel@1"}}},
	}
	for title, tc := range cases {
		t.Run(title, func(t *testing.T) {
			if got := judgePackages(tc.packages); got != tc.want {
				t.Errorf("judgePackages() = %q, want %q", got, tc.want)
			}
		})
	}
}
