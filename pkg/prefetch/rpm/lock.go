package rpm

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/headrace-ci/headrace/pkg/prefetch/ecosystem"
	"github.com/headrace-ci/headrace/pkg/prefetch/fetch"
)

const pinFix = "lock the RPMs again with a tool that writes checksums, such as rpm-lockfile-prototype"

// lock is a lockfile of RPMs.
type lock struct {
	Version int        `json:"lockfileVersion"`
	Vendor  string     `json:"lockfileVendor"`
	Arches  []archLock `json:"arches"`
}

// archLock is what one architecture needs.
type archLock struct {
	Arch     string   `json:"arch"`
	Packages []locked `json:"packages"`
	Source   []locked `json:"source"`
	Modules  []locked `json:"module_metadata"`
}

// locked is one file.
type locked struct {
	URL       string `json:"url"`
	RepoID    string `json:"repoid"`
	Size      *int64 `json:"size"`
	Checksum  string `json:"checksum"`
	Name      string `json:"name"`
	EVR       string `json:"evr"`
	SourceRPM string `json:"sourcerpm"`
}

// Kinds of files.
const (
	isPackage = iota
	isSource
	isModules
)

// wanted is a file with what was made of it.
type wanted struct {
	locked
	kind       int
	arch, repo string // folders it is kept in
	file       fetch.File
}

// folderForm is what may name an architecture or a repository.
var folderForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.:+~^-]*$`)

// parseLock reads the files that a lockfile names for the architectures that
// are wanted.
// Format: https://github.com/hermetoproject/hermeto/blob/main/docs/rpm.md
func parseLock(name string, raw []byte, wants func(arch string) bool) ([]wanted, error) {
	wrong := func(format string, args ...any) error {
		return &ecosystem.LockError{File: name, Problem: fmt.Sprintf(format, args...), Fix: pinFix}
	}
	var content lock
	if err := yaml.UnmarshalStrict(raw, &content); err != nil {
		return nil, wrong("%s", strings.TrimPrefix(err.Error(), "error unmarshaling JSON: "))
	}
	if content.Version != 1 || content.Vendor != "redhat" {
		return nil, wrong("lockfileVersion %d of vendor %q is not supported; 1 of redhat is", content.Version, content.Vendor)
	}
	var all []wanted
	seen := map[string]bool{}
	for _, arch := range content.Arches {
		if !folderForm.MatchString(arch.Arch) || seen[arch.Arch] {
			return nil, wrong("arch %q is not an architecture, or stands there twice", arch.Arch)
		}
		if seen[arch.Arch] = true; !wants(arch.Arch) {
			continue
		}
		for kind, list := range [][]locked{arch.Packages, arch.Source, arch.Modules} {
			for _, l := range list {
				w := wanted{locked: l, kind: kind, arch: arch.Arch}
				if err := w.place(name); err != nil {
					return nil, wrong("arch %s: %v", arch.Arch, err)
				}
				all = append(all, w)
			}
		}
	}
	return all, nil
}

// place says where the file is kept.
func (w *wanted) place(lock string) error {
	at, err := url.Parse(w.URL)
	if err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Host == "" {
		return fmt.Errorf("the url of %q is not an http or https URL", w.Name)
	}
	if at.User != nil {
		return fmt.Errorf("the url of %q has a login: put it into workspace netrc", w.Name)
	}
	base := path.Base(at.Path)
	if !folderForm.MatchString(base) || w.kind != isModules && !strings.HasSuffix(base, ".rpm") {
		return fmt.Errorf("%s does not name a file of the kind it is listed as", fetch.Show(at))
	}
	switch w.repo = w.RepoID; {
	case w.repo == "" && w.kind == isPackage:
		w.repo = "hermeto-packages"
	case w.repo == "":
		w.repo = "hermeto-sources"
	case !folderForm.MatchString(w.repo):
		return fmt.Errorf("repoid %q cannot name a repository", w.repo)
	}
	w.file = fetch.File{Package: base, URL: w.URL, Path: path.Join(deps, w.arch, w.repo, base), Lock: lock, Fix: pinFix}
	if w.Checksum != "" {
		sum, err := fetch.ParseChecksum(w.Checksum)
		if err != nil {
			return fmt.Errorf("%s: %w", base, err)
		}
		w.file.Checksums = []fetch.Checksum{sum}
	}
	return nil
}
