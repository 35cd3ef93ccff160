package tknbundle

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/headrace-ci/headrace/pkg/taskcli"
)

// selected are the files of the source that a context names, in its order and
// by name within a folder. A context of exclusions alone is everything but
// those.
func selected(root *os.Root, context string) ([]string, error) {
	paths := list(context)
	if len(paths) == 0 {
		paths = []string{"."}
	}
	var files []string
	if !slices.ContainsFunc(paths, func(p string) bool { return !strings.HasPrefix(p, "!") }) {
		paths = append([]string{"."}, paths...)
	}
	for _, p := range paths {
		bare, except := strings.CutPrefix(p, "!")
		found, err := expand(root, bare)
		if err != nil {
			return nil, err
		}
		if except {
			files = slices.DeleteFunc(files, func(f string) bool { return slices.Contains(found, f) })
			continue
		}
		for _, f := range found {
			if !slices.Contains(files, f) {
				files = append(files, f)
			}
		}
	}
	if len(files) == 0 {
		return nil, &taskcli.UsageError{
			Flag: "context", Problem: fmt.Sprintf("%q matches no .yaml or .yml file of the source", context),
			Fix: "set param CONTEXT, or the pipeline's path-context, to the folder with the Task",
		}
	}
	return files, nil
}

// expand is a file, or the YAML files of a folder and those below.
func expand(root *os.Root, name string) ([]string, error) {
	name = path.Clean(name)
	if !filepath.IsLocal(name) {
		return nil, &taskcli.UsageError{Flag: "context", Problem: fmt.Sprintf("%q leads out of the source", name)}
	}
	info, err := root.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &taskcli.UsageError{Flag: "context", Problem: fmt.Sprintf("the source has no %q", name)}
	}
	if err != nil {
		return nil, fmt.Errorf("reading the source: %w", err)
	}
	if !info.IsDir() {
		return []string{name}, nil
	}
	var files []string
	err = fs.WalkDir(root.FS(), name, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == ".git":
			return fs.SkipDir
		case d.Type().IsRegular() && (path.Ext(file) == ".yaml" || path.Ext(file) == ".yml"):
			files = append(files, file)
		}
		return nil
	})
	return files, err
}
