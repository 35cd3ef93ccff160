// Package prefetch fetches what a build depends on before the build, so that
// the build itself needs no network: for now Go modules.
//
// Nothing is fetched that the source does not pin by checksum, every file is
// checked against that checksum before it is kept, and no code of the project
// or of a dependency is run.
//
// What is fetched goes below an output folder, in the layout the package
// manager's own cache has, with an SBOM (bom.json) beside it. [WriteEnv] says
// how a build finds it where it will be mounted.
package prefetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/mod/module"
)

// Options say what to fetch, from where and to where.
type Options struct {
	Source   string // root of the source; nothing outside is read
	Output   string // folder to fill
	Packages []Package

	Proxies     string // module proxies in the syntax of GOPROXY, without "direct"
	Transport   http.RoundTripper
	Netrc       string // file with logins; "" for none
	Permissive  bool   // warn of what the source does not pin, and leave it out
	Concurrency int    // downloads at a time; 0 for 8
	Attempts    int    // how often to try a request; 0 for 5
}

// Run fetches everything and writes the SBOM.
func Run(ctx context.Context, opts Options) error {
	root, err := os.OpenRoot(opts.Source)
	if err != nil {
		return fmt.Errorf("opening the source: %w", err)
	}
	defer root.Close()
	proxies, err := newProxies(opts)
	if err != nil {
		return err
	}
	sums := checksums{}
	mains := map[string]checksums{}
	for _, pkg := range opts.Packages {
		found, err := readModule(root, pkg.Path)
		if err != nil {
			return fmt.Errorf("reading Go module %q: %w", pkg.Path, err)
		}
		if err := found.complete(opts.Permissive); err != nil {
			return fmt.Errorf("reading Go module %q: %w", pkg.Path, err)
		}
		if err := sums.merge(found.sums); err != nil {
			return err
		}
		for _, main := range found.mains {
			mains[main] = found.sums
		}
	}
	fetched, err := proxies.fetchAll(ctx, sums, filepath.Join(opts.Output, filepath.FromSlash(downloads)))
	if err != nil {
		return err
	}
	slog.InfoContext(ctx, "fetched Go modules", "modules", len(fetched))
	return writeSBOM(filepath.Join(opts.Output, "bom.json"), mains, fetched, sums.digest())
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

// digest names the set of checksums.
func (c checksums) digest() string {
	h := sha256.New()
	for _, mod := range slices.SortedFunc(maps.Keys(c), compare) {
		fmt.Fprintf(h, "%s %s %s\n", mod.Path, mod.Version, c[mod])
	}
	return hex.EncodeToString(h.Sum(nil))
}
