// Package catalog reads the tasks and pipelines of this repository, checks
// them, writes what is generated from them, and publishes them as bundles.
package catalog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"sigs.k8s.io/yaml"
)

// VersionLabel is where a task or pipeline has its version.
const VersionLabel = "app.kubernetes.io/version"

var semver = regexp.MustCompile(`^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$`)

// Entry is a task or a pipeline.
type Entry struct {
	Kind    string // Task or Pipeline
	Name    string
	Version string
	Dir     string // its folder
	Raw     []byte // the YAML as written
	// Task or Pipeline is what Raw says; the other is nil.
	Task     *tektonv1.Task
	Pipeline *tektonv1.Pipeline
}

// Tags are those of the entry's bundle: the version, and the minor that moves
// with it.
func (e Entry) Tags() []string {
	return []string{e.Version, e.Version[:strings.LastIndexByte(e.Version, '.')]}
}

// Repository is the last part of the entry's repository.
func (e Entry) Repository() string { return strings.ToLower(e.Kind) + "-" + e.Name }

// Tasks reads every task below dir, by name.
func Tasks(dir string) ([]Entry, error) { return load(dir, "task.yaml", readTask) }

// Pipelines reads every pipeline below dir, by name.
func Pipelines(dir string) ([]Entry, error) { return load(dir, "pipeline.yaml", readPipeline) }

func load(dir, file string, read func(*Entry) error) ([]Entry, error) {
	found, err := filepath.Glob(filepath.Join(dir, "*", file))
	if err != nil {
		return nil, err
	}
	slices.Sort(found)
	var entries []Entry
	for _, path := range found {
		raw, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		e := Entry{Dir: filepath.Dir(path), Raw: raw}
		if err := read(&e); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if err := e.check(); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func readTask(e *Entry) error {
	e.Task = &tektonv1.Task{}
	if err := yaml.UnmarshalStrict(e.Raw, e.Task); err != nil {
		return err
	}
	e.Kind, e.Name, e.Version = "Task", e.Task.Name, e.Task.Labels[VersionLabel]
	return nil
}

func readPipeline(e *Entry) error {
	e.Pipeline = &tektonv1.Pipeline{}
	if err := yaml.UnmarshalStrict(e.Raw, e.Pipeline); err != nil {
		return err
	}
	e.Kind, e.Name, e.Version = "Pipeline", e.Pipeline.Name, e.Pipeline.Labels[VersionLabel]
	return nil
}

func (e Entry) check() error {
	var problems []error
	if e.Name != filepath.Base(e.Dir) {
		problems = append(problems, fmt.Errorf("metadata.name is %q, and the folder is %q", e.Name, filepath.Base(e.Dir)))
	}
	if !semver.MatchString(e.Version) {
		problems = append(problems, fmt.Errorf("label %s is %q, not a version such as 1.2.3", VersionLabel, e.Version))
	}
	return errors.Join(problems...)
}
