package vuln

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"deps.dev/util/semver"
	apk "github.com/knqyf263/go-apk-version"
	deb "github.com/knqyf263/go-deb-version"
	rpm "github.com/knqyf263/go-rpm-version"
)

// order compares two versions of a system, and says which it cannot read.
type order func(a, b string) (int, error)

func debOrder(a, b string) (int, error) {
	x, err := deb.NewVersion(a)
	if err != nil {
		return 0, fmt.Errorf("version %q: %w", a, err)
	}
	y, err := deb.NewVersion(b)
	if err != nil {
		return 0, fmt.Errorf("version %q: %w", b, err)
	}
	return x.Compare(y), nil
}

func rpmOrder(a, b string) (int, error) {
	return rpm.NewVersion(a).Compare(rpm.NewVersion(b)), nil
}

func apkOrder(a, b string) (int, error) {
	x, err := apk.NewVersion(a)
	if err != nil {
		return 0, fmt.Errorf("version %q: %w", a, err)
	}
	y, err := apk.NewVersion(b)
	if err != nil {
		return 0, fmt.Errorf("version %q: %w", b, err)
	}
	return x.Compare(y), nil
}

func semverOrder(system semver.System) order {
	parse := func(v string) (*semver.Version, error) {
		if system == semver.Go {
			v = "v" + strings.TrimPrefix(v, "v") // Go's tags have it, its records do not
		}
		parsed, err := system.Parse(v)
		if err != nil {
			return nil, fmt.Errorf("version %q: %w", v, err)
		}
		return parsed, nil
	}
	return func(a, b string) (int, error) {
		x, err := parse(a)
		if err != nil {
			return 0, err
		}
		y, err := parse(b)
		if err != nil {
			return 0, err
		}
		return x.Compare(y), nil
	}
}

// affects reports whether a version has the vulnerability, and from which
// version on it is fixed: "" when it is nowhere.
func (a Affected) affects(version string, compare order) (affected bool, fixed string, err error) {
	for _, r := range a.Ranges {
		if r.Type == "GIT" {
			continue
		}
		in, fix, err := r.holds(version, compare)
		if err != nil {
			return false, "", err
		}
		if in {
			return true, fix, nil
		}
	}
	return slices.Contains(a.Versions, version), "", nil
}

// zero is the version before all others.
const zero = "0"

// point is an event with its version.
type point struct {
	version string
	kind    int
}

const (
	introduced = iota
	fixed
	lastAffected
)

// holds goes through the events in the order of their versions: the last one
// not after the version decides.
func (r Range) holds(version string, compare order) (in bool, fix string, err error) {
	var points []point
	for _, e := range r.Events {
		switch {
		case e.Introduced != "":
			points = append(points, point{e.Introduced, introduced})
		case e.Fixed != "":
			points = append(points, point{e.Fixed, fixed})
		case e.LastAffected != "":
			points = append(points, point{e.LastAffected, lastAffected})
		}
	}
	against := func(a, b string) int {
		switch {
		case a == b:
			return 0
		case a == zero:
			return -1
		case b == zero:
			return 1
		}
		c, problem := compare(a, b)
		if problem != nil && err == nil {
			err = problem
		}
		return c
	}
	slices.SortStableFunc(points, func(a, b point) int {
		return cmp.Or(against(a.version, b.version), cmp.Compare(a.kind, b.kind))
	})
	for _, p := range points {
		c := against(version, p.version)
		switch {
		case p.kind == introduced && c >= 0:
			in = true
		case p.kind == fixed && c >= 0, p.kind == lastAffected && c > 0:
			in = false
		case p.kind == fixed && in && fix == "":
			fix = p.version
		}
	}
	if !in {
		fix = ""
	}
	return in, fix, err
}
