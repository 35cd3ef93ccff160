// Package pnpm fetches what pnpm-lock.yaml pins, in its version 9, for `pnpm
// install --frozen-lockfile` without network.
//
// The lockfile of the build names the fetched archives as files; pnpm compares
// them with their integrity once more.
package pnpm

import (
	"bytes"
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
	"sigs.k8s.io/yaml"

	"github.com/headrace-ci/headrace/pkg/prefetch/ecosystem"
	"github.com/headrace-ci/headrace/pkg/prefetch/fetch"
)

const (
	deps      = "deps/pnpm"
	lockfile  = "pnpm-lock.yaml"
	publicNpm = "https://registry.npmjs.org/"
	pinFix    = "run `pnpm install` with pnpm 9 or later and commit pnpm-lock.yaml"
)

// Input is a folder with a lockfile.
type Input struct {
	Type string `json:"type"`
	Path string `json:"path"`
}

// Parse reads an entry of type pnpm.
func Parse(raw []byte) (ecosystem.Input, error) {
	input := Input{Path: "."}
	if err := ecosystem.Decode(raw, &input); err != nil {
		return nil, err
	}
	return input, ecosystem.CheckPath("path", input.Path)
}

// lock is what is read of a lockfile.
type lock struct {
	Version   any              `json:"lockfileVersion"`
	Importers map[string]any   `json:"importers"` // packages of the source, by folder
	Packages  map[string]entry `json:"packages"`  // by name and version, or name and URL
}

type entry struct {
	Version    string     `json:"version"` // of what is given by a URL
	Resolution resolution `json:"resolution"`
}

type resolution struct {
	Integrity string `json:"integrity"`
	Tarball   string `json:"tarball"`
	Type      string `json:"type"` // git, directory; "" for an archive
	Directory string `json:"directory"`
}

// dependency is an entry with what was made of it.
type dependency struct {
	key, name, version string
	origin             string // URL, as the lockfile has it or implies
	file               fetch.File
}

// Fetch implements [ecosystem.Input].
func (i Input) Fetch(ctx context.Context, job ecosystem.Job) (*ecosystem.Result, error) {
	name := path.Join(i.Path, lockfile)
	raw, err := job.ReadLock(name, "run `pnpm install` and commit it, or set \"path\" to its folder")
	if err != nil {
		return nil, err
	}
	if modules := path.Join(i.Path, "node_modules"); job.Exists(modules) {
		return nil, &ecosystem.InputError{
			Problem: fmt.Sprintf("the source has a folder %s, which nobody has checked", modules),
			Fix:     "delete it from the repository; `pnpm install` makes it from what is fetched",
		}
	}
	content, err := parseLock(name, raw)
	if err != nil {
		return nil, err
	}
	all, err := i.dependencies(job, name, content)
	if err != nil {
		return nil, err
	}
	files := make([]fetch.File, len(all))
	for n := range all {
		files[n] = all[n].file
	}
	fetched, err := job.Client.Files(ctx, job.Output, files)
	if err != nil {
		return nil, err
	}
	slog.InfoContext(ctx, "fetched pnpm packages", "lockfile", name, "packages", len(fetched))
	result := &ecosystem.Result{
		Main: i.mains(job, content),
		Env:  []ecosystem.Variable{{Name: "PNPM_CONFIG_TRUST_LOCKFILE", Value: "true"}}, // later ones would ask a registry about it
	}
	for n, d := range all {
		result.Components = append(result.Components, ecosystem.Of(d.component(), fetched[n], name))
	}
	changed, err := localize(job, name, raw, all)
	result.Edits = []ecosystem.Edit{{Path: name, Content: changed}}
	return result, err
}

func parseLock(name string, raw []byte) (lock, error) {
	var content lock
	if err := yaml.Unmarshal(raw, &content); err != nil {
		return content, &ecosystem.LockError{File: name, Problem: strings.TrimPrefix(err.Error(), "error unmarshaling JSON: "), Fix: pinFix}
	}
	if version := fmt.Sprint(content.Version); version != "9" && version != "9.0" {
		return content, &ecosystem.LockError{File: name, Problem: fmt.Sprintf("lockfileVersion %s is not supported; 9.0 is", version), Fix: pinFix}
	}
	return content, nil
}

// What may stand in a name and a version, so that both can be part of a file's
// name and URL.
var (
	nameForm    = regexp.MustCompile(`^(@[A-Za-z0-9~_-][A-Za-z0-9._~-]*/)?[A-Za-z0-9~_-][A-Za-z0-9._~-]*$`)
	versionForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+-]*$`)
)

// dependencies are the archives that the lockfile names, sorted.
func (i Input) dependencies(job ecosystem.Job, lock string, content lock) ([]dependency, error) {
	registries, err := i.registries(job)
	if err != nil {
		return nil, err
	}
	var all []dependency
	for _, key := range slices.Sorted(maps.Keys(content.Packages)) {
		e := content.Packages[key]
		d := dependency{key: key, version: e.Version}
		if at := strings.IndexByte(strings.TrimPrefix(key, "@"), '@'); at > 0 {
			at += len(key) - len(strings.TrimPrefix(key, "@"))
			d.name = key[:at]
			if d.version == "" {
				d.version = key[at+1:]
			}
		}
		local := e.Resolution.Directory
		if tarball, ok := strings.CutPrefix(e.Resolution.Tarball, "file:"); ok {
			local = tarball
		}
		if local != "" { // of the source
			if path.IsAbs(local) || !filepath.IsLocal(filepath.FromSlash(path.Join(i.Path, local))) {
				return nil, &ecosystem.LockError{File: lock, Problem: fmt.Sprintf("%s is at %q, which leaves the source", key, local), Fix: "depend on packages inside the repository"}
			}
			continue
		}
		if err := d.place(job, lock, e.Resolution, registries); err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, nil
}

// place says where a dependency comes from, and where it is kept.
func (d *dependency) place(job ecosystem.Job, lock string, r resolution, registries map[string]string) error {
	wrong := func(problem, fix string) error {
		return &ecosystem.LockError{File: lock, Problem: d.key + " " + problem, Fix: fix}
	}
	if !nameForm.MatchString(d.name) || !versionForm.MatchString(d.version) {
		return wrong("has a name or version pnpm would not take", pinFix)
	}
	base := path.Base(d.name)
	if d.origin = r.Tarball; d.origin == "" {
		scope, _, _ := strings.Cut(d.name, "/")
		registry, ok := registries[scope]
		if !ok {
			registry = registries[""]
		}
		d.origin = registry + d.name + "/-/" + base + "-" + d.version + ".tgz"
	}
	at, err := url.Parse(d.origin)
	if err != nil || r.Type != "" || at.Scheme != "http" && at.Scheme != "https" {
		return wrong("does not come from a registry or as an archive, and nothing pins its content", "depend on a published version, or on the URL of an archive")
	}
	if at.User != nil {
		return wrong("comes from a server whose URL has a login", "put it into workspace netrc")
	}
	sums, err := fetch.ParseIntegrity(r.Integrity)
	if err != nil {
		return wrong(err.Error(), pinFix)
	}
	rebased, err := job.Rebase(d.origin, publicNpm)
	if err != nil {
		return err
	}
	d.file = fetch.File{
		Package: d.name + "@" + d.version, URL: rebased, Checksums: sums, Lock: lock, Fix: pinFix,
		Path: path.Join(deps, path.Dir(d.name), base+"-"+d.version+".tgz"),
	}
	if !strings.HasPrefix(d.origin, publicNpm) {
		// A version elsewhere may be another one by the same name.
		mark := "unpinned"
		if sums := fetch.Strongest(sums); len(sums) > 0 {
			mark = sums[0].Algorithm + "-" + sums[0].Hex
		}
		d.file.Path = path.Join(deps, "external-"+strings.ReplaceAll(d.name, "/", "-"), base+"-external-"+mark+".tgz")
	}
	return nil
}

// registries are those of the project's .npmrc, by scope, with "" for that of
// all others. pnpm leaves them out of its lockfile.
func (i Input) registries(job ecosystem.Job) (map[string]string, error) {
	all := map[string]string{"": publicNpm}
	name := path.Join(i.Path, ".npmrc")
	if !job.Exists(name) {
		return all, nil
	}
	raw, err := job.Read(name)
	if err != nil {
		return nil, err
	}
	for text := range strings.SplitSeq(string(raw), "\n") {
		key, value, ok := strings.Cut(strings.TrimSpace(text), "=")
		key, value = strings.TrimSpace(key), strings.Trim(strings.TrimSpace(value), `"'`)
		scope := strings.TrimSuffix(strings.TrimSuffix(key, "registry"), ":")
		if !ok || !strings.HasSuffix(key, "registry") || scope != "" && !strings.HasPrefix(scope, "@") {
			continue
		}
		at, err := url.Parse(value)
		if err != nil || at.Scheme != "http" && at.Scheme != "https" || at.User != nil {
			return nil, &ecosystem.LockError{File: name, Problem: fmt.Sprintf("%s is not an http or https URL without a login", key), Fix: "give the registry's URL, and its login in workspace netrc"}
		}
		all[scope] = strings.TrimSuffix(value, "/") + "/"
	}
	return all, nil
}

func (d dependency) component() ecosystem.Component {
	qualifiers := map[string]string{}
	if sums := fetch.Strongest(d.file.Checksums); len(sums) > 0 {
		qualifiers["checksum"] = sums[0].String()
	}
	if at, err := url.Parse(d.origin); err == nil && !strings.HasPrefix(d.origin, publicNpm) {
		qualifiers["download_url"] = fetch.Show(at)
	}
	return ecosystem.Component{Name: d.name, Version: d.version, PURL: ecosystem.PURL(packageurl.TypeNPM, d.name, d.version, qualifiers, "")}
}

// mains are the packages of the source.
func (i Input) mains(job ecosystem.Job, content lock) []ecosystem.Component {
	var mains []ecosystem.Component
	for _, folder := range slices.Sorted(maps.Keys(content.Importers)) {
		at := path.Join(i.Path, folder)
		if !filepath.IsLocal(filepath.FromSlash(at)) {
			continue // pnpm would not install there either
		}
		manifest := struct{ Name, Version string }{Name: path.Base(path.Join("source", at))}
		if raw, err := job.Read(path.Join(at, "package.json")); err == nil {
			_ = json.Unmarshal(raw, &manifest) // it is pnpm's to complain
		}
		mains = append(mains, ecosystem.Component{Name: manifest.Name, Version: manifest.Version, PURL: ecosystem.PURL(packageurl.TypeNPM, manifest.Name, manifest.Version, nil, at)})
	}
	return mains
}

var (
	keyLine        = regexp.MustCompile(`^  ('[^']*'|"[^"]*"|[^ '"].*):$`)
	resolutionLine = regexp.MustCompile(`^    resolution: \{.*\}$`)
)

// localize names the fetched archives in the lockfile, and leaves every other
// line as it is. It reads lines as pnpm writes them, and fails where the result
// does not say what it should.
func localize(job ecosystem.Job, name string, raw []byte, all []dependency) ([]byte, error) {
	local := map[string]string{}
	sums := map[string]string{}
	for _, d := range all {
		local[d.key] = "file://" + job.Mounted(d.file.Path)
	}
	before, err := parseLock(name, raw)
	if err != nil {
		return nil, err
	}
	for key, e := range before.Packages {
		sums[key] = e.Resolution.Integrity
	}
	var out bytes.Buffer
	section, key := "", ""
	for text := range strings.SplitAfterSeq(string(raw), "\n") {
		line := strings.TrimRight(text, "\r\n")
		switch {
		case line != "" && line[0] != ' ':
			section, key = line, ""
		case keyLine.MatchString(line):
			key = strings.Trim(strings.TrimSuffix(strings.TrimSpace(line), ":"), `'"`)
		case section == "packages:" && local[key] != "" && resolutionLine.MatchString(line):
			text = "    resolution: {"
			if sums[key] != "" {
				text += "integrity: " + sums[key] + ", "
			}
			text += "tarball: " + local[key] + "}\n"
		}
		out.WriteString(text)
	}
	after, err := parseLock(name, out.Bytes())
	if err != nil {
		return nil, err
	}
	for key, file := range local {
		if r := after.Packages[key].Resolution; r.Tarball != file || r.Integrity != sums[key] {
			return nil, &ecosystem.LockError{File: name, Problem: "does not have " + key + " in lines as pnpm writes them", Fix: pinFix}
		}
	}
	return out.Bytes(), nil
}
