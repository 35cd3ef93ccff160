// Package reducesnapshot is the task reduce-snapshot: where a release is of one
// component, it leaves that component in the Snapshot.
package reducesnapshot

import (
	"context"
	"fmt"
	"log/slog"
	"path"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/releasedata"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/result"
)

const (
	typeLabel      = "test.appstudio.openshift.io/type"
	componentLabel = "appstudio.openshift.io/component"
)

// Options are the task's params.
type Options struct {
	Folder           releasedata.Folder
	Snapshot         string // path of the Snapshot's spec in the folder
	SingleComponent  string // true or false
	CustomResource   string // snapshot/name, whose labels name the component
	CustomResourceNS string
	SnapshotPath     string // path to write the spec to
}

// Command returns the task's command.
func Command() *cobra.Command {
	var opts Options
	var results result.Writer
	cmd := &cobra.Command{
		Use: "reduce-snapshot", Short: "Leave one component in a Snapshot, where a release is of one", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			values, err := Run(cmd.Context(), opts)
			if err != nil {
				return err
			}
			return results.Write(values)
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.Snapshot, "snapshot", "", "Path of the Snapshot's spec in the data folder")
	f.StringVar(&opts.SingleComponent, "single-component", "", "Whether the release is of one component")
	f.StringVar(&opts.CustomResource, "single-component-custom-resource", "", "Snapshot whose labels name the component, as snapshot/name")
	f.StringVar(&opts.CustomResourceNS, "single-component-custom-resource-ns", "", "Namespace of that Snapshot")
	f.StringVar(&opts.SnapshotPath, "snapshot-path", "", "Path in the data folder to write the spec to")
	opts.Folder.AddFlags(f)
	results.AddFlag(f)
	return cmd
}

// Run reduces, and returns the task's results.
func Run(ctx context.Context, opts Options) (map[string]string, error) {
	if opts.Snapshot == "" || opts.SnapshotPath == "" {
		return nil, &taskcli.UsageError{Flag: "snapshot", Problem: "is empty", Fix: "set params SNAPSHOT and SNAPSHOT_PATH to result snapshotSpec of collect-data"}
	}
	single, err := strconv.ParseBool(opts.SingleComponent)
	if err != nil {
		return nil, &taskcli.UsageError{Flag: "single-component", Problem: fmt.Sprintf("%q is neither true nor false", opts.SingleComponent)}
	}
	if err := opts.Folder.Open(ctx); err != nil {
		return nil, err
	}
	var snapshot releasedata.Snapshot
	if err := opts.Folder.Read(opts.Snapshot, &snapshot); err != nil {
		return nil, err
	}
	if single {
		if err := opts.reduce(ctx, &snapshot); err != nil {
			return nil, err
		}
	}
	if err := opts.Folder.Write(opts.SnapshotPath, snapshot); err != nil {
		return nil, err
	}
	return opts.Folder.Keep(ctx)
}

func (o Options) reduce(ctx context.Context, snapshot *releasedata.Snapshot) error {
	var kept struct {
		Namespace, Name string
		Labels          map[string]string
	}
	if err := o.Folder.Read(path.Join(path.Dir(o.Snapshot), releasedata.SnapshotLabelsFile), &kept); err != nil {
		return err
	}
	kind, name, _ := strings.Cut(o.CustomResource, "/")
	if !strings.EqualFold(kind, "snapshot") || name != kept.Name || o.CustomResourceNS != kept.Namespace {
		return &taskcli.UsageError{
			Flag:    "single-component-custom-resource",
			Problem: fmt.Sprintf("%q in namespace %q is not the Snapshot of this release, %s/%s", o.CustomResource, o.CustomResourceNS, kept.Namespace, kept.Name),
			Fix:     "set it to snapshot/ and result snapshotName of collect-data",
		}
	}
	if kept.Labels[typeLabel] != "component" {
		slog.InfoContext(ctx, "the Snapshot is not of one component and stays whole", "label", typeLabel, "value", kept.Labels[typeLabel])
		return nil
	}
	want := kept.Labels[componentLabel]
	for _, component := range snapshot.Components {
		if component.Name == want {
			snapshot.Components = []releasedata.Component{component}
			slog.InfoContext(ctx, "left one component", "component", want)
			return nil
		}
	}
	return fmt.Errorf("the Snapshot has label %s=%q, and no such component", componentLabel, want)
}
