package sourcebuild

import (
	"strings"
	"testing"
)

const digest = "sha256:0123456789012345678901234567890123456789012345678901234567890123"

func TestMarkedBase(t *testing.T) {
	purl := "pkg:oci/ubi@" + digest + "?repository_url=registry.example/ubi9/ubi"
	mark := `"annotations":[{"comment":"{\"name\":\"konflux:container:is_base_image\",\"value\":\"true\"}"}]`
	other := `"annotations":[{"comment":"{\"name\":\"konflux:container:is_builder_image:for_stage\",\"value\":\"0\"}"},{"comment":"words"}]`
	refs := `"externalRefs":[{"referenceType":"cpe","referenceLocator":"x"},{"referenceType":"purl","referenceLocator":"` + purl + `"}]`
	const want = "registry.example/ubi9/ubi@" + digest
	cases := map[string]struct{ document, want, problem string }{
		"SPDX":                        {`{"packages":[{` + other + `,` + refs + `},{` + mark + `,` + refs + `}]}`, want, ""},
		"CycloneDX":                   {`{"formulation":[{"components":[{"purl":"` + purl + `","properties":[{"name":"konflux:container:is_base_image"}]}]}]}`, want, ""},
		"only builders":               {`{"packages":[{` + other + `,` + refs + `}]}`, "", "no base image"},
		"nothing":                     {`{}`, "", "no base image"},
		"an empty document":           {``, "", "no base image"},
		"what is not JSON":            {`<`, "", "not JSON"},
		"a package URL without place": {`{"packages":[{` + mark + `,` + strings.Replace(refs, "?repository_url=registry.example/ubi9/ubi", "", 1) + `}]}`, "", "repository_url"},
		"a package URL that is none":  {`{"packages":[{` + mark + `,` + strings.Replace(refs, "pkg:", "", 1) + `}]}`, "", "names its base image"},
	}
	for what, tc := range cases {
		t.Run(what, func(t *testing.T) {
			got, err := markedBase([]byte(tc.document))
			if got != tc.want || tc.problem != "" && (err == nil || !strings.Contains(err.Error(), tc.problem)) {
				t.Errorf("markedBase() = %q, %v, want %q, %q", got, err, tc.want, tc.problem)
			}
		})
	}
}
