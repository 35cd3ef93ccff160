// Package snapshot tests every Snapshot and, when it passes, makes the
// Releases that ReleasePlans ask for.
package snapshot

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	resolutionv1 "github.com/tektoncd/pipeline/pkg/apis/resolution/v1beta1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// Reasons of the conditions that pkg/snapshot names, as upstream has them.
const (
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
	// Reader sees what is there now, where the client's cache may lag behind;
	// nil for the client.
	Reader client.Reader
	// Events tells people what became of what they asked for; nil for nobody.
	Events events.EventRecorder
	// Defaults are the installation's, for test runs.
	Defaults snapshot.Defaults
}

// SetupWithManager registers the reconciler. Test runs and the answers of
// Tekton's resolvers wake the Snapshot that they are for.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	if r.Reader == nil {
		r.Reader = mgr.GetAPIReader()
	}
	if r.Events == nil {
		r.Events = mgr.GetEventRecorder("snapshot")
	}
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
		Owns(&resolutionv1.ResolutionRequest{}).
		Watches(&tektonv1.PipelineRun{}, ofRun).
		Complete(reconcile.Func(func(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
			s := &v1alpha1.Snapshot{}
			if err := r.Client.Get(ctx, req.NamespacedName, s); client.IgnoreNotFound(err) != nil {
				return ctrl.Result{}, err
			} else if err != nil {
				return ctrl.Result{}, r.abandon(ctx, req.NamespacedName)
			}
			return r.Reconcile(ctx, s)
		}))
}

// scope is what the steps of one reconciliation hand on to each other. They
// change the Snapshot and its tests here; write writes that down.
type scope struct {
	snapshot  *v1alpha1.Snapshot
	scenarios map[string]*v1beta2.IntegrationTestScenario // that concern it, by name
	graph     snapshot.Graph
	tests     snapshot.Tests
	runs      map[string]*tektonv1.PipelineRun // of this Snapshot, by name
	loaded    bool                             // whether the above are true
	tasks     map[string][]tektonv1.TaskRun    // of runs that have ended, by run
	asked     map[string][]string              // names of ResolutionRequests, by scenario
	failures  []error                          // to start tests
	again     time.Duration                    // after which to look again, 0 for not by itself
	note      *snapshot.Rerun                  // what to tell of a request to run again
}

// wait makes the reconciler look again after at most d.
func (sc *scope) wait(d time.Duration) {
	if sc.again == 0 || d < sc.again {
		sc.again = d
	}
}

// step does one thing, idempotently. False with a nil error means that there
// is nothing to do until something changes.
type step func(context.Context, *scope) (next bool, err error)

// Reconcile tests and releases a Snapshot. Whatever the steps came to is
// written once, at the end.
func (r *Reconciler) Reconcile(ctx context.Context, s *v1alpha1.Snapshot) (ctrl.Result, error) {
	if !s.DeletionTimestamp.IsZero() || restored(s) || older(s) {
		return ctrl.Result{}, r.abandon(ctx, client.ObjectKeyFromObject(s))
	}
	before, sc := s.DeepCopy(), &scope{snapshot: s, asked: map[string][]string{}}
	steps := []step{r.adopt, r.load, r.rerun, r.test, r.follow, r.judge, r.release}
	if ended(s) {
		steps = []step{r.load, r.refuse, r.follow}
	}
	var failure error
	for _, run := range steps {
		next, err := run(ctx, sc)
		if failure = err; err != nil || !next {
			break
		}
	}
	// Runs that were started are written down even if another was not.
	if err := errors.Join(failure, errors.Join(sc.failures...), r.write(ctx, sc, before)); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: sc.again}, nil
}

// ended reports whether a Snapshot is tested and released no more.
func ended(s *v1alpha1.Snapshot) bool {
	c := meta.FindStatusCondition(s.Status.Conditions, snapshot.IntegrationCondition)
	return c != nil && (c.Reason == invalid || c.Reason == canceled)
}

// restored reports whether a Snapshot came from a backup: what was done about
// it was done then.
func restored(s *v1alpha1.Snapshot) bool {
	return s.Labels["velero.io/restore-name"] != "" || s.Labels["velero.io/backup-name"] != ""
}

// older reports whether a service of before judged a Snapshot, by conditions of
// other names.
func older(s *v1alpha1.Snapshot) bool {
	return meta.FindStatusCondition(s.Status.Conditions, snapshot.IntegrationCondition) == nil &&
		slices.ContainsFunc(s.Status.Conditions, func(c metav1.Condition) bool { return strings.HasPrefix(c.Type, "HACBS") })
}

// judge gives the Snapshot its verdict when all required tests have ended.
func (r *Reconciler) judge(_ context.Context, sc *scope) (bool, error) {
	if len(sc.tests) == 0 && meta.IsStatusConditionFalse(sc.snapshot.Status.Conditions, snapshot.TestsSucceededCondition) {
		return false, nil // it failed by tests that nobody knows any more
	}
	done, ok, message := sc.tests.Outcome()
	if !done {
		r.set(sc.snapshot, snapshot.IntegrationCondition, metav1.ConditionUnknown, inProgress, message)
		meta.RemoveStatusCondition(&sc.snapshot.Status.Conditions, snapshot.TestsSucceededCondition)
		return false, nil
	}
	r.set(sc.snapshot, snapshot.IntegrationCondition, metav1.ConditionTrue, finished, "Snapshot integration status condition is finished since all testing pipelines completed")
	if !ok {
		r.set(sc.snapshot, snapshot.TestsSucceededCondition, metav1.ConditionFalse, failed,
			message+". Label the Snapshot "+snapshot.RerunLabel+"=<scenario> to test it again")
		return false, nil
	}
	r.set(sc.snapshot, snapshot.TestsSucceededCondition, metav1.ConditionTrue, passed, message)
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

// tell raises an event.
func (r *Reconciler) tell(about client.Object, warning bool, reason, message string) {
	if r.Events == nil {
		return
	}
	kind := corev1.EventTypeNormal
	if warning {
		kind = corev1.EventTypeWarning
	}
	r.Events.Eventf(about, nil, kind, reason, "Test", "%s", message)
}

func (r *Reconciler) live() client.Reader {
	if r.Reader == nil {
		return r.Client
	}
	return r.Reader
}
