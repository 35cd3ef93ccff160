// Package candidate promotes the images of Snapshots: those of an override at
// once, and those of a build that passed its tests in a ComponentGroup that
// wants only such. It checks overrides before anything tests them.
package candidate

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
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/controllers/internal/assembly"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// Reconciler reconciles Snapshots.
type Reconciler struct {
	Client client.Client
	Now    func() time.Time
}

// SetupWithManager registers the reconciler.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("candidate").
		For(&v1alpha1.Snapshot{}).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// Reconcile promotes a Snapshot's images, once. What is in the list already is
// not written again.
func (r *Reconciler) Reconcile(ctx context.Context, s *v1alpha1.Snapshot) (ctrl.Result, error) {
	if !s.DeletionTimestamp.IsZero() || !snapshot.MayPromote(s) {
		return ctrl.Result{}, nil
	}
	source, err := assembly.Of(ctx, r.Client, s)
	var refused *snapshot.Refusal
	if errors.As(err, &refused) {
		return ctrl.Result{}, r.reject(ctx, s, err)
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	whole, policy := source.Whole, ""
	group, ofGroup := source.Owner.(*v1beta2.ComponentGroup)
	if ofGroup {
		whole, policy = snapshot.Alone(group), group.Spec.PromotionPolicy
	}
	components, byHand := snapshot.Promotes(s, policy)
	if snapshot.Override(s) {
		if err := snapshot.CheckOverride(s, whole); err != nil {
			return ctrl.Result{}, r.reject(ctx, s, err)
		}
	}
	if len(components) == 0 {
		return ctrl.Result{}, nil
	}
	var all []snapshot.Candidacy
	if ofGroup {
		all, err = r.promoteInGroup(ctx, s, group, components, byHand)
	} else {
		all, err = r.promote(ctx, s, components)
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("promoting the images of Snapshot %s: %w", s.Name, err)
	}
	before := s.DeepCopy()
	if s.Annotations == nil {
		s.Annotations = map[string]string{}
	}
	s.Annotations[snapshot.CandidateKey] = snapshot.Mark(all, r.Now())
	return ctrl.Result{}, client.IgnoreNotFound(r.Client.Patch(ctx, s, client.MergeFrom(before)))
}

// promote makes images by hand the candidates of their components.
func (r *Reconciler) promote(ctx context.Context, s *v1alpha1.Snapshot, components []v1alpha1.SnapshotComponent) ([]snapshot.Candidacy, error) {
	var all []snapshot.Candidacy
	for _, one := range components {
		c := &v1alpha1.Component{}
		if err := r.Client.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: one.Name}, c); err != nil {
			return nil, err
		}
		candidacy, err := assembly.Promote(ctx, r.Client, c, snapshot.NomineeOf(one, snapshot.BuildTime(s)), true)
		if err != nil {
			return nil, err
		}
		all = append(all, candidacy)
	}
	return all, nil
}

// promoteInGroup makes images the candidates of a group, all at once.
func (r *Reconciler) promoteInGroup(ctx context.Context, s *v1alpha1.Snapshot, group *v1beta2.ComponentGroup, components []v1alpha1.SnapshotComponent, byHand bool) ([]snapshot.Candidacy, error) {
	before := group.DeepCopy()
	var all []snapshot.Candidacy
	for _, one := range components {
		candidacy := snapshot.PromoteInGroup(group, one.Name, one.Version, snapshot.NomineeOf(one, snapshot.BuildTime(s)), byHand)
		if candidacy == snapshot.Unlisted {
			return nil, fmt.Errorf("the group's status.globalCandidateList has no entry for version %q of component %q yet", one.Version, one.Name)
		}
		all = append(all, candidacy)
	}
	if equality.Semantic.DeepEqual(before.Status, group.Status) {
		return all, nil
	}
	return all, r.Client.Status().Patch(ctx, group, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
}

// reject says for good why an override replaces nothing and is not tested.
func (r *Reconciler) reject(ctx context.Context, s *v1alpha1.Snapshot, problem error) error {
	if !snapshot.Override(s) {
		return nil // whoever tests it says so
	}
	before := s.DeepCopy()
	meta.SetStatusCondition(&s.Status.Conditions, metav1.Condition{
		Type: snapshot.IntegrationCondition, Status: metav1.ConditionFalse, Reason: "Invalid", ObservedGeneration: s.Generation,
		LastTransitionTime: metav1.NewTime(r.Now()),
		Message:            "the override replaces no image: " + strings.ReplaceAll(problem.Error(), "\n", "; ") + ". Create another Snapshot, for this one cannot change",
	})
	err := r.Client.Status().Patch(ctx, s, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	return client.IgnoreNotFound(err)
}
