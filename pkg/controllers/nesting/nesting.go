// Package nesting makes the Snapshots of ComponentGroups that contain other
// groups: a new one of a group leads to one of each group around it.
package nesting

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/controllers/internal/assembly"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// Reconciler reconciles Snapshots of ComponentGroups.
type Reconciler struct {
	Client client.Client
	Now    func() time.Time
}

// SetupWithManager registers the reconciler.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	followed := predicate.NewPredicateFuncs(func(o client.Object) bool {
		s, ok := o.(*v1alpha1.Snapshot)
		return ok && snapshot.Followed(s)
	})
	return ctrl.NewControllerManagedBy(mgr).
		Named("nesting").
		For(&v1alpha1.Snapshot{}, builder.WithPredicates(followed)).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// Reconcile makes the Snapshots of the groups right around a Snapshot's; these
// lead to the next ones. What became of each is in the Snapshot's status.
func (r *Reconciler) Reconcile(ctx context.Context, s *v1alpha1.Snapshot) (ctrl.Result, error) {
	if !s.DeletionTimestamp.IsZero() || !snapshot.Followed(s) || meta.IsStatusConditionTrue(s.Status.Conditions, snapshot.ParentsCondition) {
		return ctrl.Result{}, nil
	}
	groups, err := assembly.Groups(ctx, r.Client, s.Namespace)
	if err != nil {
		return ctrl.Result{}, err
	}
	before, again := s.DeepCopy(), time.Duration(0)
	made := map[string]v1alpha1.ParentSnapshot{}
	var names []string
	var problems error
	for _, group := range snapshot.Parents(groups, s.Spec.ComponentGroup) {
		name, err := r.follow(ctx, s, groups, group)
		var refused *snapshot.Refusal
		switch {
		case errors.As(err, &refused):
			made[group] = v1alpha1.ParentSnapshot{Err: err.Error()}
			problems = errors.Join(problems, fmt.Errorf("in ComponentGroup %s: %w", group, err))
			if refused.Reason == snapshot.QuotaExceeded || refused.Reason == snapshot.CreateForbidden {
				again = time.Minute
			}
		case err != nil:
			return ctrl.Result{}, err
		case name != "":
			made[group] = v1alpha1.ParentSnapshot{Name: name, Created: true}
			names = append(names, name)
		}
	}
	if len(made) == 0 {
		return ctrl.Result{}, nil
	}
	s.Status.ParentSnapshots = made
	meta.SetStatusCondition(&s.Status.Conditions, r.condition(s, names, problems))
	if equality.Semantic.DeepEqual(before.Status, s.Status) {
		return ctrl.Result{RequeueAfter: again}, nil
	}
	err = r.Client.Status().Patch(ctx, s, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	return ctrl.Result{RequeueAfter: again}, client.IgnoreNotFound(err)
}

// follow makes the Snapshot of one group, unless its own build does.
func (r *Reconciler) follow(ctx context.Context, s *v1alpha1.Snapshot, groups []v1beta2.ComponentGroup, group string) (string, error) {
	source, err := assembly.Group(groups, s.Namespace, group)
	if err != nil {
		return "", err
	}
	if !snapshot.Follows(s, snapshot.Alone(source.Owner.(*v1beta2.ComponentGroup))) {
		return "", nil
	}
	wanted, omitted := snapshot.NewParentSnapshot(s, source.Whole)
	made, _, err := assembly.Make(ctx, r.Client, assembly.Order{
		Snapshot: wanted, Omitted: omitted, Owner: source.Owner, Names: snapshot.ParentNames(s, group),
		Same: func(o *v1alpha1.Snapshot) bool { return snapshot.SameParent(o, s, group) },
	})
	if err != nil {
		return "", err
	}
	return made.Name, nil
}

func (r *Reconciler) condition(s *v1alpha1.Snapshot, names []string, problems error) metav1.Condition {
	c := metav1.Condition{
		Type: snapshot.ParentsCondition, Status: metav1.ConditionTrue, Reason: "Created", ObservedGeneration: s.Generation,
		LastTransitionTime: metav1.NewTime(r.Now()), Message: "it led to Snapshot " + strings.Join(names, ", "),
	}
	if problems != nil {
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, "Failed", strings.ReplaceAll(problems.Error(), "\n", "; ")
	}
	return c
}
