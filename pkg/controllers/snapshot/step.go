package snapshot

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

const (
	all = "all"
	// cacheLag is longer than the cache is ever behind the API server.
	cacheLag = time.Minute
)

// rerun starts again what the Snapshot's label asks for, and takes the label
// off. What is still running is left to end.
func (r *Reconciler) rerun(ctx context.Context, sc *scope) (bool, error) {
	wanted, ok := sc.snapshot.Labels[snapshot.RerunLabel]
	if !ok {
		return true, nil
	}
	for _, name := range slices.Sorted(maps.Keys(sc.scenarios)) {
		scenario := sc.scenarios[name]
		if name != wanted && (wanted != all || !snapshot.Applies(scenario, sc.snapshot)) {
			continue
		}
		test := sc.tests.Find(name)
		if test == nil {
			sc.tests = append(sc.tests, snapshot.Test{Scenario: name, Optional: snapshot.Optional(scenario)})
			test = sc.tests.Find(name)
			test.Set(snapshot.Pending, "", r.Now())
		} else if !test.Final() {
			continue
		}
		if err := r.start(ctx, sc, scenario, test); err != nil {
			return false, err
		}
	}
	r.set(sc.snapshot, integration, metav1.ConditionUnknown, inProgress, "tests were started again")
	meta.RemoveStatusCondition(&sc.snapshot.Status.Conditions, testsSucceeded)
	return true, r.patch(ctx, sc.snapshot, func() error {
		sc.snapshot.Annotations = with(sc.snapshot.Annotations, snapshot.StatusAnnotation, sc.tests.String())
		delete(sc.snapshot.Labels, snapshot.RerunLabel)
		return nil
	})
}

// test starts the scenarios that have no run, and follows those that have.
func (r *Reconciler) test(ctx context.Context, sc *scope) (bool, error) {
	concluded := meta.IsStatusConditionTrue(sc.snapshot.Status.Conditions, integration)
	for _, name := range slices.Sorted(maps.Keys(sc.scenarios)) {
		scenario := sc.scenarios[name]
		test := sc.tests.Find(name)
		if test == nil {
			if concluded || !snapshot.Applies(scenario, sc.snapshot) {
				continue
			}
			sc.tests = append(sc.tests, snapshot.Test{Scenario: name, Optional: snapshot.Optional(scenario)})
			test = sc.tests.Find(name)
			test.Set(snapshot.Pending, "", r.Now())
		}
		if test.Run == "" && !test.Final() {
			if err := r.start(ctx, sc, scenario, test); err != nil {
				return false, err
			}
		}
	}
	if err := r.follow(ctx, sc); err != nil {
		return false, err
	}
	if text := sc.tests.String(); len(sc.tests) > 0 && text != sc.snapshot.Annotations[snapshot.StatusAnnotation] {
		err := r.patch(ctx, sc.snapshot, func() error {
			sc.snapshot.Annotations = with(sc.snapshot.Annotations, snapshot.StatusAnnotation, text)
			return nil
		})
		if err != nil {
			return false, err
		}
	}
	return true, r.letGo(ctx, sc)
}

// start makes the run of a scenario. That it exists already means that it was
// made and not written down.
func (r *Reconciler) start(ctx context.Context, sc *scope, scenario *v1beta2.IntegrationTestScenario, test *snapshot.Test) error {
	if scenario.Spec.ResolverRef.ResourceKind == "pipelinerun" {
		test.Set(snapshot.TestInvalid, "spec.resolverRef.resourceKind pipelinerun is not supported: refer to a Pipeline", r.Now())
		return nil
	}
	run, err := snapshot.NewTestRun(scenario, sc.snapshot, test.Run)
	if err != nil {
		return err
	}
	err = r.Client.Create(ctx, run)
	switch {
	case apierrors.IsAlreadyExists(err):
		if err := r.Client.Get(ctx, client.ObjectKeyFromObject(run), run); err != nil {
			return err
		}
	case apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsForbidden(err):
		test.Set(snapshot.TestInvalid, fmt.Sprintf("the test run was refused: %v", err), r.Now())
		return nil
	case err != nil:
		return fmt.Errorf("starting scenario %q: %w", scenario.Name, err)
	}
	sc.runs[run.Name] = run
	now := r.Now().UTC()
	test.Run, test.StartTime, test.CompletionTime = run.Name, &now, nil
	test.Set(snapshot.InProgress, fmt.Sprintf("test run %s is in progress", run.Name), now)
	return nil
}

// follow brings every test up to what its run is now.
func (r *Reconciler) follow(ctx context.Context, sc *scope) error {
	for i := range sc.tests {
		test := &sc.tests[i]
		if test.Run == "" || test.Final() {
			continue
		}
		run, ok := sc.runs[test.Run]
		if !ok {
			// The cache may be behind a run that was just made.
			run = &tektonv1.PipelineRun{}
			err := r.Client.Get(ctx, client.ObjectKey{Namespace: sc.snapshot.Namespace, Name: test.Run}, run)
			if apierrors.IsNotFound(err) && r.Now().Sub(test.LastUpdateTime) < cacheLag {
				sc.again = cacheLag
				continue
			}
			if apierrors.IsNotFound(err) {
				test.Set(snapshot.Deleted, fmt.Sprintf("test run %s was deleted before it ended", test.Run), r.Now())
				continue
			}
			if err != nil {
				return err
			}
		}
		if !run.IsDone() && !run.DeletionTimestamp.IsZero() {
			test.Set(snapshot.Deleted, fmt.Sprintf("test run %s was deleted before it ended", test.Run), r.Now())
			continue
		}
		if !run.IsDone() {
			continue
		}
		var tasks tektonv1.TaskRunList
		err := r.Client.List(ctx, &tasks, client.InNamespace(run.Namespace), client.MatchingLabels{"tekton.dev/pipelineRun": run.Name})
		if err != nil {
			return err
		}
		status, details := snapshot.Verdict(run, tasks.Items)
		test.Set(status, details, r.Now())
		if run.Status.CompletionTime != nil {
			ended := run.Status.CompletionTime.UTC()
			test.CompletionTime = &ended
		}
	}
	return nil
}

// letGo allows runs whose outcome is written down to be collected.
func (r *Reconciler) letGo(ctx context.Context, sc *scope) error {
	for i := range sc.tests {
		run := sc.runs[sc.tests[i].Run]
		if run == nil || !sc.tests[i].Final() {
			continue
		}
		before := run.DeepCopy()
		if !controllerutil.RemoveFinalizer(run, snapshot.RunFinalizer) {
			continue
		}
		err := r.Client.Patch(ctx, run, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
		if client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}

// judge gives the Snapshot its verdict when all required tests have ended.
func (r *Reconciler) judge(_ context.Context, sc *scope) (bool, error) {
	done, ok, message := sc.tests.Outcome()
	if !done {
		r.set(sc.snapshot, integration, metav1.ConditionUnknown, inProgress, message)
		return false, nil
	}
	r.set(sc.snapshot, integration, metav1.ConditionTrue, finished, "Snapshot integration status condition is finished since all testing pipelines completed")
	if !ok {
		r.set(sc.snapshot, testsSucceeded, metav1.ConditionFalse, failed, message)
		return false, nil
	}
	r.set(sc.snapshot, testsSucceeded, metav1.ConditionTrue, passed, message)
	return true, nil
}

func with(m map[string]string, key, value string) map[string]string {
	if m == nil {
		m = map[string]string{}
	}
	m[key] = value
	return m
}
