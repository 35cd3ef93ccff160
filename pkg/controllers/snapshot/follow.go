package snapshot

import (
	"context"
	"fmt"
	"maps"
	"slices"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// follow brings every test up to what its run is now.
func (r *Reconciler) follow(ctx context.Context, sc *scope) (bool, error) {
	for i := range sc.tests {
		test := &sc.tests[i]
		if test.Status == snapshot.Pending && ended(sc.snapshot) {
			test.Set(snapshot.TestFail, "not run: condition "+snapshot.IntegrationCondition+" of the Snapshot says why", r.Now())
		}
		if test.Status != snapshot.InProgress {
			continue
		}
		run, err := r.run(ctx, sc, test.Run)
		if err != nil {
			return false, err
		}
		switch {
		case run == nil, !run.IsDone() && !run.DeletionTimestamp.IsZero():
			test.Set(snapshot.Deleted, fmt.Sprintf("test run %s was deleted before it ended", test.Run), r.Now())
		case run.IsDone():
			if err := r.conclude(ctx, sc, test, run); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// run is one of the Snapshot's runs, nil when it is gone.
func (r *Reconciler) run(ctx context.Context, sc *scope, name string) (*tektonv1.PipelineRun, error) {
	if run := sc.runs[name]; run != nil {
		return run, nil
	}
	// The cache may be behind a run that was just made.
	run := &tektonv1.PipelineRun{}
	err := r.live().Get(ctx, client.ObjectKey{Namespace: sc.snapshot.Namespace, Name: name}, run)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	sc.runs[name] = run
	return run, nil
}

// conclude gives a test the verdict of its run, or another attempt.
func (r *Reconciler) conclude(ctx context.Context, sc *scope, test *snapshot.Test, run *tektonv1.PipelineRun) error {
	unreached, again := snapshot.Unreached(run), run.Annotations[snapshot.RetryAnnotation] == ""
	if unreached && again && !ended(sc.snapshot) {
		at := r.Now().Add(snapshot.RetryAfter)
		test.Again(snapshot.RetryMessage(run), &at, r.Now())
		sc.wait(snapshot.RetryAfter)
		return nil
	}
	tasks, err := r.tasks(ctx, sc, run)
	if err != nil {
		return err
	}
	status, details := snapshot.Verdict(run, tasks)
	if unreached && !again {
		details += fmt.Sprintf(" (the second attempt, after %s)", run.Annotations[snapshot.RetryAnnotation])
	} else if status == snapshot.TestFail {
		changed, err := r.changed(ctx, sc)
		if err != nil {
			return err
		}
		details += changed
	}
	test.Set(status, details, r.Now())
	if run.Status.CompletionTime != nil {
		completed := run.Status.CompletionTime.UTC()
		test.CompletionTime = &completed
	}
	return nil
}

// changed says what may be the cause of a failure.
func (r *Reconciler) changed(ctx context.Context, sc *scope) (string, error) {
	var list v1alpha1.SnapshotList
	if err := r.Client.List(ctx, &list, client.InNamespace(sc.snapshot.Namespace)); err != nil {
		return "", err
	}
	if what := snapshot.Changed(sc.snapshot, list.Items); what != "" {
		return "; " + what, nil
	}
	return "", nil
}

// tasks are the TaskRuns of a run that has ended. They are read where they are:
// a cache may have a run's end, and not yet what its tasks found. Tests often
// end together, so one request asks for the tasks of all that have ended.
func (r *Reconciler) tasks(ctx context.Context, sc *scope, run *tektonv1.PipelineRun) ([]tektonv1.TaskRun, error) {
	if found, ok := sc.tasks[run.Name]; ok {
		return found, nil
	}
	const label = "tekton.dev/pipelineRun"
	found := map[string][]tektonv1.TaskRun{run.Name: nil}
	for _, test := range sc.tests {
		if other := sc.runs[test.Run]; other != nil && other.IsDone() && test.Status == snapshot.InProgress {
			found[other.Name] = nil
		}
	}
	of, err := labels.NewRequirement(label, selection.In, slices.Sorted(maps.Keys(found)))
	if err != nil {
		return nil, err
	}
	var list tektonv1.TaskRunList
	selected := client.MatchingLabelsSelector{Selector: labels.NewSelector().Add(*of)}
	if err := r.live().List(ctx, &list, client.InNamespace(run.Namespace), selected); err != nil {
		return nil, err
	}
	for _, task := range list.Items {
		found[task.Labels[label]] = append(found[task.Labels[label]], task)
	}
	sc.tasks = found
	return found[run.Name], nil
}

// letGo allows runs to be collected whose outcome is written down, or which
// nobody waits for.
func (r *Reconciler) letGo(ctx context.Context, sc *scope) error {
	for _, run := range sc.runs {
		test := sc.tests.Find(run.Labels[snapshot.ScenarioLabel])
		held := test != nil && test.Run == run.Name && !test.Final() && test.Status != snapshot.Pending
		if held || !run.IsDone() && run.DeletionTimestamp.IsZero() {
			continue
		}
		if err := r.unhold(ctx, run); err != nil {
			return err
		}
	}
	return nil
}

// abandon lets go of all runs of a Snapshot that is gone, or that is nothing
// to us.
func (r *Reconciler) abandon(ctx context.Context, s client.ObjectKey) error {
	runs, err := r.testRuns(ctx, s)
	if err != nil {
		return err
	}
	for _, run := range runs {
		if err := r.unhold(ctx, run); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reconciler) unhold(ctx context.Context, run *tektonv1.PipelineRun) error {
	before := run.DeepCopy()
	if !controllerutil.RemoveFinalizer(run, snapshot.RunFinalizer) {
		return nil
	}
	err := r.Client.Patch(ctx, run, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("letting go of test run %s: %w", run.Name, err)
	}
	return nil
}

// warn says on a scenario that what it is given is large, once.
func (r *Reconciler) warn(ctx context.Context, scenario *v1beta2.IntegrationTestScenario, s *v1alpha1.Snapshot) error {
	condition, large := snapshot.Param(scenario, s)
	if had := meta.FindStatusCondition(scenario.Status.Conditions, condition.Type); had == nil && !large || had != nil && had.Reason == condition.Reason {
		return nil
	}
	if large {
		r.tell(scenario, true, condition.Reason, condition.Message)
	}
	return r.mark(ctx, scenario, condition)
}

// mark sets a condition of a scenario, which its own controller writes too.
func (r *Reconciler) mark(ctx context.Context, scenario *v1beta2.IntegrationTestScenario, condition metav1.Condition) error {
	condition.LastTransitionTime = metav1.NewTime(r.Now())
	now := scenario.DeepCopy()
	for {
		before := now.DeepCopy()
		meta.SetStatusCondition(&now.Status.Conditions, condition)
		err := r.Client.Status().Patch(ctx, now, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
		if apierrors.IsConflict(err) {
			err = r.live().Get(ctx, client.ObjectKeyFromObject(scenario), now)
			if err == nil {
				continue
			}
		}
		if err != nil {
			return ignoreGone(err, "writing the status of scenario "+scenario.Name)
		}
		return nil
	}
}
