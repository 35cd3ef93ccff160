// Package snapshot tests every Snapshot and, when it passes, makes the
// Releases that ReleasePlans ask for.
package snapshot

import (
	"context"
	"fmt"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// Condition types and reasons, as upstream has them, spelling included.
const (
	testsSucceeded = "AppStudioTestSucceeded"
	integration    = "AppStudioIntegrationStatus"
	autoReleased   = "AutoReleased"

	passed     = "Passed"
	failed     = "Failed"
	inProgress = "InProgress"
	finished   = "Finished"
	invalid    = "Invalid"
	canceled   = "Canceled"
)

// Reconciler reconciles Snapshots.
type Reconciler struct {
	Client client.Client
	Now    func() time.Time
}

// SetupWithManager registers the reconciler. Test runs wake the Snapshot they
// are of.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	ofRun := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
		name := o.GetLabels()[snapshot.SnapshotKey]
		if name == "" || o.GetLabels()[snapshot.RunTypeLabel] != snapshot.TestRun {
			return nil
		}
		return []reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: o.GetNamespace(), Name: name}}}
	})
	return ctrl.NewControllerManagedBy(mgr).
		Named("snapshot").
		For(&v1alpha1.Snapshot{}).
		Watches(&tektonv1.PipelineRun{}, ofRun).
		WithOptions(controller.Options{MaxConcurrentReconciles: 8}).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// scope is what the steps of one reconciliation hand on to each other.
type scope struct {
	snapshot  *v1alpha1.Snapshot
	scenarios map[string]*v1beta2.IntegrationTestScenario
	tests     snapshot.Tests
	runs      map[string]*tektonv1.PipelineRun // of this Snapshot, by name
	again     time.Duration                    // after which to look again, 0 for not by itself
}

// step does one thing, idempotently. False with a nil error means that there
// is nothing to do until something changes.
type step func(context.Context, *scope) (next bool, err error)

// Reconcile tests and releases a Snapshot. Its status is written once, at the
// end.
func (r *Reconciler) Reconcile(ctx context.Context, s *v1alpha1.Snapshot) (_ ctrl.Result, err error) {
	if !s.DeletionTimestamp.IsZero() || ended(s) {
		return ctrl.Result{}, nil
	}
	before := s.DeepCopy()
	defer func() {
		// Patching metadata gave the object anew; the conditions are ours.
		if perr := r.patchStatus(ctx, before, s); perr != nil {
			err = fmt.Errorf("patching status: %w", perr)
		}
	}()
	sc := &scope{snapshot: s}
	for _, run := range []step{r.adopt, r.load, r.rerun, r.test, r.judge, r.release} {
		if next, err := run(ctx, sc); err != nil || !next {
			return ctrl.Result{RequeueAfter: sc.again}, err
		}
	}
	return ctrl.Result{RequeueAfter: sc.again}, nil
}

// ended reports whether nothing more will be done with a Snapshot.
func ended(s *v1alpha1.Snapshot) bool {
	c := meta.FindStatusCondition(s.Status.Conditions, integration)
	return c != nil && (c.Reason == invalid || c.Reason == canceled)
}

// adopt makes the Snapshot its application's, so that it goes with it.
func (r *Reconciler) adopt(ctx context.Context, sc *scope) (bool, error) {
	s := sc.snapshot
	var application v1alpha1.Application
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: s.Spec.Application}, &application)
	if apierrors.IsNotFound(err) {
		r.set(s, integration, metav1.ConditionFalse, invalid,
			fmt.Sprintf("there is no Application %q in namespace %s: create it, and then another Snapshot", s.Spec.Application, s.Namespace))
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if metav1.GetControllerOf(s) != nil && s.Labels[snapshot.ApplicationLabel] != "" {
		return true, nil
	}
	return true, r.patch(ctx, s, func() error {
		if s.Labels == nil {
			s.Labels = map[string]string{}
		}
		s.Labels[snapshot.ApplicationLabel] = s.Spec.Application
		if metav1.GetControllerOf(s) != nil {
			return nil
		}
		return controllerutil.SetControllerReference(&application, s, r.Client.Scheme())
	})
}

// load reads the scenarios, the tests as they are written down, and the runs.
func (r *Reconciler) load(ctx context.Context, sc *scope) (bool, error) {
	var scenarios v1beta2.IntegrationTestScenarioList
	if err := r.Client.List(ctx, &scenarios, client.InNamespace(sc.snapshot.Namespace)); err != nil {
		return false, err
	}
	sc.scenarios = map[string]*v1beta2.IntegrationTestScenario{}
	for i := range scenarios.Items {
		if scenarios.Items[i].Spec.Application == sc.snapshot.Spec.Application {
			sc.scenarios[scenarios.Items[i].Name] = &scenarios.Items[i]
		}
	}
	var err error
	if sc.tests, err = snapshot.ParseTests(sc.snapshot.Annotations[snapshot.StatusAnnotation]); err != nil {
		// Somebody edited it; the runs say what is true.
		sc.tests = nil
	}
	var runs tektonv1.PipelineRunList
	err = r.Client.List(ctx, &runs, client.InNamespace(sc.snapshot.Namespace), client.MatchingLabels{
		snapshot.SnapshotKey: sc.snapshot.Name, snapshot.RunTypeLabel: snapshot.TestRun,
	})
	if err != nil {
		return false, err
	}
	sc.runs = map[string]*tektonv1.PipelineRun{}
	for i := range runs.Items {
		sc.runs[runs.Items[i].Name] = &runs.Items[i]
	}
	return true, nil
}

// set sets a condition.
func (r *Reconciler) set(s *v1alpha1.Snapshot, kind string, status metav1.ConditionStatus, reason, message string) {
	const limit = 32768 // of a condition's message
	if len(message) > limit {
		message = message[:limit]
	}
	meta.SetStatusCondition(&s.Status.Conditions, metav1.Condition{
		Type: kind, Status: status, Reason: reason, Message: message, ObservedGeneration: s.Generation,
		LastTransitionTime: metav1.NewTime(r.Now()),
	})
}

// patch changes metadata, and keeps the conditions set so far.
func (r *Reconciler) patch(ctx context.Context, s *v1alpha1.Snapshot, change func() error) error {
	before, status := s.DeepCopy(), s.Status
	if err := change(); err != nil {
		return err
	}
	err := r.Client.Patch(ctx, s, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	s.Status = status
	return err
}

func (r *Reconciler) patchStatus(ctx context.Context, before, s *v1alpha1.Snapshot) error {
	if equality.Semantic.DeepEqual(before.Status, s.Status) {
		return nil
	}
	base := s.DeepCopy()
	base.Status = before.Status
	return client.IgnoreNotFound(r.Client.Status().Patch(ctx, s, client.MergeFrom(base)))
}
