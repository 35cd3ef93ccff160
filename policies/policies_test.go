// Package policies tests the rules that gate a release.
package policies

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/open-policy-agent/opa/v1/loader"
	"github.com/open-policy-agent/opa/v1/tester"
)

// TestRules runs every *_test.rego: a rule has a case that passes and one that
// does not.
func TestRules(t *testing.T) {
	dir, err := filepath.Abs("release")
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := loader.NewFileLoader().WithProcessAnnotation(true).All([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	results, err := tester.NewRunner().SetModules(loaded.ParsedModules()).Run(t.Context(), loaded.ParsedModules())
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for r := range results {
		ran++
		t.Run(fmt.Sprintf("%s.%s", r.Package, r.Name), func(t *testing.T) {
			if !r.Pass() {
				t.Errorf("%s: %v %s", r.Location, r.Error, r.Output)
			}
		})
	}
	if ran < 20 {
		t.Errorf("only %d rules' tests ran", ran)
	}
}
