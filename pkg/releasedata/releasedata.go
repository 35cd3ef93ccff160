// Package releasedata is the folder that the tasks of a release hand from one
// to the next: what is released, by which plan, and what came of it so far.
//
// It travels as a trusted artifact. A task takes its predecessor's, works on
// it, and keeps the whole folder under a new URI; which one a task takes is
// therefore what it builds on.
//
// Paths are relative to the folder and cannot lead out of it.
package releasedata

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/pflag"

	"github.com/headrace-ci/headrace/pkg/artifact"
)

// ResultName is the name of the result, and of the param, with the URI.
const ResultName = "sourceDataArtifact"

// noStorage is how a release asks for a shared volume instead.
const noStorage = "empty"

// Folder is the folder of one task.
type Folder struct {
	Dir          string // where it is on this machine
	Source       string // URI of the predecessor's; "" for none
	Storage      string // repository to keep it in, with or without a tag
	Tag          string // for a repository without one
	ExpiresAfter string // when the registry may delete it
}

// AddFlags adds what a task that works on the folder is told about it.
func (f *Folder) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&f.Dir, "data-dir", "/var/workdir/release", "Folder for the release's data")
	flags.StringVar(&f.Source, "source-data-artifact", "", "The release's data as a trusted artifact")
	flags.StringVar(&f.Storage, "oci-storage", noStorage, "Repository to keep the release's data in")
	flags.StringVar(&f.Tag, "oci-tag", "", "Tag for a repository that is given without one")
	flags.StringVar(&f.ExpiresAfter, "oci-artifact-expires-after", "1d", "When the registry may delete it; never when empty")
}

// Open fetches the predecessor's folder, if there is one.
func (f *Folder) Open(ctx context.Context) error {
	if err := os.MkdirAll(f.Dir, 0o755); err != nil {
		return err
	}
	if f.Source == "" {
		return nil
	}
	return artifact.Use(ctx, f.Source, f.Dir)
}

// Keep keeps the folder and returns the task's result about it.
func (f *Folder) Keep(ctx context.Context) (map[string]string, error) {
	store, err := f.store()
	if err != nil {
		return nil, err
	}
	return artifact.Create(ctx, artifact.CreateOptions{
		Store: store, ExpiresAfter: f.ExpiresAfter, Paths: map[string]string{ResultName: f.Dir},
	})
}

// StorageError says that there is nowhere to keep the folder.
type StorageError struct{}

func (*StorageError) Error() string {
	return "param ociStorage is not set, and shared volumes are not supported"
}

// Hint says where it is set.
func (*StorageError) Hint() string {
	return "set spec.pipeline.pipelineRef.ociStorage of the ReleasePlanAdmission to a repository"
}

func (f *Folder) store() (string, error) {
	if f.Storage == "" || f.Storage == noStorage {
		return "", &StorageError{}
	}
	if _, err := name.NewRepository(f.Storage, name.StrictValidation); err != nil || f.Tag == "" {
		return f.Storage, nil // with a tag, or for the push to refuse
	}
	return f.Storage + ":" + f.Tag, nil
}

// Read reads a JSON file.
func (f *Folder) Read(file string, into any) error {
	root, err := os.OpenRoot(f.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	raw, err := root.ReadFile(filepath.Clean(file))
	if err != nil {
		return fmt.Errorf("reading the release's data: %w", err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("reading the release's data: %s: %w", file, err)
	}
	return nil
}

// Write writes a JSON file, and the folders it is in.
func (f *Folder) Write(file string, value any) error {
	raw, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(f.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	file = filepath.Clean(file)
	if err := root.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("writing the release's data: %w", err)
	}
	if err := root.WriteFile(file, append(raw, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing the release's data: %w", err)
	}
	return nil
}

// Results reads every JSON file in a folder of results, merged: objects deep,
// of anything else the later file's, in the order of their names. A folder
// that is not there has no results.
func (f *Folder) Results(dir string) (map[string]any, error) {
	root, err := os.OpenRoot(f.Dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	merged := map[string]any{}
	entries, err := fs.ReadDir(root.FS(), path.Clean(filepath.ToSlash(dir)))
	if errors.Is(err, fs.ErrNotExist) {
		return merged, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the release's results: %w", err)
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".json") {
			continue
		}
		var more map[string]any
		if err := f.Read(path.Join(dir, entry.Name()), &more); err != nil {
			return nil, err
		}
		overlay(merged, more)
	}
	return merged, nil
}

func overlay(base, more map[string]any) {
	for key, value := range more {
		below, ok := base[key].(map[string]any)
		if above, isObject := value.(map[string]any); ok && isObject {
			overlay(below, above)
			continue
		}
		base[key] = value
	}
}
