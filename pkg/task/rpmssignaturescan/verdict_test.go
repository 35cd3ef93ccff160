package rpmssignaturescan

import (
	"testing"

	"github.com/headrace-ci/headrace/pkg/tekton/testoutput"
)

func TestVerdict(t *testing.T) {
	cases := map[string]struct {
		keys     map[string]int
		want     string
		warnings int
	}{
		"no packages":              {want: testoutput.Success},
		"all signed":               {keys: map[string]int{"a": 2, "b": 1}, want: testoutput.Success},
		"some not signed warns of": {keys: map[string]int{"a": 2, unsigned: 3}, want: testoutput.Warning, warnings: 3},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := scan{images: 1, keys: tc.keys}.verdict()
			if got.Result != tc.want || got.Warnings != tc.warnings || got.Successes != 1 {
				t.Errorf("verdict() = %v, want %s with %d warnings", got, tc.want, tc.warnings)
			}
		})
	}
}
