// Package gomod fetches Go modules: what go.sum pins, from module proxies, into
// the layout of the go command's own cache of downloads.
package gomod

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"

	"github.com/package-url/packageurl-go"
	"golang.org/x/mod/module"

	"github.com/headrace-ci/headrace/pkg/prefetch/ecosystem"
)

// downloads is where the module cache's downloads are below the output folder:
// where the go command keeps them below a GOPATH.
const downloads = "deps/gomod/pkg/mod/cache/download"

// publicProxy is asked when the cluster names no other.
const publicProxy = "https://proxy.golang.org"

// Input is a Go module of the source, or one of a workspace.
type Input struct {
	Type string `json:"type"`
	Path string `json:"path"`
}

// Parse reads an entry of type gomod.
func Parse(raw []byte) (ecosystem.Input, error) {
	input := Input{Path: "."}
	if err := ecosystem.Decode(raw, &input); err != nil {
		return nil, err
	}
	return input, ecosystem.CheckPath("path", input.Path)
}

// Fetch implements [ecosystem.Input].
func (i Input) Fetch(ctx context.Context, job ecosystem.Job) (*ecosystem.Result, error) {
	proxies, err := newProxies(job)
	if err != nil {
		return nil, err
	}
	found, err := readModule(job.Source, i.Path)
	if err != nil {
		return nil, fmt.Errorf("reading Go module %q: %w", i.Path, err)
	}
	if err := found.complete(job.Permissive); err != nil {
		return nil, fmt.Errorf("reading Go module %q: %w", i.Path, err)
	}
	dir := filepath.Join(job.Output, filepath.FromSlash(downloads))
	fetched, err := proxies.fetchAll(ctx, found.sums, dir)
	if err != nil {
		return nil, err
	}
	for _, at := range found.dirs {
		if err := checkVendor(job.Source, at, dir, job.Permissive); err != nil {
			return nil, err
		}
	}
	slog.InfoContext(ctx, "fetched Go modules", "path", i.Path, "modules", len(fetched))
	result := &ecosystem.Result{Env: env(job)}
	for _, main := range found.mains {
		result.Main = append(result.Main, component(main, ""))
	}
	for _, mod := range fetched {
		c := component(mod.Path, mod.Version.Version)
		c.URL, c.SHA256 = mod.URL, mod.SHA256
		result.Components = append(result.Components, c)
	}
	return result, nil
}

// env makes the go command use the output folder where it is mounted, be that
// read-only.
func env(job ecosystem.Job) []ecosystem.Variable {
	return []ecosystem.Variable{
		{Name: "GONOPROXY", Value: "none"}, // over a GOPRIVATE of the image
		{Name: "GOPROXY", Value: "file://" + job.Mounted(downloads)},
		{Name: "GOSUMDB", Value: "off"}, // go.sum was checked, and there is no network
		{Name: "GOTOOLCHAIN", Value: "local"},
	}
}

func component(path, version string) ecosystem.Component {
	return ecosystem.Component{Name: path, Version: version, PURL: ecosystem.PURL(packageurl.TypeGolang, path, version, map[string]string{"type": "module"}, "")}
}

// checksums are the lines of go.sum files: by module and version, where the
// version of a go.mod file alone ends in "/go.mod".
type checksums map[module.Version]string

func (c checksums) merge(more checksums) error {
	for mod, sum := range more {
		if have, ok := c[mod]; ok && have != sum {
			return fmt.Errorf("%s has two checksums, %s and %s", mod, have, sum)
		}
		c[mod] = sum
	}
	return nil
}

func (c checksums) sorted() []module.Version {
	return slices.SortedFunc(maps.Keys(c), compare)
}
