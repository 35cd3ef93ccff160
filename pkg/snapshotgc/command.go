package snapshotgc

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/config"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/snapshot"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

// Options are the program's flags.
type Options struct {
	Limits    snapshot.Limits
	Namespace string // only this one; empty for every tenant's
	Archive   string // folder; empty for none
	DryRun    bool
	QPS       float32
	Burst     int

	Client client.Client // nil for the cluster this runs in
}

// Command returns the program's command.
func Command() *cobra.Command {
	opts := Options{Limits: snapshot.DefaultLimits}
	cmd := &cobra.Command{
		Use: "snapshot-gc", Short: "Delete the Snapshots that a cluster keeps no longer", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return Run(cmd.Context(), opts) },
	}
	f := cmd.Flags()
	f.IntVar(&opts.Limits.PullRequest, "pr-snapshots-to-keep", opts.Limits.PullRequest, "Snapshots of pull requests to keep in a namespace")
	f.IntVar(&opts.Limits.Other, "non-pr-snapshots-to-keep", opts.Limits.Other, "Snapshots of anything else to keep in a namespace")
	f.IntVar(&opts.Limits.PerComponent, "min-snapshots-to-keep-per-component", opts.Limits.PerComponent, "Snapshots of pushes to keep of each component, whatever the others")
	f.StringVar(&opts.Namespace, "namespace", "", "Collect only this namespace")
	f.StringVar(&opts.Archive, "archive-dir", "", "Folder to write Snapshots to before they are deleted")
	f.BoolVar(&opts.DryRun, "dry-run", false, "Only count what would be deleted; --log-level=debug names it")
	f.Float32Var(&opts.QPS, "kube-api-qps", 20, "Requests a second to the API server")
	f.IntVar(&opts.Burst, "kube-api-burst", 40, "Requests to the API server at once")
	return cmd
}

// environment are the variables that go before flags, as upstream has them.
func (o *Options) environment(lookup func(string) (string, bool)) error {
	for name, limit := range map[string]*int{
		"PR_SNAPSHOTS_TO_KEEP": &o.Limits.PullRequest, "NON_PR_SNAPSHOTS_TO_KEEP": &o.Limits.Other,
		"MIN_SNAPSHOTS_TO_KEEP_PER_COMPONENT": &o.Limits.PerComponent,
	} {
		text, ok := lookup(name)
		if !ok {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("environment variable %s is %q: it must be a number", name, text)
		}
		*limit = n
	}
	return nil
}

// Run collects once.
func Run(ctx context.Context, opts Options) error {
	if err := opts.environment(os.LookupEnv); err != nil {
		return err
	}
	for flag, n := range map[string]int{
		"pr-snapshots-to-keep": opts.Limits.PullRequest, "non-pr-snapshots-to-keep": opts.Limits.Other,
		"min-snapshots-to-keep-per-component": opts.Limits.PerComponent,
	} {
		if n < 0 {
			return &taskcli.UsageError{Flag: flag, Problem: fmt.Sprintf("%d is less than none", n)}
		}
	}
	if opts.Client == nil {
		var err error
		if opts.Client, err = connect(opts); err != nil {
			return err
		}
	}
	c := &Collector{Client: opts.Client, Limits: opts.Limits, DryRun: opts.DryRun, Now: time.Now}
	if opts.Archive != "" {
		c.Archive = Folder{Path: opts.Archive}
	}
	if opts.Namespace != "" {
		_, err := c.Namespace(ctx, opts.Namespace)
		return err
	}
	return c.All(ctx)
}

func connect(opts Options) (client.Client, error) {
	rest, err := config.GetConfig()
	if err != nil {
		return nil, fmt.Errorf("finding the cluster: %w", err)
	}
	rest.QPS, rest.Burst = opts.QPS, opts.Burst
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, tektonv1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	c, err := client.New(rest, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	return c, nil
}
