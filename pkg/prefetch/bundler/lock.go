package bundler

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/headrace-ci/headrace/pkg/prefetch/ecosystem"
	"github.com/headrace-ci/headrace/pkg/prefetch/fetch"
)

const pinFix = "run `bundle lock --add-checksums` with bundler 2.6 or later and commit Gemfile.lock"

// gem is one that a lockfile pins.
type gem struct {
	Name, Version string
	Platform      string   // "" for one that is source, or runs anywhere
	Remotes       []string // it may come from; of a gem of the source, none
	Path          string   // of a gem of the source, below the lockfile's folder
	Checksums     []fetch.Checksum
}

// full is the gem's name in files and checksums.
func (g gem) full() string {
	if g.Platform != "" {
		return g.Name + "-" + g.Version + "-" + g.Platform
	}
	return g.Name + "-" + g.Version
}

var (
	// spec is a gem with its version, and platform if any.
	spec = regexp.MustCompile(`^([A-Za-z0-9_][A-Za-z0-9_.-]*) \(([0-9][0-9A-Za-z.]*)(?:-([A-Za-z0-9_.-]+))?\)(?: (.*))?$`)
	// attribute is one of a section.
	attribute = regexp.MustCompile(`^([a-z]+): (.*)$`)
)

// parseLock reads a Gemfile.lock: sections in capitals, attributes in two
// spaces, gems in four, and what a gem depends on in six.
func parseLock(name string, raw []byte) ([]gem, error) {
	var gems []gem
	var remotes []string
	section, number := "", 0
	wrong := func(fix, format string, args ...any) error {
		return &ecosystem.LockError{File: name, Problem: fmt.Sprintf("line %d: ", number) + fmt.Sprintf(format, args...), Fix: fix}
	}
	sums := map[string][]fetch.Checksum{}
	for text := range strings.SplitSeq(string(raw), "\n") {
		number++
		text = strings.TrimRight(text, "\r ")
		content := strings.TrimLeft(text, " ")
		indent := len(text) - len(content)
		switch {
		case content == "":
		case indent == 0:
			section, remotes = content, nil
			switch {
			case strings.HasPrefix(content, "<<<<<<<"):
				return nil, wrong("resolve it", "there is a merge conflict")
			case section == "GIT", section == "PLUGIN SOURCE":
				return nil, wrong("depend on a version that a gem server has", "gems that do not come from a gem server have no checksum that says what they hold")
			}
		case (section == "GEM" || section == "PATH") && indent == 2:
			if m := attribute.FindStringSubmatch(content); m != nil && m[1] == "remote" {
				remotes = append(remotes, m[2])
			}
		case (section == "GEM" || section == "PATH") && indent == 4:
			m := spec.FindStringSubmatch(content)
			if m == nil || len(remotes) == 0 {
				return nil, wrong(pinFix, "%q is not a gem and its version", content)
			}
			g := gem{Name: m[1], Version: m[2], Platform: m[3], Remotes: remotes}
			if section == "PATH" {
				g.Remotes, g.Path = nil, remotes[0]
			}
			gems = append(gems, g)
		case section == "CHECKSUMS" && indent == 2:
			key, found, err := checksum(content)
			if err != nil {
				return nil, wrong(pinFix, "%v", err)
			}
			sums[key] = append(sums[key], found...)
		}
	}
	for i, g := range gems {
		gems[i].Checksums = sums[g.full()]
	}
	return gems, nil
}

// checksum reads a line such as rack (3.0.0) sha256=…. A gem alone, with none,
// is one whose checksum bundler does not know.
func checksum(content string) (full string, sums []fetch.Checksum, err error) {
	m := spec.FindStringSubmatch(content)
	if m == nil {
		return "", nil, fmt.Errorf("%q is not a gem and its checksum", content)
	}
	for field := range strings.SplitSeq(m[4], ",") {
		if field = strings.TrimSpace(field); field == "" {
			continue
		}
		sum, err := fetch.ParseChecksum(strings.Replace(field, "=", ":", 1))
		if err != nil {
			return "", nil, err
		}
		sums = append(sums, sum)
	}
	return gem{Name: m[1], Version: m[2], Platform: m[3]}.full(), sums, nil
}
