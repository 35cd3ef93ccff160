package prefetch

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/pkg/prefetch/ecosystem"
	"github.com/headrace-ci/headrace/pkg/prefetch/gomod"
)

func TestParseInput(t *testing.T) {
	at := func(path string) Package {
		return Package{Type: "gomod", Input: gomod.Input{Type: "gomod", Path: path}}
	}
	cases := map[string]struct {
		input string
		want  []Package
		env   []ecosystem.Variable
		text  string // in the error; "" for none
	}{
		"empty is nothing":             {input: " "},
		"a name":                       {input: "gomod", want: []Package{at(".")}},
		"an object":                    {input: `{"type": "gomod"}`, want: []Package{at(".")}},
		"a path":                       {input: `{"type": "gomod", "path": "tools/x"}`, want: []Package{at("tools/x")}},
		"a list":                       {input: `[{"type": "gomod"}, {"type": "gomod", "path": "b"}]`, want: []Package{at("."), at("b")}},
		"a list under packages":        {input: `{"packages": [{"type": "gomod"}]}`, want: []Package{at(".")}},
		"a flag for the build":         {input: `{"packages": [], "flags": ["cgo-disable"]}`, env: []ecosystem.Variable{{Name: "CGO_ENABLED", Value: "0"}}},
		"a flag of old":                {input: `{"packages": [{"type": "gomod"}], "flags": ["gomod-vendor"]}`, want: []Package{at(".")}},
		"a flag that would be lost":    {input: `{"packages": [], "flags": ["force-gomod-tidy"]}`, text: "force-gomod-tidy"},
		"a mode where no policy looks": {input: `{"packages": [], "mode": "permissive"}`, text: `keys ["mode"] are not supported`},
		"another package manager":      {input: `{"type": "x-maven"}`, text: `type "x-maven" cannot be prefetched`},
		"no package manager":           {input: "gmod", text: `"gmod" is no package manager`},
		"a name with a quote":          {input: `go"mod`, text: "is no package manager"},
		"no type":                      {input: `{"path": "."}`, text: "no type"},
		"a path that leaves":           {input: `{"type": "gomod", "path": "../x"}`, text: `type gomod: path "../x" leaves the source`},
		"an absolute path":             {input: `{"type": "gomod", "path": "/etc"}`, text: "leaves the source"},
		"a key that would be lost":     {input: `{"type": "gomod", "flags": ["x"]}`, text: `key "flags" is not supported`},
		"a path that is no string":     {input: `{"type": "gomod", "path": 1}`, text: "cannot unmarshal number"},
		"JSON that is broken":          {input: `{"type": "gomod"`, text: "not valid JSON"},
		"a list of something else":     {input: `["gomod"]`, text: "not valid JSON"},
		"packages that are no list":    {input: `{"packages": "gomod"}`, text: "not valid JSON"},
		"null in the list of packages": {input: `[null]`, text: "no type"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := ParseInput(tc.input)

			var input *InputError
			switch {
			case tc.text == "" && err != nil:
				t.Fatalf("ParseInput() = %v", err)
			case tc.text != "" && (!errors.As(err, &input) || input.Fix == ""):
				t.Fatalf("ParseInput() = %v, want an *InputError with a fix", err)
			case tc.text != "" && !strings.Contains(err.Error(), tc.text):
				t.Errorf("ParseInput() = %q, want it to contain %q", err, tc.text)
			}
			if diff := cmp.Diff(Request{Packages: tc.want, Env: tc.env}, got); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzParseInput(f *testing.F) {
	f.Add(`{"packages": [{"type": "gomod", "path": "a"}], "flags": ["cgo-disable"]}`)
	f.Add(`[{"type": 1}]`)
	f.Fuzz(func(_ *testing.T, text string) {
		_, _ = ParseInput(text) // must not panic
	})
}
