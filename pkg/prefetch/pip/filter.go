package pip

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/headrace-ci/headrace/pkg/prefetch/ecosystem"
)

// all stands for everything in a filter.
const all = ":all:"

// Filter says which wheels are wanted. Its fields are lists with commas.
type Filter struct {
	Packages string      `json:"packages"`
	Arch     string      `json:"arch"`
	OS       string      `json:"os"`
	Version  json.Number `json:"py_version"` // such as 312; "" for any
	Impl     string      `json:"py_impl"`
	ABI      string      `json:"abi"`
	Platform string      `json:"platform"` // regular expression, instead of Arch and OS

	platform *regexp.Regexp
	version  int
}

// standard is the filter of an empty object in the input.
func standard() Filter {
	return Filter{Packages: all, Arch: "x86_64", OS: "linux", Impl: "cp", ABI: all}
}

// check reads what is not a list.
func (f *Filter) check() error {
	wrong := func(key, problem string) error {
		return &ecosystem.InputError{Problem: fmt.Sprintf("binary.%s %s", key, problem), Fix: `"binary": {} is for CPython on Linux, x86_64`}
	}
	if f.Version != "" {
		number, err := strconv.Atoi(f.Version.String())
		if err != nil || number < 2 {
			return wrong("py_version", "is not a number such as 312")
		}
		f.version = number
	}
	if f.Platform != "" {
		if f.Arch != standard().Arch || f.OS != standard().OS {
			return wrong("platform", "cannot be set together with arch or os")
		}
		expression, err := regexp.Compile(f.Platform)
		if err != nil {
			return wrong("platform", "is not a regular expression")
		}
		f.platform = expression
	}
	return nil
}

// in tells whether one of the list's entries is fine with value.
func in(list, value string, matches func(value, entry string) bool) bool {
	for entry := range strings.SplitSeq(list, ",") {
		if entry = strings.TrimSpace(entry); entry == all || entry != "" && matches(value, entry) {
			return true
		}
	}
	return false
}

func same(value, entry string) bool { return value == normalize(entry) }

// kinds tells whether source archives and wheels of a project are wanted.
// Without a filter it is source archives alone; with one for named projects,
// their wheels alone.
func (f *Filter) kinds(project string) (sdist, wheel bool) {
	switch {
	case f == nil:
		return true, false
	case slices.ContainsFunc(strings.Split(f.Packages, ","), func(p string) bool { return strings.TrimSpace(p) == all }):
		return true, true
	default:
		named := in(f.Packages, project, same)
		return !named, named
	}
}

// wants tells whether one of a wheel's tags is asked for.
func (f *Filter) wants(w wheel) bool {
	return slices.ContainsFunc(w.pythons, func(python string) bool {
		return slices.ContainsFunc(w.abis, func(abi string) bool {
			return f.wantsPython(python, abi) && (abi == "abi3" || abi == "none" || in(f.ABI, abi, strings.Contains))
		})
	}) && slices.ContainsFunc(w.platforms, f.wantsPlatform)
}

func (f *Filter) wantsPlatform(platform string) bool {
	if f.platform != nil {
		return f.platform.MatchString(platform)
	}
	return platform == "any" || in(f.Arch, platform, strings.Contains) && in(f.OS, platform, strings.Contains)
}

var pythonForm = regexp.MustCompile(`^([a-z]+)(\d+)$`)

// wantsPython tells whether a wheel for one Python runs on the wanted one: of
// the same version, or of an earlier one where its ABI is kept stable.
func (f *Filter) wantsPython(python, abi string) bool {
	if !strings.HasPrefix(python, "py3") && !in(f.Impl, python, strings.Contains) {
		return false
	}
	if f.version == 0 {
		return true
	}
	m := pythonForm.FindStringSubmatch(python)
	if m == nil {
		return false
	}
	number, err := strconv.Atoi(m[2])
	if err != nil || m[2][0] != strconv.Itoa(f.version)[0] {
		return false
	}
	return number == f.version || (abi == "abi3" || abi == "none") && older(number, f.version)
}

// older compares versions such as 3, 39 and 312: the first digit is the major
// version, the rest the minor one.
func older(a, b int) bool {
	minor := func(v int) int {
		text := strconv.Itoa(v)
		number, err := strconv.Atoi(text[1:])
		if err != nil {
			return 0 // a major version alone
		}
		return number
	}
	return minor(a) < minor(b)
}
