// Package updatecrstatus is the task update-cr-status: it writes into a
// Release's status what the tasks before it left as results.
package updatecrstatus

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/config"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/artifact"
	"github.com/headrace-ci/headrace/pkg/releasedata"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

// Options are the task's params.
type Options struct {
	Folder         releasedata.Folder
	ResourceType   string
	StatusKey      string
	Resource       string   // namespace/name
	ResultsDirPath string   // of the results in the folder
	Artifacts      []string // URI=folder, unpacked over each other in this order

	Client client.Client // nil for the cluster this runs in
}

// Command returns the task's command.
func Command() *cobra.Command {
	var opts Options
	cmd := &cobra.Command{
		Use: "update-cr-status [-- URI=FOLDER...]", Short: "Write into a Release what came of it", Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Artifacts = args
			if opts.Client == nil {
				rest, err := config.GetConfig()
				if err != nil {
					return fmt.Errorf("finding the cluster: %w", err)
				}
				if opts.Client, err = client.New(rest, client.Options{}); err != nil {
					return fmt.Errorf("connecting to the cluster: %w", err)
				}
			}
			return Run(cmd.Context(), opts)
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.ResourceType, "resource-type", "release", "Kind of the object to write into: release")
	f.StringVar(&opts.StatusKey, "status-key", "artifacts", "Field of the status to write: artifacts or collectors")
	f.StringVar(&opts.Resource, "resource", "", "Object to write into, as namespace/name")
	f.StringVar(&opts.ResultsDirPath, "results-dir-path", "", "Path of the results in the data folder")
	opts.Folder.AddFlags(f)
	return cmd
}

// Run writes the results.
func Run(ctx context.Context, opts Options) error {
	namespace, name, ok := strings.Cut(opts.Resource, "/")
	switch {
	case !strings.EqualFold(opts.ResourceType, "release"):
		return &taskcli.UsageError{Flag: "resource-type", Problem: fmt.Sprintf("%q is not supported", opts.ResourceType), Fix: "leave param resourceType at release"}
	case opts.StatusKey != "artifacts" && opts.StatusKey != "collectors":
		return &taskcli.UsageError{Flag: "status-key", Problem: fmt.Sprintf("%q is no field for results", opts.StatusKey), Fix: "use artifacts or collectors"}
	case !ok || namespace == "" || name == "" || strings.Contains(name, "/"):
		return &taskcli.UsageError{Flag: "resource", Problem: fmt.Sprintf("%q is not namespace/name", opts.Resource)}
	case opts.ResultsDirPath == "":
		return &taskcli.UsageError{Flag: "results-dir-path", Problem: "is empty", Fix: "set param resultsDirPath to the result of collect-data"}
	}
	if err := opts.Folder.Open(ctx); err != nil {
		return err
	}
	if err := opts.unpack(ctx); err != nil {
		return err
	}
	found, err := opts.Folder.Results(opts.ResultsDirPath)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		slog.InfoContext(ctx, "there are no results to write")
		return nil
	}
	patch, err := json.Marshal(map[string]any{"status": map[string]any{opts.StatusKey: found}})
	if err != nil {
		return err
	}
	release := &unstructured.Unstructured{}
	release.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("Release"))
	release.SetNamespace(namespace)
	release.SetName(name)
	if err := opts.Client.Status().Patch(ctx, release, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return fmt.Errorf("writing status.%s of Release %q: %w", opts.StatusKey, opts.Resource, err)
	}
	slog.InfoContext(ctx, "wrote the results", "release", opts.Resource, "field", opts.StatusKey)
	return nil
}

// unpack puts the artifacts of parallel branches over each other.
func (o Options) unpack(ctx context.Context) error {
	within, err := filepath.Abs(o.Folder.Dir)
	if err != nil {
		return err
	}
	for _, arg := range o.Artifacts {
		uri, dir, ok := strings.Cut(arg, "=")
		if !ok || dir == "" {
			return fmt.Errorf("result artifact %q is not URI=FOLDER", arg)
		}
		to, err := filepath.Abs(dir)
		if err != nil {
			return err
		}
		if rel, err := filepath.Rel(within, to); err != nil || !filepath.IsLocal(rel) {
			return fmt.Errorf("result artifact %q goes to %q, outside the data folder %q", uri, dir, o.Folder.Dir)
		}
		if err := os.MkdirAll(to, 0o755); err != nil {
			return err
		}
		if err := artifact.Use(ctx, uri, to); err != nil {
			return err
		}
	}
	return nil
}
