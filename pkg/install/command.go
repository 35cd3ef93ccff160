package install

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/taskcli"
)

// Command returns the program's command.
func Command() *cobra.Command {
	var opts Options
	var caFile string
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Put Tekton, Chains and Headrace on the cluster that KUBECONFIG names",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.Registry == "" {
				return &taskcli.UsageError{
					Flag: "registry", Problem: "is not set",
					Fix: "name a registry that you can push to and the cluster's nodes can pull from, as host or host/path",
				}
			}
			return with(cmd, caFile, opts, (*Installer).Run)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.Registry, "registry", "", "Where images go, as host or host/path")
	flags.BoolVar(&opts.Platform, "platform", true, "Install Tekton and Chains; false where the cluster has its own")
	flags.BoolVar(&opts.Headrace, "headrace", true, "Install Headrace's own kinds, roles and controller")
	flags.StringVar(&opts.Source, "source", ".", "Root of Headrace's sources")
	flags.StringVar(&opts.Ko, "ko", filepath.Join("bin", "ko"), "The ko program")
	flags.StringVar(&opts.Arch, "arch", runtime.GOARCH, "Architecture of the cluster's nodes")
	cmd.PersistentFlags().DurationVar(&opts.Timeout, "timeout", 10*time.Minute, "How long to wait for the cluster, builds not counted")
	cmd.PersistentFlags().StringVar(&caFile, "ca-file", os.Getenv("SSL_CERT_FILE"),
		"Certificates in PEM form to trust besides the system's, for instance the registry's")
	cmd.AddCommand(namespaceCommand(&opts, &caFile), reportingCommand(&opts, &caFile))
	return cmd
}

func namespaceCommand(opts *Options, caFile *string) *cobra.Command {
	var ns Namespace
	cmd := &cobra.Command{
		Use:   "namespace",
		Short: "Make a namespace for a team or for its releases",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := ns.validate(); err != nil {
				return err
			}
			return with(cmd, *caFile, *opts, func(in *Installer, ctx context.Context) error { return in.Namespace(ctx, ns) })
		},
	}
	cmd.Flags().StringVar(&ns.Name, "name", "", "Name of the namespace")
	cmd.Flags().StringVar(&ns.Kind, "kind", KindTenant, "What it is for: tenant, where a team builds and tests, or managed, where releases run")
	return cmd
}

// with connects to the cluster and runs do.
func with(cmd *cobra.Command, caFile string, opts Options, do func(*Installer, context.Context) error) error {
	ca, err := extraCertificates(caFile, systemCertificates)
	if err != nil {
		return err
	}
	c, err := connect()
	if err != nil {
		return err
	}
	opts.CA = ca
	opts.Cache = cmp.Or(os.Getenv("HEADRACE_CACHE"), filepath.Join(os.Getenv("HOME"), ".cache", "headrace"))
	return do(New(opts, c, cmd.ErrOrStderr()), cmd.Context())
}

// noClusterError says that no kubeconfig names a cluster.
type noClusterError struct{ err error }

func (e *noClusterError) Error() string { return fmt.Sprintf("looking for a cluster: %v", e.err) }
func (e *noClusterError) Unwrap() error { return e.err }

// Hint says both ways to a cluster.
func (e *noClusterError) Hint() string {
	return "set KUBECONFIG to a cluster of yours, or start the embedded one with `make up` and run this through `bin/cluster exec --`"
}

func connect() (client.Client, error) {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	if err != nil {
		return nil, &noClusterError{err}
	}
	// Some hundred objects, one after the other: the client's own limit would
	// only make it slow.
	config.QPS = -1
	scheme := kruntime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, &noClusterError{err}
	}
	return c, nil
}
