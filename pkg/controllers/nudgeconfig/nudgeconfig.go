// Package nudgeconfig says in a NudgeConfig's status whether the components
// that it names exist. The API server takes them in any order, so that a team can
// apply them and their NudgeConfig at once.
package nudgeconfig

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	konfluxv1alpha1 "github.com/headrace-ci/headrace/pkg/apis/konflux/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
)

// Type and reasons of the condition, as upstream has them.
const (
	StaleReferences = "StaleReferences"
	Detected        = "StaleReferencesDetected"
	NotDetected     = "NoStaleReferences"
)

// Reconciler reconciles NudgeConfigs.
type Reconciler struct {
	Client client.Client
}

// comesOrGoes lets no change of an object through.
var comesOrGoes = predicate.Funcs{UpdateFunc: func(event.UpdateEvent) bool { return false }}

// SetupWithManager registers the reconciler.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	config := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, component client.Object) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: component.GetNamespace(), Name: v1beta2.NudgeConfigName}}}
	})
	return ctrl.NewControllerManagedBy(mgr).
		Named("nudgeconfig").
		For(&v1beta2.NudgeConfig{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.Component{}, config, builder.WithPredicates(comesOrGoes)).
		Watches(&konfluxv1alpha1.Component{}, config, builder.WithPredicates(comesOrGoes)).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// Reconcile writes the condition.
func (r *Reconciler) Reconcile(ctx context.Context, config *v1beta2.NudgeConfig) (ctrl.Result, error) {
	if !config.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	known, err := r.components(ctx, config.Namespace)
	if err != nil {
		return ctrl.Result{}, err
	}
	before := config.DeepCopy()
	if !meta.SetStatusCondition(&config.Status.Conditions, condition(config, known)) {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{}, client.IgnoreNotFound(r.Client.Status().Patch(ctx, config, client.MergeFrom(before)))
}

// components are the names of the namespace's Components, of either group.
func (r *Reconciler) components(ctx context.Context, namespace string) (map[string]bool, error) {
	var components v1alpha1.ComponentList
	if err := r.Client.List(ctx, &components, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("listing components: %w", err)
	}
	var versioned konfluxv1alpha1.ComponentList
	if err := r.Client.List(ctx, &versioned, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("listing components of %s: %w", konfluxv1alpha1.GroupVersion.Group, err)
	}
	known := map[string]bool{}
	for _, c := range components.Items {
		known[c.Name] = true
	}
	for _, c := range versioned.Items {
		known[c.Name] = true
	}
	return known, nil
}

// condition says which components of config are not known.
func condition(config *v1beta2.NudgeConfig, known map[string]bool) metav1.Condition {
	var stale []string
	for _, n := range config.Spec.Nudges {
		for _, name := range []string{n.From, n.To} {
			if !known[name] {
				stale = append(stale, name)
			}
		}
	}
	slices.Sort(stale)
	stale = slices.Compact(stale)
	c := metav1.Condition{
		Type: StaleReferences, Status: metav1.ConditionFalse, Reason: NotDetected, ObservedGeneration: config.Generation,
		Message: "every component that spec.nudges names exists",
	}
	if len(stale) > 0 {
		c.Status, c.Reason = metav1.ConditionTrue, Detected
		c.Message = fmt.Sprintf("spec.nudges names components that do not exist in namespace %s: %s; create them, or remove their nudges",
			config.Namespace, strings.Join(stale, ", "))
	}
	return c
}
