// Package manager runs every reconciler in one process.
package manager

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	resolutionv1 "github.com/tektoncd/pipeline/pkg/apis/resolution/v1beta1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	konfluxv1alpha1 "github.com/headrace-ci/headrace/pkg/apis/konflux/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/attest"
	"github.com/headrace-ci/headrace/pkg/controllers/application"
	"github.com/headrace-ci/headrace/pkg/controllers/build"
	"github.com/headrace-ci/headrace/pkg/controllers/buildlabel"
	"github.com/headrace-ci/headrace/pkg/controllers/cancel"
	"github.com/headrace-ci/headrace/pkg/controllers/candidate"
	"github.com/headrace-ci/headrace/pkg/controllers/component"
	"github.com/headrace-ci/headrace/pkg/controllers/componentgroup"
	"github.com/headrace-ci/headrace/pkg/controllers/nesting"
	"github.com/headrace-ci/headrace/pkg/controllers/nudgeconfig"
	"github.com/headrace-ci/headrace/pkg/controllers/prgroup"
	"github.com/headrace-ci/headrace/pkg/controllers/release"
	"github.com/headrace-ci/headrace/pkg/controllers/releaseplan"
	"github.com/headrace-ci/headrace/pkg/controllers/report"
	"github.com/headrace-ci/headrace/pkg/controllers/scenario"
	"github.com/headrace-ci/headrace/pkg/controllers/snapshot"
	"github.com/headrace-ci/headrace/pkg/metrics"
	domain "github.com/headrace-ci/headrace/pkg/snapshot"
)

// Options are the controller's flags.
type Options struct {
	MetricsAddress, ProbeAddress string
	LeaderElect                  bool
	Tuning                       Tuning
	Key                          client.ObjectKey // Secret with Chains's public key
	Namespace                    string           // of the controller and its configuration
	Tests                        domain.Defaults
	Reports                      report.Settings
}

// Command is the controller's command.
func Command() *cobra.Command {
	opts := Options{Namespace: "headrace-system"}
	cmd := &cobra.Command{
		Use: "controller", Short: "Make Snapshots and Releases, and run their pipelines", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return Run(cmd.Context(), opts) },
	}
	f := cmd.Flags()
	f.StringVar(&opts.MetricsAddress, "metrics-bind-address", ":8080", "Address to serve metrics on; 0 for none")
	f.StringVar(&opts.ProbeAddress, "health-probe-bind-address", ":8081", "Address to serve probes on; 0 for none")
	f.BoolVar(&opts.LeaderElect, "leader-elect", false, "Work only while no other replica does")
	opts.Tuning.addFlags(f)
	f.StringVar(&opts.Key.Namespace, "public-key-namespace", "tekton-chains", "Namespace of the Secret with Chains's public key")
	f.StringVar(&opts.Key.Name, "public-key-name", "public-key", "Name of the Secret with Chains's public key")
	testFlags(f, &opts.Tests)
	reportFlags(f, &opts.Reports)
	f.StringVar(&opts.Namespace, "namespace", opts.Namespace, "Namespace of the controller and of the ReleaseServiceConfig")
	return cmd
}

// Scheme knows every kind the reconcilers work with.
func Scheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, tektonv1.AddToScheme, resolutionv1.AddToScheme, v1alpha1.AddToScheme, v1beta2.AddToScheme, konfluxv1alpha1.AddToScheme,
	} {
		utilruntime.Must(add(scheme))
	}
	return scheme
}

// Run runs every reconciler until ctx ends.
func Run(ctx context.Context, opts Options) error {
	if err := opts.Tuning.validate(); err != nil {
		return err
	}
	ctrl.SetLogger(zap.New(zap.WriteTo(os.Stderr)))
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the API server: %w", err)
	}
	ours, err := labels.NewRequirement(domain.RunTypeLabel, selection.Exists, nil)
	if err != nil {
		return err
	}
	reporting, err := labels.NewRequirement(report.Label, selection.Exists, nil)
	if err != nil {
		return err
	}
	settings := ctrl.Options{
		Scheme:                 Scheme(),
		Metrics:                server.Options{BindAddress: opts.MetricsAddress},
		HealthProbeBindAddress: opts.ProbeAddress,
		LeaderElection:         opts.LeaderElect, LeaderElectionID: "headrace-controller", LeaderElectionNamespace: opts.Namespace,
		LeaderElectionReleaseOnCancel: true,
		// Who wrote which field takes memory, and is nothing to us.
		Cache: cache.Options{DefaultTransform: cache.TransformStripManagedFields(), ByObject: map[client.Object]cache.ByObject{
			// Runs that are not of builds, tests or releases are nothing to us.
			&tektonv1.PipelineRun{}:           {Label: labels.NewSelector().Add(*ours)},
			&tektonv1.TaskRun{}:               {Label: labels.NewSelector().Add(*reporting)},
			&resolutionv1.ResolutionRequest{}: {Label: labels.SelectorFromSet(labels.Set{domain.CreatedByLabel: domain.CreatedBy})},
		}},
		Client: client.Options{Cache: &client.CacheOptions{DisableFor: uncached}},
	}
	opts.Tuning.tune(config, &settings)
	mgr, err := ctrl.NewManager(config, settings)
	if err != nil {
		return err
	}
	if err := register(mgr, opts); err != nil {
		return err
	}
	return mgr.Start(ctx)
}

// register adds every reconciler and probe.
func register(mgr ctrl.Manager, opts Options) error {
	c, events := mgr.GetClient(), mgr.GetEventRecorder("headrace")
	for name, setup := range map[string]interface{ SetupWithManager(ctrl.Manager) error }{
		"application":          &application.Reconciler{Client: c},
		"build":                &build.Reconciler{Client: c, Prover: &prover{client: mgr.GetAPIReader(), key: opts.Key}, Now: time.Now, Events: events, Collect: collector(c, mgr.GetAPIReader())},
		"buildlabel":           &buildlabel.Reconciler{Client: c},
		"cancel":               &cancel.Reconciler{Client: c, Now: time.Now},
		"candidate":            &candidate.Reconciler{Client: c, Now: time.Now},
		"component":            &component.Reconciler{Client: c, Now: time.Now, Events: events},
		"componentgroup":       &componentgroup.Reconciler{Client: c, Now: time.Now},
		"nesting":              &nesting.Reconciler{Client: c, Now: time.Now},
		"prgroup":              &prgroup.Reconciler{Client: c},
		"snapshot":             &snapshot.Reconciler{Client: c, Now: time.Now, Defaults: opts.Tests},
		"scenario":             &scenario.Reconciler{Client: c},
		"report":               &report.Reconciler{Client: c, Tasks: mgr.GetCache(), Config: mgr.GetAPIReader(), Settings: reports(opts), Now: time.Now},
		"metrics":              &metrics.Observer{Registry: ctrlmetrics.Registry, Now: time.Now},
		"nudgeconfig":          &nudgeconfig.Reconciler{Client: c},
		"release":              &release.Reconciler{Client: c, ConfigNamespace: opts.Namespace, Now: time.Now},
		"releaseplan":          &releaseplan.PlanReconciler{Client: c, Now: time.Now},
		"releaseplanadmission": &releaseplan.AdmissionReconciler{Client: c, Now: time.Now},
	} {
		if err := setup.SetupWithManager(mgr); err != nil {
			return fmt.Errorf("setting up %s: %w", name, err)
		}
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return err
	}
	return mgr.AddReadyzCheck("ping", healthz.Ping)
}

// prover proves with the key that the cluster publishes now: a new key works
// without a restart.
type prover struct {
	client client.Reader
	key    client.ObjectKey
}

func (p *prover) Prove(ctx context.Context, image string) error {
	public, err := readKey(ctx, p.client, p.key)
	if err != nil {
		return err
	}
	return attest.Prover{PublicKey: public}.Prove(ctx, image)
}
