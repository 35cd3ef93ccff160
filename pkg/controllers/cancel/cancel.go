// Package cancel ends the tests of a pull request's Snapshot when something
// newer is pushed: nobody will merge what they are about.
package cancel

import (
	"context"
	"fmt"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// Reconciler reconciles Snapshots of pull requests.
type Reconciler struct {
	Client client.Client
	Now    func() time.Time
}

// SetupWithManager registers the reconciler. A build wakes the Snapshots of its
// component that it may make pointless, a Snapshot those of its PR group, and a
// test run the Snapshot that it is of: it may have been started too late.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	pulls := builder.WithPredicates(predicate.NewPredicateFuncs(func(o client.Object) bool {
		s, ok := o.(*v1alpha1.Snapshot)
		return ok && snapshot.CanBeOutdated(s)
	}))
	// That there is a run is all that counts: how far it is changes nothing.
	created := builder.WithPredicates(predicate.Funcs{
		UpdateFunc: func(event.UpdateEvent) bool { return false }, DeleteFunc: func(event.DeleteEvent) bool { return false },
	})
	return ctrl.NewControllerManagedBy(mgr).
		Named("cancel").
		For(&v1alpha1.Snapshot{}, pulls).
		Watches(&v1alpha1.Snapshot{}, handler.EnqueueRequestsFromMapFunc(r.ofGroup), pulls).
		Watches(&tektonv1.PipelineRun{}, handler.EnqueueRequestsFromMapFunc(r.ofRun), created).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// ofGroup finds the other Snapshots of a Snapshot's PR group.
func (r *Reconciler) ofGroup(ctx context.Context, o client.Object) []reconcile.Request {
	group := o.GetLabels()[snapshot.PRGroupLabel]
	if group == "" {
		return nil
	}
	return r.find(ctx, o, client.MatchingLabels{snapshot.PRGroupLabel: group})
}

// ofRun finds what a run concerns: the Snapshot that it tests, or those of the
// pull request that it builds and of its group.
func (r *Reconciler) ofRun(ctx context.Context, o client.Object) []reconcile.Request {
	if o.GetLabels()[snapshot.RunTypeLabel] == snapshot.TestRun {
		key := client.ObjectKey{Namespace: o.GetNamespace(), Name: o.GetLabels()[snapshot.SnapshotKey]}
		return []reconcile.Request{{NamespacedName: key}}
	}
	if o.GetLabels()[snapshot.RunTypeLabel] != snapshot.BuildRun || snapshot.PushRun(o) {
		return nil
	}
	requests := r.find(ctx, o, client.MatchingLabels(snapshot.PullRequestLabels(o)))
	if group := snapshot.PRGroupOf(o); group.Name != "" {
		requests = append(requests, r.find(ctx, o, client.MatchingLabels{snapshot.PRGroupLabel: group.Sum(), snapshot.TypeLabel: snapshot.GroupType})...)
	}
	return requests
}

func (r *Reconciler) find(ctx context.Context, o client.Object, labels client.MatchingLabels) []reconcile.Request {
	var list v1alpha1.SnapshotList
	if err := r.Client.List(ctx, &list, client.InNamespace(o.GetNamespace()), labels); err != nil {
		return nil
	}
	var requests []reconcile.Request
	for i := range list.Items {
		s := &list.Items[i]
		if s.Name != o.GetName() && snapshot.CanBeOutdated(s) && !snapshot.Concluded(s) {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(s)})
		}
	}
	return requests
}

// Reconcile cancels what tests a Snapshot, and the Snapshot, when there is
// something newer. A Snapshot that has its verdict keeps it.
func (r *Reconciler) Reconcile(ctx context.Context, s *v1alpha1.Snapshot) (ctrl.Result, error) {
	if !s.DeletionTimestamp.IsZero() || !snapshot.CanBeOutdated(s) {
		return ctrl.Result{}, nil
	}
	tests, err := r.unfinished(ctx, s)
	if err != nil || snapshot.Concluded(s) && len(tests) == 0 {
		return ctrl.Result{}, err
	}
	newer, err := r.newer(ctx, s)
	if err != nil || newer == "" {
		return ctrl.Result{}, err
	}
	for i := range tests {
		if err := r.cancel(ctx, &tests[i]); err != nil {
			return ctrl.Result{}, err
		}
	}
	if snapshot.Concluded(s) {
		return ctrl.Result{}, nil
	}
	before := s.DeepCopy()
	meta.SetStatusCondition(&s.Status.Conditions, metav1.Condition{
		Type: snapshot.IntegrationCondition, Status: metav1.ConditionTrue, Reason: "Canceled", Message: snapshot.Cancelled(newer),
		ObservedGeneration: s.Generation, LastTransitionTime: metav1.NewTime(r.Now()),
	})
	err = r.Client.Status().Patch(ctx, s, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if err = client.IgnoreNotFound(err); err != nil {
		return ctrl.Result{}, fmt.Errorf("canceling Snapshot %s: %w", s.Name, err)
	}
	return ctrl.Result{}, nil
}

// unfinished are the runs that test a Snapshot and were not told to stop.
func (r *Reconciler) unfinished(ctx context.Context, s *v1alpha1.Snapshot) ([]tektonv1.PipelineRun, error) {
	var runs tektonv1.PipelineRunList
	err := r.Client.List(ctx, &runs, client.InNamespace(s.Namespace), client.MatchingLabels{
		snapshot.SnapshotKey: s.Name, snapshot.RunTypeLabel: snapshot.TestRun,
	})
	var found []tektonv1.PipelineRun
	for i := range runs.Items {
		if !runs.Items[i].IsDone() && runs.Items[i].Spec.Status == "" && runs.Items[i].DeletionTimestamp.IsZero() {
			found = append(found, runs.Items[i])
		}
	}
	return found, err
}

func (r *Reconciler) newer(ctx context.Context, s *v1alpha1.Snapshot) (string, error) {
	var builds tektonv1.PipelineRunList
	var snapshots v1alpha1.SnapshotList
	err := r.Client.List(ctx, &builds, client.InNamespace(s.Namespace), client.MatchingLabels{snapshot.RunTypeLabel: snapshot.BuildRun})
	if err != nil {
		return "", err
	}
	if err := r.Client.List(ctx, &snapshots, client.InNamespace(s.Namespace), client.HasLabels{snapshot.PullRequestLabel}); err != nil {
		return "", err
	}
	return snapshot.Outdated(s, builds.Items, snapshots.Items), nil
}

// cancel stops a run, but for its finally tasks.
func (r *Reconciler) cancel(ctx context.Context, run *tektonv1.PipelineRun) error {
	before := run.DeepCopy()
	run.Spec.Status = tektonv1.PipelineRunSpecStatusCancelledRunFinally
	if run.Labels == nil {
		run.Labels = map[string]string{}
	}
	if run.Annotations == nil {
		run.Annotations = map[string]string{}
	}
	run.Labels[snapshot.CancelledKey], run.Annotations[snapshot.CancelledKey] = "true", "true"
	if err := r.Client.Patch(ctx, run, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("cancelling test run %s: %w", run.Name, err)
	}
	return nil
}
