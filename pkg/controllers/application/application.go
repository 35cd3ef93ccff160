// Package application makes Components their Application's, so that they go
// with it.
package application

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
)

// Reconciler reconciles Components.
type Reconciler struct {
	Client client.Client
}

// made lets only new objects through: an Application that changes is owner of
// what it was before.
var made = predicate.Funcs{
	UpdateFunc:  func(event.UpdateEvent) bool { return false },
	DeleteFunc:  func(event.DeleteEvent) bool { return false },
	GenericFunc: func(event.GenericEvent) bool { return false },
}

// SetupWithManager registers the reconciler.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("application").
		For(&v1alpha1.Component{}).
		Watches(&v1alpha1.Application{}, handler.EnqueueRequestsFromMapFunc(r.members), builder.WithPredicates(made)).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// Reconcile makes the Application an owner of the Component. An Application
// that is not there yet wakes its Components when it comes.
func (r *Reconciler) Reconcile(ctx context.Context, component *v1alpha1.Component) (ctrl.Result, error) {
	if !component.DeletionTimestamp.IsZero() || component.Spec.Application == "" {
		return ctrl.Result{}, nil
	}
	var application v1alpha1.Application
	key := client.ObjectKey{Namespace: component.Namespace, Name: component.Spec.Application}
	if err := r.Client.Get(ctx, key, &application); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if slices.ContainsFunc(component.OwnerReferences, func(o metav1.OwnerReference) bool { return o.UID == application.UID }) {
		return ctrl.Result{}, nil
	}
	before := component.DeepCopy()
	// Not the controller, and without blockOwnerDeletion: others may own it too,
	// and deleting the Application waits for nothing.
	if err := controllerutil.SetOwnerReference(&application, component, r.Client.Scheme()); err != nil {
		return ctrl.Result{}, fmt.Errorf("making Component %q part of Application %q: %w", component.Name, application.Name, err)
	}
	// The patch replaces the whole list, which somebody else may add to.
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	return ctrl.Result{}, client.IgnoreNotFound(r.Client.Patch(ctx, component, patch))
}

// members are the Components of an Application.
func (r *Reconciler) members(ctx context.Context, application client.Object) []reconcile.Request {
	var components v1alpha1.ComponentList
	if err := r.Client.List(ctx, &components, client.InNamespace(application.GetNamespace())); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "listing the components of an application")
		return nil
	}
	var requests []reconcile.Request
	for _, c := range components.Items {
		if c.Spec.Application == application.GetName() {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&c)})
		}
	}
	return requests
}
