// Package bundler fetches the gems that Gemfile.lock pins, into a cache that
// bundler installs from without network.
//
// Gemfile and gemspecs are programs, and are never run.
package bundler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
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
	deps      = "deps/bundler"
	config    = "bundler/config_override" // folder of bundler's configuration
	lockfile  = "Gemfile.lock"
	publicGem = "https://rubygems.org/"
	all       = ":all:"
)

// Input is a folder with a Gemfile.lock.
type Input struct {
	Type        string  `json:"type"`
	Path        string  `json:"path"`
	AllowBinary bool    `json:"allow_binary"`
	Binary      *Filter `json:"binary"`
}

// Filter says which gems with compiled code are wanted. Its fields are lists
// with commas.
type Filter struct {
	Packages string `json:"packages"`
	Platform string `json:"platform"`
}

// Parse reads an entry of type bundler.
func Parse(raw []byte) (ecosystem.Input, error) {
	var given struct {
		Binary *json.RawMessage `json:"binary"`
	}
	input := Input{Path: "."}
	if json.Unmarshal(raw, &given) == nil && given.Binary != nil && string(*given.Binary) != "null" {
		input.Binary = &Filter{Packages: all, Platform: all} // which the input changes where it has keys
	}
	if err := ecosystem.Decode(raw, &input); err != nil {
		return nil, err
	}
	if input.AllowBinary && input.Binary == nil {
		input.Binary = &Filter{Packages: all, Platform: all}
	}
	return input, ecosystem.CheckPath("path", input.Path)
}

// wants tells whether a gem for one platform is asked for.
func (f *Filter) wants(g gem) bool {
	has := func(list, value string) bool {
		return slices.ContainsFunc(strings.Split(list, ","), func(entry string) bool {
			entry = strings.TrimSpace(entry)
			return entry == all || entry == value
		})
	}
	return f != nil && has(f.Packages, g.Name) && has(f.Platform, g.Platform)
}

// Fetch implements [ecosystem.Input].
func (i Input) Fetch(ctx context.Context, job ecosystem.Job) (*ecosystem.Result, error) {
	lock := path.Join(i.Path, lockfile)
	raw, err := job.ReadLock(lock, "run `bundle lock --add-checksums` and commit it, or set \"path\" to its folder")
	if err != nil {
		return nil, err
	}
	gems, err := parseLock(lock, raw)
	if err != nil {
		return nil, err
	}
	chosen, err := i.choose(lock, gems)
	if err != nil {
		return nil, err
	}
	result := &ecosystem.Result{Env: []ecosystem.Variable{{Name: "BUNDLE_APP_CONFIG", Value: job.Mounted(config)}}}
	var files []fetch.File
	for _, g := range chosen {
		if g.Path != "" {
			result.Main = append(result.Main, component(g, nil, path.Join(i.Path, g.Path)))
			continue
		}
		file, c, err := g.file(job, lock)
		if err != nil {
			return nil, err
		}
		files, result.Components = append(files, file), append(result.Components, c)
	}
	if len(result.Main) == 0 {
		name := path.Base(path.Join("source", i.Path))
		result.Main = []ecosystem.Component{component(gem{Name: name}, nil, i.Path)}
	}
	fetched, err := job.Client.Files(ctx, job.Output, files)
	if err != nil {
		return nil, err
	}
	slog.InfoContext(ctx, "fetched gems", "lockfile", lock, "gems", len(fetched))
	for n := range files {
		result.Components[n] = ecosystem.Of(result.Components[n], fetched[n], lock)
	}
	compiled := slices.ContainsFunc(chosen, func(g gem) bool { return g.Platform != "" })
	return result, i.configure(job, compiled)
}

// choose leaves out gems with compiled code that the input does not ask for,
// as long as the build can have their source.
func (i Input) choose(lock string, gems []gem) ([]gem, error) {
	var chosen, left []gem
	has := map[string]bool{}
	for _, g := range gems {
		switch {
		case g.Path != "" && (path.IsAbs(g.Path) || !filepath.IsLocal(filepath.FromSlash(path.Join(i.Path, g.Path)))):
			return nil, &ecosystem.LockError{File: lock, Problem: fmt.Sprintf("gem %s is at %q, which leaves the source", g.Name, g.Path), Fix: "keep it in the repository"}
		case g.Platform != "" && !i.Binary.wants(g):
			left = append(left, g)
		default:
			has[g.Name] = true
			chosen = append(chosen, g)
		}
	}
	for _, g := range left {
		if !has[g.Name] {
			return nil, &ecosystem.LockError{
				File: lock, Problem: fmt.Sprintf("%s is compiled code, and there is no source of it beside", g.full()),
				Fix: `ask for binary gems, such as {"type": "bundler", "binary": {}}, or run ` + "`bundle lock --add-platform ruby`",
			}
		}
		slog.Info("gem with compiled code is left out: its source is fetched", "gem", g.full())
	}
	return chosen, nil
}

// file says where a gem comes from.
func (g gem) file(job ecosystem.Job, lock string) (fetch.File, ecosystem.Component, error) {
	wrong := func(problem, fix string) error {
		return &ecosystem.LockError{File: lock, Problem: fmt.Sprintf("%s %s", g.full(), problem), Fix: fix}
	}
	if len(g.Remotes) > 1 {
		return fetch.File{}, ecosystem.Component{}, wrong("may come from any of several gem servers", "give each source of the Gemfile a block with its gems")
	}
	remote := strings.TrimSuffix(g.Remotes[0], "/") + "/"
	at, err := url.Parse(remote)
	switch {
	case err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Host == "":
		return fetch.File{}, ecosystem.Component{}, wrong("comes from a gem server that is not an http or https URL", "name the server by https in the Gemfile")
	case at.User != nil:
		return fetch.File{}, ecosystem.Component{}, wrong("comes from a gem server whose URL has a login", "put it into workspace netrc")
	}
	rebased, err := job.Rebase(remote, publicGem, "http://rubygems.org/")
	if err != nil {
		return fetch.File{}, ecosystem.Component{}, err
	}
	qualifiers := map[string]string{}
	if sums := fetch.Strongest(g.Checksums); len(sums) > 0 {
		qualifiers["checksum"] = sums[0].String()
	}
	if g.Platform != "" {
		qualifiers["platform"] = g.Platform
	}
	if at.Hostname() != "rubygems.org" {
		qualifiers["repository_url"] = strings.TrimSuffix(fetch.Show(at), "/")
	}
	c := component(g, qualifiers, "")
	if g.Platform != "" {
		c.Properties = []ecosystem.Property{{Name: ecosystem.BundlerBinary, Value: "true"}}
	}
	return fetch.File{
		Package: g.full(), URL: rebased + "gems/" + g.full() + ".gem", Path: path.Join(deps, g.full()+".gem"),
		Checksums: g.Checksums, Lock: lock, Fix: pinFix,
	}, c, nil
}

func component(g gem, qualifiers map[string]string, subpath string) ecosystem.Component {
	return ecosystem.Component{Name: g.Name, Version: g.Version, PURL: ecosystem.PURL(packageurl.TypeGem, g.Name, g.Version, qualifiers, subpath)}
}

// settings are what bundler needs to install from the cache alone, with the
// gems of Gemfile.lock and no others.
const settings = `BUNDLE_CACHE_PATH: %q
BUNDLE_DEPLOYMENT: "true"
BUNDLE_NO_PRUNE: "true"
BUNDLE_ALLOW_OFFLINE_INSTALL: "true"
BUNDLE_DISABLE_VERSION_CHECK: "true"
BUNDLE_VERSION: "system"
`

// line is one of bundler's configuration.
var line = regexp.MustCompile(`^(BUNDLE_[A-Z0-9_]+):`)

// configure writes bundler's configuration: the project's own, with the
// settings above in place of those of the same name.
func (i Input) configure(job ecosystem.Job, compiled bool) error {
	text := fmt.Sprintf(settings, job.Mounted(deps))
	if !compiled { // bundler would ask for the compiled form of a gem that has one
		text += "BUNDLE_FORCE_RUBY_PLATFORM: \"true\"\n"
	}
	set := map[string]bool{}
	for own := range strings.SplitSeq(text, "\n") {
		if m := line.FindStringSubmatch(own); m != nil {
			set[m[1]] = true
		}
	}
	name := path.Join(i.Path, ".bundle/config")
	raw, err := job.Read(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	keep := true // lines that go on belong to the key before them
	var kept strings.Builder
	for own := range strings.SplitAfterSeq(string(raw), "\n") {
		if m := line.FindStringSubmatch(own); m != nil {
			keep = !set[m[1]]
		}
		if keep {
			kept.WriteString(own)
		}
	}
	if text := kept.String(); text != "" && !strings.HasSuffix(text, "\n") {
		kept.WriteString("\n")
	}
	if kept.Len() == 0 {
		kept.WriteString("---\n")
	}
	file := filepath.Join(job.Output, filepath.FromSlash(config), "config")
	content := kept.String() + text
	if have, err := os.ReadFile(file); err == nil && string(have) != content {
		return &ecosystem.InputError{
			Problem: fmt.Sprintf("the configuration of bundler for %q differs from that of another input, and a build has one", i.Path),
			Fix:     "make .bundle/config and \"binary\" the same, or build the two as two components",
		}
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(content), 0o644)
}
