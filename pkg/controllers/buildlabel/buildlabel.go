// Package buildlabel gives build runs of the newer model of components the
// labels of the older one, beside their own. Everything else selects runs by
// those, also what the API server is asked for, and cannot ask for either.
package buildlabel

import (
	"context"
	"fmt"
	"net/http"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/cluster"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// older has the label of the older model for each of the newer.
var older = map[string]string{
	"pipelines.konflux-ci.dev/type":  snapshot.RunTypeLabel,
	"build.konflux-ci.dev/component": snapshot.ComponentLabel,
}

// selector is for runs that nothing else sees.
const selector = "pipelines.konflux-ci.dev/type=build,!" + snapshot.RunTypeLabel

// Reconciler labels build runs.
type Reconciler struct {
	Client client.Client // to write
	runs   client.Reader
}

// SetupWithManager registers the reconciler, with a watch of its own: that of
// the manager has only runs that have the label already.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	unseen, err := labels.Parse(selector)
	if err != nil {
		return err
	}
	own, err := cluster.New(mgr.GetConfig(), func(o *cluster.Options) {
		o.Scheme, o.HTTPClient, o.Logger = mgr.GetScheme(), mgr.GetHTTPClient(), mgr.GetLogger()
		o.MapperProvider = func(*rest.Config, *http.Client) (meta.RESTMapper, error) { return mgr.GetRESTMapper(), nil }
		o.Cache.ByObject = map[client.Object]cache.ByObject{&tektonv1.PipelineRun{}: {Label: unseen}}
	})
	if err != nil {
		return fmt.Errorf("watching build runs of the newer model: %w", err)
	}
	if err := mgr.Add(own); err != nil {
		return err
	}
	r.runs = own.GetCache()
	return ctrl.NewControllerManagedBy(mgr).
		Named("buildlabel").
		WatchesRawSource(source.Kind(own.GetCache(), run(), &handler.TypedEnqueueRequestForObject[*metav1.PartialObjectMetadata]{})).
		Complete(r)
}

// run is a PipelineRun of which no more than the metadata is read.
func run() *metav1.PartialObjectMetadata {
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(tektonv1.SchemeGroupVersion.WithKind("PipelineRun"))
	return o
}

// Reconcile writes the labels that are missing.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
	o := run()
	if err := r.runs.Get(ctx, request.NamespacedName, o); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	before := o.DeepCopy()
	if !label(o) {
		return ctrl.Result{}, nil
	}
	if err := r.Client.Patch(ctx, o, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("labelling PipelineRun %q: %w", o.Name, err)
	}
	return ctrl.Result{}, nil
}

// label sets the older labels that o has the newer ones of, and says whether any
// was missing. One that is there stays as it is.
func label(o client.Object) bool {
	all, changed := o.GetLabels(), false
	for newer, key := range older {
		if value, ok := all[newer]; ok && all[key] == "" {
			all[key], changed = value, true
		}
	}
	o.SetLabels(all)
	return changed
}
