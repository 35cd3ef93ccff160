// Package component makes a Snapshot without a Component when it is deleted
// from its application, so that what is tested next is what there is.
package component

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/controllers/internal/assembly"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// Reconciler reconciles Components.
type Reconciler struct {
	Client client.Client
	Now    func() time.Time
	Events events.EventRecorder // optional
}

// SetupWithManager registers the reconciler.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("component").
		For(&v1alpha1.Component{}).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// Reconcile holds a Component until there is a Snapshot without it, or until
// it is plain that there will be none.
func (r *Reconciler) Reconcile(ctx context.Context, c *v1alpha1.Component) (ctrl.Result, error) {
	if c.DeletionTimestamp.IsZero() && c.Spec.Application == "" {
		return ctrl.Result{}, nil
	}
	if c.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, r.write(ctx, c, controllerutil.AddFinalizer)
	}
	if !controllerutil.ContainsFinalizer(c, snapshot.ComponentFinalizer) {
		return ctrl.Result{}, nil
	}
	if err := r.replace(ctx, c); err != nil {
		again, wait := snapshot.DecideRemoval(c, err, r.Now())
		if wait && again == 0 {
			return ctrl.Result{}, err
		}
		if wait {
			return ctrl.Result{RequeueAfter: again}, nil
		}
		r.event(c, err)
	}
	return ctrl.Result{}, r.write(ctx, c, controllerutil.RemoveFinalizer)
}

// replace makes the Snapshot of what is left of the application, if anything
// is. An application that is gone, or going, needs none.
func (r *Reconciler) replace(ctx context.Context, c *v1alpha1.Component) error {
	if c.Spec.Application == "" {
		return nil
	}
	source, err := assembly.Application(ctx, r.Client, c.Namespace, c.Spec.Application)
	var refused *snapshot.Refusal
	if errors.As(err, &refused) {
		return nil
	}
	if err != nil {
		return err
	}
	wanted, omitted := snapshot.NewRemovalSnapshot(c, source.Whole)
	if wanted == nil {
		return nil
	}
	_, _, err = assembly.Make(ctx, r.Client, assembly.Order{
		Snapshot: wanted, Omitted: omitted, Owner: source.Owner,
		Names: snapshot.Names(source.Whole.Name(), c.DeletionTimestamp.Time, string(c.UID)),
		Same: func(o *v1alpha1.Snapshot) bool {
			return o.Annotations[snapshot.RemovedAnnotation] == wanted.Annotations[snapshot.RemovedAnnotation]
		},
	})
	return err
}

func (r *Reconciler) write(ctx context.Context, c *v1alpha1.Component, change func(client.Object, string) bool) error {
	before := c.DeepCopy()
	if !change(c, snapshot.ComponentFinalizer) {
		return nil
	}
	err := r.Client.Patch(ctx, c, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if err = client.IgnoreNotFound(err); err != nil {
		return fmt.Errorf("writing the finalizer of Component %s: %w", c.Name, err)
	}
	return nil
}

func (r *Reconciler) event(c *v1alpha1.Component, err error) {
	if r.Events != nil {
		r.Events.Eventf(c, nil, corev1.EventTypeWarning, "NoSnapshot", "Delete", "no Snapshot was made without the Component: %v", err)
	}
}
