package cargo

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/headrace-ci/headrace/pkg/prefetch/ecosystem"
	"github.com/headrace-ci/headrace/pkg/prefetch/fetch"
)

const (
	// cratesIO is how lockfiles name the public registry, however it was asked.
	cratesIO   = "registry+https://github.com/rust-lang/crates.io-index"
	pinFix     = "run `cargo generate-lockfile` with a current cargo and commit Cargo.lock"
	replaceFix = "depend on a version that a registry has, or keep the crate in the repository and depend on its path"
)

// crate is one [[package]] of a lockfile.
type crate struct {
	Name     string `toml:"name"`
	Version  string `toml:"version"`
	Source   string `toml:"source"` // "" for a crate of the source itself
	Checksum string `toml:"checksum"`
}

// What may stand in a name and a version, so that both can be part of a file's
// name and URL.
var (
	nameForm    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]*$`)
	versionForm = regexp.MustCompile(`^[0-9][A-Za-z0-9.+-]*$`)
)

// parseLock reads a Cargo.lock, sorted into crates of the source and others.
// Format: https://doc.rust-lang.org/cargo/guide/cargo-toml-vs-cargo-lock.html
func parseLock(name string, raw []byte) (own, others []crate, err error) {
	wrong := func(fix, format string, args ...any) error {
		return &ecosystem.LockError{File: name, Problem: fmt.Sprintf(format, args...), Fix: fix}
	}
	var content struct {
		Version  int     `toml:"version"`
		Packages []crate `toml:"package"`
	}
	if err := toml.Unmarshal(raw, &content); err != nil {
		return nil, nil, wrong(pinFix, "%v", err)
	}
	if content.Version > 4 {
		return nil, nil, wrong("commit one of version 4", "version %d is not supported", content.Version)
	}
	for _, c := range content.Packages {
		switch {
		case !nameForm.MatchString(c.Name), !versionForm.MatchString(c.Version):
			return nil, nil, wrong(pinFix, "package %q has a name or version that cargo would not take", c.Name+" "+c.Version)
		case c.Source == "":
			own = append(own, c)
			continue
		case c.Source == cratesIO:
		case strings.HasPrefix(c.Source, "sparse+"):
			if _, err := indexOf(c.Source); err != nil {
				return nil, nil, wrong(replaceFix, "%s %s: %v", c.Name, c.Version, err)
			}
		case strings.HasPrefix(c.Source, "registry+"):
			return nil, nil, wrong("use the registry's sparse index: index = \"sparse+https://…/\"",
				"%s %s comes from a registry whose index is a git repository", c.Name, c.Version)
		default:
			return nil, nil, wrong(replaceFix, "%s %s does not come from a registry, and no checksum says what it holds", c.Name, c.Version)
		}
		others = append(others, c)
	}
	return own, others, nil
}

// indexOf is the URL of a sparse index, by what a lockfile or a proxy's setting
// says.
func indexOf(source string) (*url.URL, error) {
	at, err := url.Parse(strings.TrimPrefix(source, "sparse+"))
	if err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Host == "" {
		return nil, fmt.Errorf("its registry is not an http or https URL")
	}
	return at, nil
}

func (c crate) checksums() ([]fetch.Checksum, error) {
	if c.Checksum == "" {
		return nil, nil
	}
	sum, err := fetch.ParseChecksum("sha256:" + c.Checksum)
	return []fetch.Checksum{sum}, err
}

// sources are the registries of crates, each once.
func sources(crates []crate) []string {
	var all []string
	for _, c := range crates {
		all = append(all, c.Source)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
