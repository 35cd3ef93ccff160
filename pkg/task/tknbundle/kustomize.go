package tknbundle

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	sigsyaml "sigs.k8s.io/yaml"
)

// kustomizations are the names of the file that makes a folder one.
var kustomizations = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// maxKustomized bounds the source that a kustomization may draw on, in bytes.
const maxKustomized = 64 << 20

// kustomized builds a folder that has a kustomization; nil for others. It works
// on a copy of the source in memory: nothing else is read, what is not in the
// source is refused, and no plugin runs.
func kustomized(root *os.Root, dir string) ([]byte, error) {
	if !slices.ContainsFunc(kustomizations, func(name string) bool { _, err := root.Stat(path.Join(dir, name)); return err == nil }) {
		return nil, nil
	}
	if err := checkLocal(root, dir, map[string]bool{}); err != nil {
		return nil, err
	}
	files, err := inMemory(root)
	if err != nil {
		return nil, err
	}
	made, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(files, path.Join("/", dir))
	if err != nil {
		return nil, fmt.Errorf("building the kustomization of %q: %w", dir, err)
	}
	return made.AsYaml()
}

// inMemory copies the source, without git's folder and without links.
func inMemory(root *os.Root) (filesys.FileSystem, error) {
	files, size := filesys.MakeFsInMemory(), int64(0)
	err := fs.WalkDir(root.FS(), ".", func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == ".git":
			return fs.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if size += info.Size(); size > maxKustomized {
			return fmt.Errorf("the source is larger than %d bytes, too much for a kustomization", maxKustomized)
		}
		content, err := root.ReadFile(file)
		if err != nil {
			return err
		}
		return files.WriteFile(path.Join("/", file), content)
	})
	return files, err
}

// checkLocal refuses a kustomization that draws on other hosts, itself or
// through others: what is packed is to come from the commit alone.
func checkLocal(root *os.Root, dir string, seen map[string]bool) error {
	if seen[dir] {
		return nil
	}
	seen[dir] = true
	for _, name := range kustomizations {
		file := path.Join(dir, name)
		content, err := root.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", file, err)
		}
		var k struct {
			Resources  []string `json:"resources"`
			Bases      []string `json:"bases"`
			Components []string `json:"components"`
		}
		if err := sigsyaml.Unmarshal(content, &k); err != nil {
			return fmt.Errorf("reading %s: %w", file, err)
		}
		for _, entry := range slices.Concat(k.Resources, k.Bases, k.Components) {
			if strings.Contains(entry, "\n") {
				continue // an object in place
			}
			info, err := root.Stat(path.Join(dir, entry))
			if err != nil {
				return &remoteError{file: file, entry: entry, missing: errors.Is(err, fs.ErrNotExist)}
			}
			if info.IsDir() {
				if err := checkLocal(root, path.Join(dir, entry), seen); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// remoteError says that a kustomization names what the source does not have.
type remoteError struct {
	file, entry string
	missing     bool
}

func (e *remoteError) Error() string {
	if e.missing {
		return fmt.Sprintf("%s names %q, which is not in the source", e.file, e.entry)
	}
	return fmt.Sprintf("%s names %q, which leads out of the source", e.file, e.entry)
}

// Hint says what to do instead.
func (e *remoteError) Hint() string {
	return "commit it to the repository: nothing is fetched while a bundle is packed"
}
