package pip

import "testing"

func TestFilter(t *testing.T) {
	cases := map[string]struct {
		filter string
		file   string
		want   bool
	}{
		"standard, pure":                 {filter: `{}`, file: "a-1-py3-none-any.whl", want: true},
		"standard, Python 2 and 3":       {filter: `{}`, file: "a-1-py2.py3-none-any.whl", want: true},
		"standard, Python 2":             {filter: `{}`, file: "a-1-py2-none-any.whl"},
		"standard, this system":          {filter: `{}`, file: "a-1-1-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", want: true},
		"standard, another machine":      {filter: `{}`, file: "a-1-cp312-cp312-manylinux_2_17_aarch64.whl"},
		"standard, another system":       {filter: `{}`, file: "a-1-cp312-cp312-macosx_11_0_x86_64.whl"},
		"standard, another Python":       {filter: `{}`, file: "a-1-pp39-pypy39_pp73-manylinux_2_17_x86_64.whl"},
		"two machines":                   {filter: `{"arch": "x86_64, aarch64"}`, file: "a-1-cp312-cp312-manylinux_2_17_aarch64.whl", want: true},
		"every system":                   {filter: `{"os": ":all:"}`, file: "a-1-cp312-cp312-macosx_11_0_x86_64.whl", want: true},
		"one version":                    {filter: `{"py_version": 312}`, file: "a-1-cp312-cp312-linux_x86_64.whl", want: true},
		"a later version":                {filter: `{"py_version": 39}`, file: "a-1-cp312-abi3-linux_x86_64.whl"},
		"an earlier version":             {filter: `{"py_version": 312}`, file: "a-1-cp39-cp39-linux_x86_64.whl"},
		"an earlier version, stable ABI": {filter: `{"py_version": 312}`, file: "a-1-cp39-abi3-linux_x86_64.whl", want: true},
		"a major version":                {filter: `{"py_version": 312}`, file: "a-1-py3-none-any.whl", want: true},
		"an ABI":                         {filter: `{"abi": "cp312"}`, file: "a-1-cp311-cp311-linux_x86_64.whl"},
		"a platform":                     {filter: `{"platform": "^musl"}`, file: "a-1-cp311-cp311-musllinux_1_1_s390x.whl", want: true},
		"not a wheel":                    {filter: `{}`, file: "a-1.tar.gz"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			input := parse(t, `{"binary": `+tc.filter+`}`)
			w, ok := parseWheel(tc.file)
			if got := ok && input.Binary.wants(w); got != tc.want {
				t.Errorf("wanted = %t, want %t", got, tc.want)
			}
		})
	}
}

func TestCanonical(t *testing.T) {
	for _, same := range [][]string{
		{"1.0", "1", "v1.0.0", "0!1", "01.0"}, {"1.0a1", "1.0-alpha.1", "1A1"}, {"1.0rc2", "1.0.pre2", "1c2"},
		{"1.0.post1", "1.0-1", "1.0.rev1"}, {"1.0.dev0", "1.0dev"}, {"1.0+local.1", "1.0+LOCAL-1"}, {"2!1"}, {"1.10"}, {"not a version"},
	} {
		for _, other := range same {
			if canonical(other) != canonical(same[0]) {
				t.Errorf("canonical(%q) = %q, canonical(%q) = %q", other, canonical(other), same[0], canonical(same[0]))
			}
		}
	}
	if canonical("1.10") == canonical("1.1") || canonical("1.0a1") == canonical("1.0b1") {
		t.Error("two versions became one")
	}
}
