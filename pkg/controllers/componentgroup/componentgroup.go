// Package componentgroup keeps the global candidate list of every
// ComponentGroup as its spec wants it, and says whether Snapshots can be put
// together from the groups that it nests.
package componentgroup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/controllers/internal/assembly"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// Reconciler reconciles ComponentGroups.
type Reconciler struct {
	Client client.Client
	Now    func() time.Time
}

// SetupWithManager registers the reconciler. A group's spec wakes all groups
// of its namespace that nest any: one of them may nest it, however deep.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	nesting := handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, o client.Object) []reconcile.Request {
		groups, err := assembly.Groups(ctx, r.Client, o.GetNamespace())
		if err != nil {
			return nil
		}
		var requests []reconcile.Request
		for i := range groups {
			if snapshot.Nests(&groups[i]) && groups[i].Name != o.GetName() {
				requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&groups[i])})
			}
		}
		return requests
	})
	changed := builder.WithPredicates(predicate.GenerationChangedPredicate{})
	return ctrl.NewControllerManagedBy(mgr).
		Named("componentgroup").
		For(&v1beta2.ComponentGroup{}, changed).
		Watches(&v1beta2.ComponentGroup{}, nesting, changed).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// Reconcile aligns the list. A build may be promoted at the same time, so it is
// written under a lock.
func (r *Reconciler) Reconcile(ctx context.Context, group *v1beta2.ComponentGroup) (ctrl.Result, error) {
	if !group.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	groups, err := assembly.Groups(ctx, r.Client, group.Namespace)
	if err != nil {
		return ctrl.Result{}, err
	}
	source, err := assembly.Group(groups, group.Namespace, group.Name)
	var refused *snapshot.Refusal
	if err != nil && !errors.As(err, &refused) {
		return ctrl.Result{}, err
	}
	before := group.DeepCopy()
	group.Status.GlobalCandidateList = snapshot.Align(group)
	condition := snapshot.GroupCondition(source.Whole, err)
	condition.ObservedGeneration, condition.LastTransitionTime = group.Generation, metav1.NewTime(r.Now())
	meta.SetStatusCondition(&group.Status.Conditions, condition)
	if equality.Semantic.DeepEqual(before.Status, group.Status) {
		return ctrl.Result{}, nil
	}
	err = r.Client.Status().Patch(ctx, group, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if err = client.IgnoreNotFound(err); err != nil {
		return ctrl.Result{}, fmt.Errorf("aligning the candidate list: %w", err)
	}
	return ctrl.Result{}, nil
}
