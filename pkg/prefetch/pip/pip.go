// Package pip fetches the Python packages that requirements files pin by
// version and hash, for pip without an index.
//
// Source archives are fetched, or wheels where the input asks for binaries.
// setup.py is never run: what a source archive needs to be built has to stand
// in requirements-build.txt.
package pip

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/package-url/packageurl-go"
	"golang.org/x/sync/errgroup"

	"github.com/headrace-ci/headrace/pkg/prefetch/ecosystem"
	"github.com/headrace-ci/headrace/pkg/prefetch/fetch"
)

const (
	deps      = "deps/pip"
	run       = "requirements.txt"
	build     = "requirements-build.txt"
	maxNested = 100 // requirements files of one input
)

// Input is a folder with requirements files.
type Input struct {
	Type        string   `json:"type"`
	Path        string   `json:"path"`
	Files       []string `json:"requirements_files"`       // below Path; nil for requirements.txt, if there is one
	BuildFiles  []string `json:"requirements_build_files"` // below Path; nil for requirements-build.txt, if there is one
	AllowBinary bool     `json:"allow_binary"`
	Binary      *Filter  `json:"binary"`
}

// Parse reads an entry of type pip.
func Parse(raw []byte) (ecosystem.Input, error) {
	var given struct {
		Binary *json.RawMessage `json:"binary"`
	}
	input := Input{Path: "."}
	if json.Unmarshal(raw, &given) == nil && given.Binary != nil && string(*given.Binary) != "null" {
		filter := standard()
		input.Binary = &filter // which the input changes where it has keys
	}
	if err := ecosystem.Decode(raw, &input); err != nil {
		return nil, err
	}
	if input.AllowBinary && input.Binary == nil {
		input.Binary = &Filter{Packages: all, Arch: all, OS: all, Impl: all, ABI: all}
	}
	if input.Binary != nil {
		if err := input.Binary.check(); err != nil {
			return nil, err
		}
	}
	for _, file := range slices.Concat(input.Files, input.BuildFiles) {
		if err := ecosystem.CheckPath("requirements file", file); err != nil {
			return nil, err
		}
	}
	return input, ecosystem.CheckPath("path", input.Path)
}

// wanted is a file to fetch, and what it is.
type wanted struct {
	file      fetch.File
	component ecosystem.Component
	unpinned  bool // only the index says what it holds
}

// Fetch implements [ecosystem.Input].
func (i Input) Fetch(ctx context.Context, job ecosystem.Job) (*ecosystem.Result, error) {
	files, isBuild, err := i.read(job)
	if err != nil {
		return nil, err
	}
	result := &ecosystem.Result{Main: []ecosystem.Component{i.main(job)}, Env: []ecosystem.Variable{
		{Name: "PIP_FIND_LINKS", Value: job.Mounted(deps)},
		{Name: "PIP_NO_INDEX", Value: "true"},
	}}
	var all []wanted
	for n, file := range files {
		found, err := i.find(ctx, job, file)
		if err != nil {
			return nil, err
		}
		for _, w := range found {
			if isBuild[n] {
				w.component.Properties = append(w.component.Properties, ecosystem.Property{Name: ecosystem.PipBuild, Value: "true"})
			}
			all = append(all, w)
		}
		if edit, ok := file.local(job); ok {
			result.Edits = append(result.Edits, edit)
		}
	}
	toFetch := make([]fetch.File, len(all))
	for n := range all {
		toFetch[n] = all[n].file
	}
	fetched, err := job.Client.Files(ctx, job.Output, toFetch)
	if err != nil {
		return nil, err
	}
	slog.InfoContext(ctx, "fetched Python packages", "path", i.Path, "files", len(fetched))
	for n, w := range all {
		fetched[n].Pinned = !w.unpinned
		result.Components = append(result.Components, ecosystem.Of(w.component, fetched[n], w.file.Lock))
	}
	return result, nil
}

// read reads the requirements files, and those they take in.
func (i Input) read(job ecosystem.Job) (files []*requirements, isBuild []bool, err error) {
	seen := map[string]bool{}
	for n, list := range [][]string{i.Files, i.BuildFiles} {
		standard := []string{run, build}[n]
		if list == nil && job.Exists(path.Join(i.Path, standard)) {
			list = []string{standard}
		}
		var queue []string
		for _, name := range list {
			queue = append(queue, path.Join(i.Path, name))
		}
		for len(queue) > 0 && len(files) < maxNested {
			name := queue[0]
			queue = queue[1:]
			if seen[name] {
				continue
			}
			seen[name] = true
			raw, err := job.ReadLock(name, `commit it, or set "requirements_files" to the files there are`)
			if err != nil {
				return nil, nil, err
			}
			file, err := parseRequirements(name, raw)
			if err != nil {
				return nil, nil, err
			}
			files, isBuild, queue = append(files, file), append(isBuild, n == 1), append(queue, file.Nested...)
		}
	}
	if len(files) == 0 {
		return nil, nil, &ecosystem.InputError{
			Problem: fmt.Sprintf("the source has no %s", path.Join(i.Path, run)), Fix: `commit it, or set "path" or "requirements_files"`,
		}
	}
	return files, isBuild, nil
}

// find says which files a requirements file needs.
func (i Input) find(ctx context.Context, job ecosystem.Job, file *requirements) ([]wanted, error) {
	index, isPublic, err := file.index(job)
	if err != nil {
		return nil, err
	}
	found := make([][]wanted, len(file.Packages))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(job.Client.Concurrency)
	for n, req := range file.Packages {
		if len(req.Hashes) == 0 && !job.Permissive {
			return nil, &fetch.UnpinnedError{Package: req.Name + " " + req.Version, Lock: file.File, Fix: pinFix}
		}
		if req.URL != "" {
			found[n] = []wanted{req.direct(file.File)}
			continue
		}
		group.Go(func() error {
			files, err := project(ctx, job.Client, index, req.Name)
			if err != nil {
				return err
			}
			chosen, err := choose(req, files, i.Binary)
			if err != nil {
				return &ecosystem.LockError{File: file.File, Problem: err.Error(), Fix: chooseFix}
			}
			for _, d := range chosen {
				found[n] = append(found[n], req.indexed(file.File, d, index, isPublic))
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(found...), nil
}

// index is where the packages of the file come from: what the file says, else
// the task's param, else the public index or the cluster's proxy of it.
func (r *requirements) index(job ecosystem.Job) (at *url.URL, isPublic bool, err error) {
	text := cmp.Or(r.Index, job.Index, publicIndex)
	if isPublic = strings.TrimSuffix(text, "/")+"/" == publicIndex; isPublic && job.Proxy != "" {
		at, err = url.Parse(job.Proxy)
		if err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Host == "" {
			return nil, false, &ecosystem.ProxyError{}
		}
		return at, true, nil
	}
	if at, err = indexURL(text); err != nil {
		return nil, false, &ecosystem.InputError{Problem: "param pip-index-url: " + err.Error(), Fix: "give the index's URL, and its login in workspace netrc"}
	}
	return at, isPublic, nil
}

const chooseFix = `check name, version and hashes; wheels need "binary" in the input, such as {"type": "pip", "binary": {}}`

// choose picks from a project's files those that a requirement pins and the
// input asks for: the best source archive, and every wheel.
func choose(req requirement, files []distribution, filter *Filter) ([]distribution, error) {
	wantSdist, wantWheel := filter.kinds(req.Name)
	var chosen, sdists []distribution
	best, seen := 0, 0
	for _, d := range files {
		version, preference, isSdist := sdistVersion(d.Filename, req.Name)
		w, isWheel := parseWheel(d.Filename)
		if isWheel {
			version = w.version
		}
		if !isSdist && !isWheel || canonical(version) != canonical(req.Version) {
			continue
		}
		seen++
		if !d.pin(req.Hashes) {
			continue
		}
		switch {
		case isWheel && wantWheel && w.project == req.Name && filter.wants(w):
			chosen = append(chosen, d)
		case isSdist && wantSdist:
			if d.Yanked {
				preference += len(sdistEndings)
			}
			if len(sdists) == 0 || preference < best {
				sdists, best = []distribution{d}, preference
			}
		}
	}
	chosen = append(chosen, sdists...)
	switch {
	case seen == 0:
		return nil, fmt.Errorf("the index has no %s %s", req.Name, req.Version)
	case len(chosen) == 0 && !wantWheel:
		return nil, fmt.Errorf("no source archive of %s %s has a hash that is pinned", req.Name, req.Version)
	case len(chosen) == 0:
		return nil, fmt.Errorf("no file of %s %s that binary asks for has a hash that is pinned", req.Name, req.Version)
	}
	for _, d := range chosen {
		if d.Yanked {
			slog.Warn("package was withdrawn by its authors", "file", d.Filename)
		}
	}
	return chosen, nil
}

// pin reduces the hashes to those that are pinned. It tells whether the file
// can be one that is. Where the index tells no hash, any pinned one may be its.
func (d *distribution) pin(pinned []fetch.Checksum) bool {
	if len(pinned) == 0 {
		return true // in a permissive run
	}
	comparable := false
	for _, sum := range d.Hashes {
		comparable = comparable || slices.ContainsFunc(pinned, func(p fetch.Checksum) bool { return p.Algorithm == sum.Algorithm })
		if slices.Contains(pinned, sum) {
			d.Hashes = []fetch.Checksum{sum}
			return true
		}
	}
	d.Hashes = pinned
	return !comparable
}

// indexed is a file of an index.
func (req requirement) indexed(lock string, d distribution, index *url.URL, isPublic bool) wanted {
	qualifiers := map[string]string{}
	if !isPublic {
		qualifiers["repository_url"] = fetch.Show(index)
	}
	if len(d.Hashes) == 1 {
		qualifiers["checksum"] = d.Hashes[0].String()
	}
	w := wanted{unpinned: len(req.Hashes) == 0}
	w.file = fetch.File{
		Package: req.Name + " " + req.Version, URL: d.URL.String(), Path: path.Join(deps, d.Filename),
		Checksums: d.Hashes, Lock: lock, Fix: pinFix,
	}
	w.component = component(req.Name, req.Version, qualifiers, d.Filename)
	return w
}

// direct is a file that the requirement names.
func (req requirement) direct(lock string) wanted {
	w := wanted{unpinned: len(req.Hashes) == 0}
	w.file = fetch.File{Package: req.Name, URL: req.URL, Path: req.kept(), Checksums: req.Hashes, Lock: lock, Fix: pinFix}
	qualifiers := map[string]string{}
	if at, err := url.Parse(req.URL); err == nil {
		qualifiers["download_url"] = fetch.Show(at)
	}
	if len(req.Hashes) == 1 {
		qualifiers["checksum"] = req.Hashes[0].String()
	}
	w.component = component(req.Name, "", qualifiers, req.kept())
	return w
}

func component(name, version string, qualifiers map[string]string, filename string) ecosystem.Component {
	c := ecosystem.Component{Name: name, Version: version, PURL: ecosystem.PURL(packageurl.TypePyPi, name, version, qualifiers, "")}
	if strings.HasSuffix(filename, wheelEnding) {
		c.Properties = append(c.Properties, ecosystem.Property{Name: ecosystem.PipBinary, Value: "true"})
	}
	return c
}

// kept is where the archive of a requirement with a URL is kept.
func (req requirement) kept() string {
	base := "archive"
	if at, err := url.Parse(req.URL); err == nil && plainName(path.Base(at.Path)) {
		base = path.Base(at.Path)
	}
	return path.Join(deps, "external-"+req.Name, base)
}

// local names the fetched archives in the file, instead of their URLs.
func (r *requirements) local(job ecosystem.Job) (ecosystem.Edit, bool) {
	content, changed := r.Raw, false
	for _, req := range slices.Backward(r.Packages) { // so that earlier places stay
		if req.URL == "" {
			continue
		}
		at := url.URL{Scheme: "file", Path: job.Mounted(req.kept())}
		content, changed = slices.Concat(content[:req.at], []byte(at.String()), content[req.at+len(req.URL):]), true
	}
	return ecosystem.Edit{Path: r.File, Content: content}, changed
}
