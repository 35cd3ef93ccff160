// Package applymapping is the task apply-mapping: it says for each component
// of a release to which repositories it goes, and under which tags.
package applymapping

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/releasedata"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/result"
)

// Options are the task's params.
type Options struct {
	Folder               releasedata.Folder
	SnapshotPath         string // of the Snapshot's spec in the folder
	DataPath             string // of the release's data in the folder
	FailOnEmptyResult    bool
	AddImplicitTimestamp bool
}

// Command returns the task's command.
func Command() *cobra.Command {
	var opts Options
	var results result.Writer
	cmd := &cobra.Command{
		Use: "apply-mapping", Short: "Say where each component of a release goes", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			values, err := Run(cmd.Context(), opts)
			if err != nil {
				return err
			}
			return results.Write(values)
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.SnapshotPath, "snapshot-path", "", "Path of the Snapshot's spec in the data folder")
	f.StringVar(&opts.DataPath, "data-path", "", "Path of the release's data in the data folder")
	f.BoolVar(&opts.FailOnEmptyResult, "fail-on-empty-result", false, "Fail when no component is released")
	f.BoolVar(&opts.AddImplicitTimestamp, "add-implicit-timestamp-tag", false, "Add a tag with the time of the image to every repository")
	opts.Folder.AddFlags(f)
	results.AddFlag(f)
	return cmd
}

// mapping is the part of the release's data that is read.
type mapping struct {
	Components []mapped `json:"components"`
	Defaults   struct {
		Tags                []string `json:"tags"`
		TimestampFormat     string   `json:"timestampFormat"`
		PushSourceContainer *bool    `json:"pushSourceContainer"`
	} `json:"defaults"`
}

// mapped is a component and where it goes.
type mapped struct {
	Name                string                   `json:"name"`
	Repository          string                   `json:"repository"` // the older form
	Repositories        []releasedata.Repository `json:"repositories"`
	Tags                []string                 `json:"tags"`
	TimestampFormat     string                   `json:"timestampFormat"`
	PushSourceContainer *bool                    `json:"pushSourceContainer"`
}

// own are the fields of a mapping's component that become something else.
var own = []string{"name", "repository", "repositories", "tags", "timestampFormat", "pushSourceContainer"}

// EmptyError says that nothing would be released.
type EmptyError struct{ Snapshot, Mapped []string }

func (e *EmptyError) Error() string {
	return fmt.Sprintf("no component is released: the Snapshot has %q, and the mapping %q", e.Snapshot, e.Mapped)
}

// Hint says how a component comes to be released.
func (e *EmptyError) Hint() string {
	return "add the component under spec.data.mapping.components of the ReleasePlanAdmission, by the name it has in the Snapshot"
}

// Run maps, and returns the task's results.
func Run(ctx context.Context, opts Options) (map[string]string, error) {
	if opts.SnapshotPath == "" || opts.DataPath == "" {
		return nil, &taskcli.UsageError{Flag: "snapshot-path", Problem: "is empty", Fix: "set params snapshotPath and dataPath to the results of collect-data"}
	}
	if err := opts.Folder.Open(ctx); err != nil {
		return nil, err
	}
	var snapshot releasedata.Snapshot
	var data struct {
		Mapping json.RawMessage `json:"mapping"`
	}
	if err := errors.Join(opts.Folder.Read(opts.SnapshotPath, &snapshot), opts.Folder.Read(opts.DataPath, &data)); err != nil {
		return nil, err
	}
	done := "false"
	if len(data.Mapping) > 0 && string(data.Mapping) != "null" {
		if err := opts.apply(ctx, &snapshot, data.Mapping); err != nil {
			return nil, err
		}
		if err := opts.Folder.Write(opts.SnapshotPath, snapshot); err != nil {
			return nil, err
		}
		done = "true"
	}
	values, err := opts.Folder.Keep(ctx)
	if err != nil {
		return nil, err
	}
	values["mapped"] = done
	return values, nil
}

func (o Options) apply(ctx context.Context, snapshot *releasedata.Snapshot, raw json.RawMessage) error {
	var m mapping
	var fields struct {
		Components []map[string]json.RawMessage `json:"components"`
	}
	if err := errors.Join(json.Unmarshal(raw, &m), json.Unmarshal(raw, &fields)); err != nil {
		return fmt.Errorf("reading data.mapping: %w", err)
	}
	empty := &EmptyError{}
	for _, to := range m.Components {
		empty.Mapped = append(empty.Mapped, to.Name)
	}
	var kept []releasedata.Component
	for _, component := range snapshot.Components {
		empty.Snapshot = append(empty.Snapshot, component.Name)
		i := slices.IndexFunc(m.Components, func(to mapped) bool { return to.Name == component.Name })
		if i < 0 {
			slog.InfoContext(ctx, "component is not mapped, and not released", "component", component.Name)
			continue
		}
		for key, value := range fields.Components[i] {
			if !slices.Contains(own, key) {
				component.Set(key, value)
			}
		}
		if err := o.mapOne(ctx, &component, m.Components[i], m); err != nil {
			return fmt.Errorf("mapping component %q: %w", component.Name, err)
		}
		kept = append(kept, component)
	}
	if len(kept) == 0 && o.FailOnEmptyResult {
		return empty
	}
	snapshot.Components = kept
	if kept == nil {
		snapshot.Components = []releasedata.Component{}
	}
	return nil
}

func (o Options) mapOne(ctx context.Context, component *releasedata.Component, to mapped, m mapping) error {
	image, err := name.NewDigest(component.ContainerImage, name.StrictValidation)
	if err != nil {
		return fmt.Errorf("image %q is not by digest: %w", component.ContainerImage, err)
	}
	component.PushSourceContainer = to.PushSourceContainer
	if component.PushSourceContainer == nil {
		component.PushSourceContainer = m.Defaults.PushSourceContainer
	}
	repositories := to.Repositories
	if to.Repository != "" {
		repositories = append([]releasedata.Repository{{URL: to.Repository}}, repositories...)
	}
	if len(repositories) == 0 {
		return errors.New("it has no repositories in data.mapping")
	}
	format := to.TimestampFormat
	if format == "" {
		format = m.Defaults.TimestampFormat
	}
	t := &templates{image: image, component: component, format: format}
	component.Repositories = nil
	for _, repository := range repositories {
		if strings.Contains(repository.URL, "://") {
			return fmt.Errorf("repository %q: leave out the scheme", repository.URL)
		}
		at, err := name.NewRepository(strings.TrimSuffix(repository.URL, "/"), name.StrictValidation)
		if err != nil {
			return fmt.Errorf("repository %q: %w", repository.URL, err)
		}
		wanted := slices.Concat(repository.Tags, to.Tags, m.Defaults.Tags)
		if o.AddImplicitTimestamp {
			wanted = append(wanted, "{{ timestamp }}")
		}
		tags, err := t.expandAll(ctx, at, wanted)
		if err != nil {
			return fmt.Errorf("tags for %q: %w", repository.URL, err)
		}
		component.Repositories = append(component.Repositories, releasedata.Repository{URL: at.Name(), Tags: tags})
	}
	return nil
}
