package install

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/catalog"
)

// What the controller looks for to know which task reports to git hosts.
const (
	reportingName = "reporting"
	reportingKey  = "bundle"
	reportingTask = "report-status"
)

func reportingCommand(opts *Options, caFile *string) *cobra.Command {
	var bundle string
	cmd := &cobra.Command{
		Use:   "reporting",
		Short: "Have git hosts told what became of tests, by the task that a catalog holds",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if bundle == "" {
				var err error
				if bundle, err = publishedReporter(opts.Registry); err != nil {
					return err
				}
			}
			return with(cmd, *caFile, *opts, func(in *Installer, ctx context.Context) error { return in.Reporting(ctx, bundle) })
		},
	}
	cmd.Flags().StringVar(&opts.Registry, "registry", "", "Registry that the catalog was published to")
	cmd.Flags().StringVar(&bundle, "bundle", "", "Bundle of task "+reportingTask+" by digest; the one published to the registry when empty")
	return cmd
}

// publishedReporter is the bundle that was last published to a registry.
func publishedReporter(registry string) (string, error) {
	if registry == "" {
		return "", &taskcli.UsageError{Flag: "bundle", Problem: "is not set", Fix: "name a bundle, or with --registry the registry whose catalog has it"}
	}
	lock, err := catalog.ReadLock(catalog.LockFile(registry))
	if err != nil {
		return "", fmt.Errorf("the catalog is not published (make catalog): %w", err)
	}
	bundle := lock.Tasks[reportingTask]
	if bundle == "" {
		return "", fmt.Errorf("the catalog in %s has no task %s: publish it again (make catalog)", registry, reportingTask)
	}
	return bundle, nil
}

// Reporting tells the controller which task reports to git hosts. Doing it
// twice changes nothing.
func (in *Installer) Reporting(ctx context.Context, bundle string) error {
	if _, err := name.ParseReference(bundle); err != nil || !strings.Contains(bundle, "@sha256:") {
		return &taskcli.UsageError{Flag: "bundle", Problem: fmt.Sprintf("%q is no reference by digest", bundle), Fix: "write it as registry/repository@sha256:…"}
	}
	ctx, cancel := context.WithTimeout(ctx, in.Timeout)
	defer cancel()
	changed, err := in.apply(ctx, []*unstructured.Unstructured{{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": reportingName, "namespace": headraceNamespace},
		"data":     map[string]any{reportingKey: bundle},
	}}})
	if err != nil {
		return err
	}
	in.progress.say("git hosts are told about tests by %s (%d changed)", bundle, changed)
	return nil
}
