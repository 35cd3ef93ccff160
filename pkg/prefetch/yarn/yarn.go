// Package yarn fetches what the yarn.lock of yarn 1 pins, into an offline
// mirror that yarn takes packages from.
//
// The yarn.lock of later yarns pins archives that yarn itself makes of what it
// downloads, so only yarn could compare them; it is refused.
package yarn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/headrace-ci/headrace/pkg/prefetch/ecosystem"
	"github.com/headrace-ci/headrace/pkg/prefetch/fetch"
)

const (
	deps       = "deps/yarn-classic"
	lockfile   = "yarn.lock"
	manifest   = "package.json"
	publicYarn = "https://registry.yarnpkg.com/"
	publicNpm  = "https://registry.npmjs.org/"
	pinFix     = "run `yarn install` with yarn 1.22 and commit yarn.lock; it writes the integrity of every package"
)

// Input is a folder with a yarn.lock.
type Input struct {
	Type string `json:"type"`
	Path string `json:"path"`
}

// Parse reads an entry of type yarn.
func Parse(raw []byte) (ecosystem.Input, error) {
	input := Input{Path: "."}
	if err := ecosystem.Decode(raw, &input); err != nil {
		return nil, err
	}
	return input, ecosystem.CheckPath("path", input.Path)
}

// project is what is read of package.json.
type project struct {
	Name                 string            `json:"name"`
	Version              string            `json:"version"`
	Dependencies         map[string]string `json:"dependencies"`
	OptionalDependencies map[string]string `json:"optionalDependencies"`
	Workspaces           json.RawMessage   `json:"workspaces"`
}

// Fetch implements [ecosystem.Input].
func (i Input) Fetch(ctx context.Context, job ecosystem.Job) (*ecosystem.Result, error) {
	lock := path.Join(i.Path, lockfile)
	entries, main, err := i.read(job, lock)
	if err != nil {
		return nil, err
	}
	var files []fetch.File
	var components []ecosystem.Component
	isRuntime := runtime(main, entries)
	for _, e := range entries {
		if _, asked := cut(e.Patterns[0]); e.Resolved == "" && strings.HasPrefix(asked, "file:") {
			if err := i.contained(lock, asked); err != nil {
				return nil, err
			}
			continue
		}
		file, err := e.file(job, lock)
		if err != nil {
			return nil, err
		}
		c := e.component(file)
		if isRuntime != nil && !isRuntime[e.Patterns[0]] {
			c.Properties = append(c.Properties, ecosystem.Property{Name: ecosystem.NpmDevelopment, Value: "true"})
		}
		files, components = append(files, file), append(components, c)
	}
	fetched, err := job.Client.Files(ctx, job.Output, files)
	if err != nil {
		return nil, err
	}
	slog.InfoContext(ctx, "fetched yarn packages", "lockfile", lock, "packages", len(fetched))
	for n := range components {
		components[n] = ecosystem.Of(components[n], fetched[n], lock)
	}
	return &ecosystem.Result{
		Main:       []ecosystem.Component{{Name: main.Name, Version: main.Version, PURL: ecosystem.PURL(packageurl.TypeNPM, main.Name, main.Version, nil, i.Path)}},
		Components: components,
		Env: []ecosystem.Variable{
			{Name: "YARN_YARN_OFFLINE_MIRROR", Value: job.Mounted(deps)},
			{Name: "YARN_YARN_OFFLINE_MIRROR_PRUNING", Value: "false"}, // the folder may be read-only
		},
	}, nil
}

func (i Input) read(job ecosystem.Job, lock string) ([]entry, project, error) {
	main := project{Name: path.Base(path.Join("source", i.Path))}
	raw, err := job.ReadLock(lock, "run `yarn install` and commit it, or set \"path\" to its folder")
	if err != nil {
		return nil, main, err
	}
	if modules := path.Join(i.Path, "node_modules"); job.Exists(modules) {
		return nil, main, &ecosystem.InputError{
			Problem: fmt.Sprintf("the source has a folder %s, which nobody has checked", modules),
			Fix:     "delete it from the repository; `yarn install` makes it from what is fetched",
		}
	}
	if !strings.Contains(string(raw), "# yarn lockfile v1") {
		return nil, main, &ecosystem.LockError{
			File: lock, Problem: "is not of yarn 1: it pins archives that only yarn itself can make, so they cannot be compared here",
			Fix: "use yarn 1.22 or npm for this package, or leave it out of the input and build it with network (param hermetic false)",
		}
	}
	entries, err := parseLock(lock, raw)
	if err != nil {
		return nil, main, err
	}
	raw, err = job.Read(path.Join(i.Path, manifest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, main, &ecosystem.InputError{Problem: "the source has no " + path.Join(i.Path, manifest), Fix: "commit it beside yarn.lock"}
	}
	if err != nil {
		return nil, main, err
	}
	if err := json.Unmarshal(raw, &main); err != nil {
		return nil, main, &ecosystem.LockError{File: path.Join(i.Path, manifest), Problem: err.Error(), Fix: "correct the JSON"}
	}
	return entries, main, nil
}

// contained fails when what is taken from the source is outside.
func (i Input) contained(lock, asked string) error {
	target := strings.TrimPrefix(asked, "file:")
	if path.IsAbs(target) || !filepath.IsLocal(filepath.FromSlash(path.Join(i.Path, target))) {
		return &ecosystem.LockError{File: lock, Problem: fmt.Sprintf("%q leaves the source", asked), Fix: "depend on packages inside the repository"}
	}
	return nil
}

// runtime is which patterns the project needs when it runs. It is nil where
// that cannot be told, since workspaces have dependencies of their own.
func runtime(main project, entries []entry) map[string]bool {
	if main.Workspaces != nil {
		return nil
	}
	byPattern := map[string]entry{}
	for _, e := range entries {
		for _, pattern := range e.Patterns {
			byPattern[pattern] = e
		}
	}
	var queue []string
	for _, group := range []map[string]string{main.Dependencies, main.OptionalDependencies} {
		for name, asked := range group {
			queue = append(queue, name+"@"+asked)
		}
	}
	needed := map[string]bool{}
	for len(queue) > 0 {
		e, ok := byPattern[queue[0]]
		queue = queue[1:]
		if !ok || needed[e.Patterns[0]] {
			continue
		}
		needed[e.Patterns[0]] = true
		queue = append(queue, e.Dependencies...)
	}
	return needed
}

// file says where the entry's archive comes from, and where yarn looks for it.
func (e entry) file(job ecosystem.Job, lock string) (fetch.File, error) {
	name := e.real() + "@" + e.Version
	wrong := func(problem, fix string) error {
		return &ecosystem.LockError{File: lock, Problem: name + " " + problem, Fix: fix}
	}
	at, err := url.Parse(e.Resolved)
	isGit := err == nil && strings.HasSuffix(at.Path, ".git")
	if err != nil || at.Scheme != "http" && at.Scheme != "https" || isGit {
		return fetch.File{}, wrong("does not come from a registry or as an archive, and nothing pins its content",
			"depend on a published version, or on the URL of an archive")
	}
	sums, err := fetch.ParseIntegrity(e.Integrity)
	if err != nil {
		return fetch.File{}, wrong(err.Error(), pinFix)
	}
	if len(sums) == 0 { // what yarns before 1.10 wrote
		if sum, err := fetch.ParseChecksum("sha1:" + at.Fragment); err == nil {
			sums = []fetch.Checksum{sum}
		}
	}
	base := mirrorName(at.Path)
	if base == "." || base == ".." || base == "/" {
		return fetch.File{}, wrong("has a URL that names no file", pinFix)
	}
	at.Fragment = ""
	rebased, err := job.Rebase(at.String(), publicYarn, publicNpm, "http://registry.yarnpkg.com/", "http://registry.npmjs.org/")
	if err != nil {
		return fetch.File{}, err
	}
	return fetch.File{Package: name, URL: rebased, Path: path.Join(deps, base), Checksums: sums, Lock: lock, Fix: pinFix}, nil
}

// registryPath is that of an archive in a registry: scope, name, a dash, and
// the file.
var registryPath = regexp.MustCompile(`/(?:(@[^/]+)(?:/|%2f))?[^/]+/(?:-|_attachments)/(?:@[^/]+/)?([^/]+)$`)

// mirrorName is how yarn 1 calls an archive in an offline mirror.
func mirrorName(at string) string {
	m := registryPath.FindStringSubmatch(at)
	switch {
	case m == nil:
		return path.Base(at)
	case m[1] != "":
		return m[1] + "-" + m[2]
	}
	return m[2]
}

func (e entry) component(file fetch.File) ecosystem.Component {
	qualifiers := map[string]string{}
	if sums := fetch.Strongest(file.Checksums); len(sums) > 0 {
		qualifiers["checksum"] = sums[0].String()
	}
	if at, err := url.Parse(e.Resolved); err == nil && at.Hostname() != "registry.yarnpkg.com" && at.Hostname() != "registry.npmjs.org" {
		qualifiers["download_url"] = fetch.Show(at)
	}
	return ecosystem.Component{Name: e.real(), Version: e.Version, PURL: ecosystem.PURL(packageurl.TypeNPM, e.real(), e.Version, qualifiers, "")}
}
