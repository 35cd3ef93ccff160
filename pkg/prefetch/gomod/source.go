package gomod

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"

	"github.com/headrace-ci/headrace/pkg/prefetch/ecosystem"
)

const (
	goMod  = "go.mod"
	goSum  = "go.sum"
	goWork = "go.work"

	// modSuffix marks the checksum of a module's go.mod file.
	modSuffix = "/go.mod"
)

// goModule is what the source says of one Go module, or of a workspace.
type goModule struct {
	mains    []string // module paths
	dirs     []string // that may have a vendor folder
	work     *workspace
	required []module.Version
	sums     checksums
}

// UnpinnedError says that modules are required but not pinned by checksum.
type UnpinnedError struct{ Modules []module.Version }

func (e *UnpinnedError) Error() string {
	return fmt.Sprintf("go.sum has no checksum of %s", join(e.Modules))
}

// Hint says how to pin them.
func (e *UnpinnedError) Hint() string { return "run `go mod tidy` and commit go.mod and go.sum" }

func join(mods []module.Version) string {
	var names []string
	for _, mod := range mods {
		names = append(names, mod.String())
	}
	return strings.Join(names, ", ")
}

// complete fails unless every required module has a checksum of its go.mod
// file, without which the go command would have to ask the network.
func (m goModule) complete(permissive bool) error {
	var missing []module.Version
	for _, mod := range m.required {
		if slices.Contains(m.mains, mod.Path) {
			continue // of the same workspace
		}
		if _, ok := m.sums[module.Version{Path: mod.Path, Version: mod.Version + modSuffix}]; !ok {
			missing = append(missing, mod)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if permissive {
		slog.Warn("modules without a checksum are left out", "modules", join(missing))
		return nil
	}
	return &UnpinnedError{Modules: missing}
}

// readModule reads the module in dir, with the rest of its workspace if a
// go.work file takes it in.
func readModule(root *os.Root, dir string) (goModule, error) {
	m := goModule{sums: checksums{}}
	dir = path.Clean(filepath.ToSlash(dir))
	work, err := findWorkspace(root, dir)
	if err != nil {
		return m, err
	}
	if work == nil {
		return m, m.add(root, dir)
	}
	m.work = work
	m.dirs = append(m.dirs, work.dir)
	if err := m.addSums(root, path.Join(work.dir, "go.work.sum")); err != nil {
		return m, err
	}
	for _, use := range work.uses {
		if err := m.add(root, use); err != nil {
			return m, err
		}
	}
	return m, nil
}

// workspace is what a go.work file says.
type workspace struct {
	dir      string
	uses     []string // folders of its modules
	replaces []*modfile.Replace
}

// findWorkspace finds the go.work that the go command would use in dir; nil
// when there is none.
func findWorkspace(root *os.Root, dir string) (*workspace, error) {
	for at := dir; ; at = path.Dir(at) {
		raw, err := root.ReadFile(path.Join(at, goWork))
		switch {
		case errors.Is(err, fs.ErrNotExist) && at == ".":
			return nil, nil
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return nil, err
		}
		file, err := modfile.ParseWork(path.Join(at, goWork), raw, nil)
		if err != nil {
			return nil, err
		}
		work := &workspace{dir: at, replaces: file.Replace}
		for _, use := range file.Use {
			used := path.Join(at, filepath.ToSlash(use.Path))
			if path.IsAbs(use.Path) || !filepath.IsLocal(used) {
				return nil, fmt.Errorf("%s uses %q, which leaves the source", path.Join(at, goWork), use.Path)
			}
			work.uses = append(work.uses, used)
		}
		if at != dir && !slices.Contains(work.uses, dir) {
			return nil, nil // the go command would refuse the workspace; GOWORK=off is assumed
		}
		return work, nil
	}
}

// add reads go.mod and go.sum in dir.
func (m *goModule) add(root *os.Root, dir string) error {
	name := path.Join(dir, goMod)
	raw, err := root.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return &ecosystem.InputError{
			Problem: fmt.Sprintf("the source has no %s", name),
			Fix:     `set "path" to the folder of go.mod, relative to the root of the repository`,
		}
	}
	if err != nil {
		return err
	}
	file, err := modfile.Parse(name, raw, nil)
	if err != nil {
		return err
	}
	if file.Module == nil {
		return fmt.Errorf("%s has no module line", name)
	}
	m.dirs = append(m.dirs, dir)
	m.mains = append(m.mains, file.Module.Mod.Path)
	for _, require := range file.Require {
		mod, err := m.replaced(file, require.Mod, dir)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if mod.Path != "" {
			m.required = append(m.required, mod)
		}
	}
	return m.addSums(root, path.Join(dir, goSum))
}

// replaced applies the replace directives to a requirement: those of the
// workspace, if there is one, before those of the module. The result has no
// path when it is a folder of the source.
func (m *goModule) replaced(file *modfile.File, mod module.Version, dir string) (module.Version, error) {
	if m.work != nil {
		if replace := find(m.work.replaces, mod); replace != nil {
			return apply(replace, mod, m.work.dir)
		}
	}
	if replace := find(file.Replace, mod); replace != nil {
		return apply(replace, mod, dir)
	}
	return mod, nil
}

// find is the directive for a module: one for its version, else one for all.
func find(replaces []*modfile.Replace, mod module.Version) *modfile.Replace {
	var found *modfile.Replace
	for _, replace := range replaces {
		switch {
		case replace.Old == mod:
			return replace
		case replace.Old.Path == mod.Path && replace.Old.Version == "":
			found = replace
		}
	}
	return found
}

func apply(replace *modfile.Replace, mod module.Version, dir string) (module.Version, error) {
	if replace.New.Version != "" {
		return replace.New, nil
	}
	target := path.Join(dir, filepath.ToSlash(replace.New.Path))
	if path.IsAbs(replace.New.Path) || !filepath.IsLocal(target) {
		return module.Version{}, fmt.Errorf("%s is replaced by %q, which leaves the source", mod.Path, replace.New.Path)
	}
	return module.Version{}, nil
}

func (m *goModule) addSums(root *os.Root, name string) error {
	raw, err := root.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // right for a module that requires nothing; complete tells
	}
	if err != nil {
		return err
	}
	sums, err := parseSums(raw)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return m.sums.merge(sums)
}

// parseSums reads a go.sum file.
func parseSums(raw []byte) (checksums, error) {
	sums := checksums{}
	number := 0
	for line := range bytes.Lines(raw) {
		number++
		fields := strings.Fields(string(line))
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 3 {
			return nil, fmt.Errorf("line %d: want module, version and checksum", number)
		}
		mod := module.Version{Path: fields[0], Version: fields[1]}
		if err := module.Check(mod.Path, strings.TrimSuffix(mod.Version, modSuffix)); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		digest, ok := strings.CutPrefix(fields[2], "h1:")
		if sum, err := base64.StdEncoding.DecodeString(digest); !ok || err != nil || len(sum) != 32 {
			return nil, fmt.Errorf("line %d: checksum %q is not h1: and 32 bytes in base64", number, fields[2])
		}
		if err := sums.merge(checksums{mod: fields[2]}); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	return sums, nil
}

func compare(a, b module.Version) int {
	return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Version, b.Version))
}
