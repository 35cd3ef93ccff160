// Package npm fetches what package-lock.json or npm-shrinkwrap.json pins, in
// their versions 2 and 3, for `npm ci` without network.
//
// The lockfile of the build names the fetched archives as files. Dependencies
// that are given by a URL lose it in package.json, as npm would otherwise find
// that the two disagree.
//
// Format: https://docs.npmjs.com/cli/v11/configuring-npm/package-lock-json
package npm

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/headrace-ci/headrace/pkg/prefetch/ecosystem"
	"github.com/headrace-ci/headrace/pkg/prefetch/fetch"
)

const (
	deps        = "deps/npm"
	publicNpm   = "https://registry.npmjs.org/"
	publicYarn  = "https://registry.yarnpkg.com/"
	manifest    = "package.json"
	modules     = "node_modules/"
	pinFix      = "run `npm install` with a current npm and commit package-lock.json; it writes the integrity of every package"
	outdatedFix = "run `npm install --lockfile-version 3` and commit package-lock.json"
)

// lockfiles in the order npm looks for them.
var lockfiles = []string{"npm-shrinkwrap.json", "package-lock.json"}

// Input is a folder with a lockfile.
type Input struct {
	Type string `json:"type"`
	Path string `json:"path"`
}

// Parse reads an entry of type npm.
func Parse(raw []byte) (ecosystem.Input, error) {
	input := Input{Path: "."}
	if err := ecosystem.Decode(raw, &input); err != nil {
		return nil, err
	}
	return input, ecosystem.CheckPath("path", input.Path)
}

// lockfile is what is read of one.
type lockfile struct {
	Name            string           `json:"name"`
	Version         string           `json:"version"`
	LockfileVersion int              `json:"lockfileVersion"`
	Packages        map[string]entry `json:"packages"`
}

// entry is a package, by the folder it is installed to.
type entry struct {
	Name      string `json:"name"` // where the folder is called otherwise
	Version   string `json:"version"`
	Resolved  string `json:"resolved"`
	Integrity string `json:"integrity"`
	Link      bool   `json:"link"`
	InBundle  bool   `json:"inBundle"`
	Dev       bool   `json:"dev"`
}

// dependency is an entry with what was made of it.
type dependency struct {
	entry
	name string
	file fetch.File // with no URL when there is nothing to fetch
}

// Fetch implements [ecosystem.Input].
func (i Input) Fetch(ctx context.Context, job ecosystem.Job) (*ecosystem.Result, error) {
	name, raw, err := i.readLock(job)
	if err != nil {
		return nil, err
	}
	lock, err := parseLock(name, raw)
	if err != nil {
		return nil, err
	}
	dependencies, err := i.dependencies(job, name, lock)
	if err != nil {
		return nil, err
	}
	keys := slices.Sorted(maps.Keys(dependencies))
	var wanted []fetch.File
	for _, key := range keys {
		if file := dependencies[key].file; file.URL != "" {
			wanted = append(wanted, file)
		}
	}
	fetched, err := job.Client.Files(ctx, job.Output, wanted)
	if err != nil {
		return nil, err
	}
	slog.InfoContext(ctx, "fetched npm packages", "lockfile", name, "packages", len(fetched))
	result := &ecosystem.Result{Main: i.mains(lock), Env: []ecosystem.Variable{
		{Name: "NPM_CONFIG_AUDIT", Value: "false"}, // which npm would try for a minute without network
	}}
	for _, key := range keys {
		c := dependencies[key].component()
		if dependencies[key].file.URL != "" {
			c, fetched = ecosystem.Of(c, fetched[0], name), fetched[1:]
		}
		result.Components = append(result.Components, c)
	}
	result.Edits, err = i.edits(job, name, raw, lock, dependencies)
	return result, err
}

func (i Input) readLock(job ecosystem.Job) (name string, raw []byte, err error) {
	if job.Exists(path.Join(i.Path, "node_modules")) {
		return "", nil, &ecosystem.InputError{
			Problem: fmt.Sprintf("the source has a folder %s, which nobody has checked", path.Join(i.Path, "node_modules")),
			Fix:     "delete it from the repository; `npm ci` makes it from what is fetched",
		}
	}
	for _, file := range lockfiles {
		if name = path.Join(i.Path, file); job.Exists(name) {
			break
		}
	}
	raw, err = job.ReadLock(name, `run "npm install" and commit package-lock.json, or set "path" to its folder`)
	return name, raw, err
}

func parseLock(name string, raw []byte) (lockfile, error) {
	var lock lockfile
	if err := json.Unmarshal(raw, &lock); err != nil {
		return lock, &ecosystem.LockError{File: name, Problem: err.Error(), Fix: outdatedFix}
	}
	if lock.LockfileVersion != 2 && lock.LockfileVersion != 3 || lock.Packages == nil {
		return lock, &ecosystem.LockError{
			File: name, Problem: fmt.Sprintf("lockfileVersion %d is not supported; 2 and 3 are", lock.LockfileVersion), Fix: outdatedFix,
		}
	}
	return lock, nil
}

// dependencies are the entries that are not of the source itself.
func (i Input) dependencies(job ecosystem.Job, lock string, content lockfile) (map[string]dependency, error) {
	all := map[string]dependency{}
	for key, e := range content.Packages {
		if !strings.Contains(key, modules) || e.Link {
			if err := i.contained(lock, key, e); err != nil {
				return nil, err
			}
			continue
		}
		d := dependency{entry: e, name: e.Name}
		if d.name == "" {
			d.name = key[strings.LastIndex(key, modules)+len(modules):]
		}
		if err := i.place(job, lock, &d); err != nil {
			return nil, err
		}
		all[key] = d
	}
	return all, nil
}

// contained fails when what the lockfile takes from the source is outside.
func (i Input) contained(lock, key string, e entry) error {
	for _, name := range []string{key, e.Resolved} {
		at := path.Join(i.Path, strings.TrimPrefix(name, "file:"))
		if path.IsAbs(name) || !filepath.IsLocal(filepath.FromSlash(at)) {
			return &ecosystem.LockError{File: lock, Problem: fmt.Sprintf("%q leaves the source", name), Fix: "depend on packages inside the repository"}
		}
	}
	return nil
}

// What may stand in a name and a version, so that both can be part of a file's
// name and URL.
var (
	nameForm    = regexp.MustCompile(`^(@[A-Za-z0-9~_-][A-Za-z0-9._~-]*/)?[A-Za-z0-9~_-][A-Za-z0-9._~-]*$`)
	versionForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+-]*$`)
)

// place says where a dependency comes from, and where it is kept.
func (i Input) place(job ecosystem.Job, lock string, d *dependency) error {
	wrong := func(problem, fix string) error {
		return &ecosystem.LockError{File: lock, Problem: fmt.Sprintf("%s@%s %s", d.name, d.Version, problem), Fix: fix}
	}
	switch {
	case !nameForm.MatchString(d.name):
		return wrong("has a name npm would not take", outdatedFix)
	case d.Resolved == "" && d.InBundle:
		return nil // in the archive of the package that bundles it
	case strings.HasPrefix(d.Resolved, "file:"):
		return i.contained(lock, "", d.entry)
	case !versionForm.MatchString(d.Version):
		return wrong("has a version npm would not take", outdatedFix)
	}
	base := path.Base(d.name)
	if d.Resolved == "" { // npm leaves it out with omit-lockfile-registry-resolved
		d.Resolved = publicNpm + d.name + "/-/" + base + "-" + d.Version + ".tgz"
	}
	at, err := url.Parse(d.Resolved)
	if err != nil || at.Scheme != "http" && at.Scheme != "https" {
		return wrong("does not come from a registry or as an archive, and nothing pins its content",
			"depend on a published version, or on the URL of an archive: npm then writes its integrity")
	}
	sums, err := fetch.ParseIntegrity(d.Integrity)
	if err != nil {
		return wrong(err.Error(), pinFix)
	}
	rebased, err := job.Rebase(d.Resolved, publicNpm, publicYarn, "http://registry.npmjs.org/", "http://registry.yarnpkg.com/")
	if err != nil {
		return err
	}
	d.file = fetch.File{
		Package: d.name + "@" + d.Version, URL: rebased, Checksums: sums, Lock: lock, Fix: pinFix,
		Path: path.Join(deps, path.Dir(d.name), base+"-"+d.Version+".tgz"),
	}
	if !public(at) {
		// A version elsewhere may be another one by the same name.
		mark := "unpinned"
		if sums := fetch.Strongest(sums); len(sums) > 0 {
			mark = sums[0].Algorithm + "-" + sums[0].Hex
		}
		d.file.Path = path.Join(deps, "external-"+strings.ReplaceAll(d.name, "/", "-"), base+"-external-"+mark+".tgz")
	}
	return nil
}

func public(at *url.URL) bool {
	return at.Hostname() == "registry.npmjs.org" || at.Hostname() == "registry.yarnpkg.com"
}

func (d dependency) component() ecosystem.Component {
	qualifiers := map[string]string{}
	if sums := fetch.Strongest(d.file.Checksums); len(sums) > 0 {
		qualifiers["checksum"] = sums[0].String()
	}
	if at, err := url.Parse(d.Resolved); d.file.URL != "" && err == nil && !public(at) {
		qualifiers["download_url"] = fetch.Show(at)
	}
	c := ecosystem.Component{Name: d.name, Version: d.Version, PURL: ecosystem.PURL(packageurl.TypeNPM, d.name, d.Version, qualifiers, "")}
	if d.Dev {
		c.Properties = append(c.Properties, ecosystem.Property{Name: ecosystem.NpmDevelopment, Value: "true"})
	}
	if d.InBundle {
		c.Properties = append(c.Properties, ecosystem.Property{Name: ecosystem.NpmBundled, Value: "true"})
	}
	return c
}

// mains are the packages of the source: the root and its workspaces.
func (i Input) mains(lock lockfile) []ecosystem.Component {
	var mains []ecosystem.Component
	for _, key := range slices.Sorted(maps.Keys(lock.Packages)) {
		if strings.Contains(key, modules) {
			continue
		}
		e := lock.Packages[key]
		if key == "" && e.Name == "" {
			e.Name = lock.Name
		}
		if e.Name == "" {
			e.Name = path.Base(path.Join("source", i.Path, key))
		}
		mains = append(mains, ecosystem.Component{Name: e.Name, Version: e.Version, PURL: ecosystem.PURL(packageurl.TypeNPM, e.Name, e.Version, nil, path.Join(i.Path, key))})
	}
	return mains
}
