// Package prefetch fetches what a build depends on before the build, so that
// the build itself needs no network.
//
// Nothing is fetched that the source does not pin by checksum, every file is
// compared with that checksum before it is kept, and no code of the project or
// of a dependency is run. The one exception is asked for: a permissive run
// takes what has no checksum, and says so in the SBOM.
//
// What is fetched goes below an output folder, in a layout the package manager
// itself can work with, with an SBOM (bom.json) beside it. [WriteEnv] and
// [Apply] make a build use it where it will be mounted. What is particular to a
// package manager is in a package of its own; they meet in [ecosystem.Input].
package prefetch

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/headrace-ci/headrace/pkg/prefetch/ecosystem"
	"github.com/headrace-ci/headrace/pkg/prefetch/fetch"
)

// Options say what to fetch, from where and to where.
type Options struct {
	Source  string // root of the source; nothing outside is read
	Output  string // folder to fill
	Mount   string // where the build sees Output
	Request Request

	Fetch   fetch.Options
	Proxies map[string]string // by type of package, instead of the public registries
	Index   string            // of Python packages; "" for the public one
}

// Outcome is what a build needs to use what was fetched.
type Outcome struct {
	Env   []ecosystem.Variable
	Edits []ecosystem.Edit // of the source
}

// Run fetches everything and writes the SBOM.
func Run(ctx context.Context, opts Options) (*Outcome, error) {
	root, err := os.OpenRoot(opts.Source)
	if err != nil {
		return nil, fmt.Errorf("opening the source: %w", err)
	}
	defer root.Close()
	client, err := fetch.New(opts.Fetch)
	if err != nil {
		return nil, err
	}
	outcome := &Outcome{Env: opts.Request.Env}
	var results []*ecosystem.Result
	for _, pkg := range opts.Request.Packages {
		result, err := pkg.Input.Fetch(ctx, ecosystem.Job{
			Source: root, Output: opts.Output, Mount: opts.Mount, Client: client,
			Proxy: opts.Proxies[pkg.Type], Index: opts.Index, Permissive: opts.Fetch.Permissive,
		})
		if err != nil {
			return nil, err
		}
		if outcome.Env, err = mergeEnv(outcome.Env, result.Env); err != nil {
			return nil, err
		}
		if outcome.Edits, err = mergeEdits(outcome.Edits, result.Edits); err != nil {
			return nil, err
		}
		results = append(results, result)
	}
	return outcome, writeSBOM(filepath.Join(opts.Output, "bom.json"), results)
}

// mergeEdits joins edits. Two inputs may ask for the same.
func mergeEdits(have, more []ecosystem.Edit) ([]ecosystem.Edit, error) {
	for _, edit := range more {
		edit.Path = path.Clean(edit.Path)
		at := slices.IndexFunc(have, func(e ecosystem.Edit) bool { return e.Path == edit.Path })
		switch {
		case at < 0:
			have = append(have, edit)
		case string(have[at].Content) != string(edit.Content):
			return nil, &InputError{
				Problem: fmt.Sprintf("two inputs would change %s, each in its way", edit.Path),
				Fix:     "name the folder of that file once in the input",
			}
		}
	}
	slices.SortFunc(have, func(a, b ecosystem.Edit) int { return cmp.Compare(a.Path, b.Path) })
	return have, nil
}

// Apply makes the edits in the source. Nothing outside of it is written, even
// where it has links that lead out.
func Apply(source string, edits []ecosystem.Edit) error {
	root, err := os.OpenRoot(source)
	if err != nil {
		return fmt.Errorf("opening the source: %w", err)
	}
	defer root.Close()
	for _, edit := range edits {
		err := root.MkdirAll(path.Dir(edit.Path), 0o755)
		if err = cmp.Or(err, root.WriteFile(edit.Path, edit.Content, 0o644)); err != nil {
			return fmt.Errorf("changing %s for the build: %w", edit.Path, err)
		}
	}
	return nil
}
