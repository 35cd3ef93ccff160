package gomod

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/mod/module"

	"github.com/headrace-ci/headrace/pkg/prefetch/ecosystem"
)

const (
	vendorDir  = "vendor"
	modulesTxt = "modules.txt"
	vendorFix  = "run `go mod vendor` and commit folder vendor, or remove the folder from the repository"
)

// vendored is where a vendor folder has the packages of a module from.
type vendored struct {
	module.Version        // after replacement
	dir            string // in the source, where that replaces it; "" for none
}

// parseModules reads vendor/modules.txt: modules by the path they are imported
// by.
func parseModules(name, dir string, raw []byte) (map[string]vendored, error) {
	modules := map[string]vendored{}
	for line := range strings.SplitSeq(string(raw), "\n") {
		rest, ok := strings.CutPrefix(strings.TrimRight(line, "\r"), "# ")
		if !ok {
			continue // a package, or "## explicit"
		}
		fields := strings.Fields(rest)
		before, after := fields, []string(nil)
		for i, field := range fields {
			if field == "=>" {
				before, after = fields[:i], fields[i+1:]
			}
		}
		if len(before) == 0 || len(before) > 2 || len(after) > 2 {
			return nil, &ecosystem.LockError{File: name, Problem: fmt.Sprintf("%q is not a module", line), Fix: vendorFix}
		}
		v := vendored{}
		switch {
		case len(after) == 2:
			v.Version = module.Version{Path: after[0], Version: after[1]}
		case len(after) == 1:
			if v.dir = path.Join(dir, filepath.ToSlash(after[0])); path.IsAbs(after[0]) || !filepath.IsLocal(v.dir) {
				return nil, &ecosystem.LockError{File: name, Problem: fmt.Sprintf("%s is replaced by %q, which leaves the source", before[0], after[0]), Fix: vendorFix}
			}
		case len(before) == 2:
			v.Version = module.Version{Path: before[0], Version: before[1]}
		default:
			continue // a replacement of every version, which says nothing of its own
		}
		modules[before[0]] = v
	}
	return modules, nil
}

// checkVendor fails unless every file in the vendor folder below dir is that of
// a module that was fetched, or of a folder of the source that replaces one.
// Nothing is built from the folder that go.sum does not pin.
func checkVendor(source *os.Root, dir, fetched string, permissive bool) error {
	name := path.Join(dir, vendorDir, modulesTxt)
	raw, err := source.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // no vendor folder
	}
	if err != nil {
		return err
	}
	modules, err := parseModules(name, dir, raw)
	if err != nil {
		return err
	}
	c := checker{source: source, fetched: fetched, modules: modules, archives: map[string]map[string]*zip.File{}}
	defer c.close()
	root := path.Join(dir, vendorDir)
	return fs.WalkDir(source.FS(), root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || file == name {
			return err
		}
		problem, err := c.check(file, strings.TrimPrefix(file, root+"/"), d)
		var unpinned *UnpinnedError
		if permissive && errors.As(err, &unpinned) {
			problem, err = unpinned.Error(), nil
		}
		switch {
		case err != nil || problem == "":
			return err
		case permissive:
			slog.Warn("vendored file is not what the module holds", "file", file, "problem", problem)
			return nil
		}
		return &ecosystem.LockError{File: file, Problem: problem, Fix: vendorFix}
	})
}

// checker compares vendored files with the modules they are from.
type checker struct {
	source   *os.Root
	fetched  string // folder with downloads
	modules  map[string]vendored
	archives map[string]map[string]*zip.File // files of a module, by name
	open     []*zip.ReadCloser
}

func (c *checker) close() {
	for _, archive := range c.open {
		_ = archive.Close() // only read from
	}
}

// check says what is wrong with a file; "" when it is what it should be.
func (c *checker) check(file, inside string, d fs.DirEntry) (problem string, err error) {
	if !d.Type().IsRegular() {
		return "is not a regular file", nil
	}
	at := path.Dir(inside)
	for ; at != "."; at = path.Dir(at) {
		if _, ok := c.modules[at]; ok {
			break
		}
	}
	from, ok := c.modules[at]
	if !ok {
		return "is of no module that modules.txt names", nil
	}
	want, err := c.original(from, strings.TrimPrefix(inside, at+"/"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("is not in module %s", from), nil
	case err != nil:
		return "", fmt.Errorf("comparing %s: %w", file, err)
	}
	got, err := c.source.ReadFile(file)
	if err == nil && !bytes.Equal(got, want) {
		problem = fmt.Sprintf("differs from the file in module %s", from)
	}
	return problem, err
}

func (v vendored) String() string {
	if v.dir != "" {
		return v.dir
	}
	return v.Version.String()
}

// original is the file as the module has it.
func (c *checker) original(from vendored, name string) ([]byte, error) {
	if from.dir != "" {
		return c.source.ReadFile(path.Join(from.dir, name))
	}
	files, ok := c.archives[from.String()]
	if !ok {
		at, err := location(from.Version)
		if err != nil {
			return nil, err
		}
		archive, err := zip.OpenReader(filepath.Join(c.fetched, filepath.FromSlash(at)+".zip"))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &UnpinnedError{Modules: []module.Version{from.Version}}
		}
		if err != nil {
			return nil, err
		}
		c.open = append(c.open, archive)
		files = map[string]*zip.File{}
		for _, f := range archive.File {
			files[f.Name] = f
		}
		c.archives[from.String()] = files
	}
	f, ok := files[from.String()+"/"+name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	content, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer content.Close()
	return io.ReadAll(io.LimitReader(content, maxZip))
}
