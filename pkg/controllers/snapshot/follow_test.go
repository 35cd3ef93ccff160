package snapshot

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// TestRunVanishes ends a test whose run is gone.
func TestRunVanishes(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{}, scenario("smoke"))
	w.settle()
	run := w.runs()[0]
	run.Finalizers = nil
	if err := errors.Join(w.Update(t.Context(), &run), w.Delete(t.Context(), &run)); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if got := w.test("smoke"); got.Status != snapshot.Deleted || !strings.Contains(got.Details, "deleted before it ended") {
		t.Errorf("it is %+v", got)
	}
}

// TestDeletedRun is not waited for, nor held.
func TestDeletedRun(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{}, scenario("smoke"))
	w.settle()
	run := w.runs()[0]
	if err := w.Delete(t.Context(), &run); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if got := w.statuses(); got["smoke"] != snapshot.Deleted || len(w.runs()) != 0 {
		t.Errorf("%v, %d runs", got, len(w.runs()))
	}
}

// TestFinalStands keeps a verdict when the tasks that it is from are pruned.
func TestFinalStands(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{}, scenario("smoke"))
	w.settle()
	w.finish(corev1.ConditionTrue)
	w.settle()
	run := w.runs()[0]
	run.Status.ChildReferences = []tektonv1.ChildStatusReference{{Name: "pruned"}}
	run.Status.ChildReferences[0].Kind = "TaskRun"
	if err := w.Status().Update(t.Context(), &run); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if got := w.test("smoke"); got.Status != snapshot.TestPassed {
		t.Errorf("it is %+v", got)
	}
}

// TestCacheBehindTasks reads what the tasks of a run found where the cache has
// their run's end, and not theirs.
func TestCacheBehindTasks(t *testing.T) {
	output := *tektonv1.NewStructuredValues(`{"result":"FAILURE","timestamp":"1700000000","successes":0,"failures":1,"warnings":0,"note":"it broke"}`)
	task := &tektonv1.TaskRun{ObjectMeta: at("task")}
	ended := task.DeepCopy()
	ended.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionTrue})
	ended.Status.Results = []tektonv1.TaskRunResult{{Name: "TEST_OUTPUT", Value: output}}
	cached, there := newWorld(t, interceptor.Funcs{}, scenario("smoke")), newWorld(t, interceptor.Funcs{})
	cached.settle()
	run := cached.runs()[0]
	for w, o := range map[*world]*tektonv1.TaskRun{cached: task, there: ended} {
		o.Labels = map[string]string{"tekton.dev/pipelineRun": run.Name, "tekton.dev/pipelineTask": "check"}
		if err := w.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	run.Status.ChildReferences = []tektonv1.ChildStatusReference{{Name: "task"}}
	run.Status.ChildReferences[0].Kind = "TaskRun"
	if err := cached.Status().Update(t.Context(), &run); err != nil {
		t.Fatal(err)
	}
	cached.reader = there
	cached.finish(corev1.ConditionTrue)
	cached.settle()
	if got := cached.test("smoke"); got.Status != snapshot.TestFail || !strings.Contains(got.Details, "it broke") {
		t.Errorf("it is %+v", got)
	}
}

// TestCacheBehindScenarios passes no Snapshot untested because the cache does
// not know its scenario yet.
func TestCacheBehindScenarios(t *testing.T) {
	cached, there := newWorld(t, interceptor.Funcs{}), newWorld(t, interceptor.Funcs{}, scenario("smoke"))
	cached.reader = there
	cached.settle()
	if got := cached.statuses(); got["smoke"] != snapshot.InProgress || len(cached.releases()) != 0 {
		t.Errorf("tests %v, %d Releases", got, len(cached.releases()))
	}
}

// TestEnded finishes what runs, and starts nothing more.
func TestEnded(t *testing.T) {
	for _, reason := range []string{canceled, invalid} {
		t.Run(reason, func(t *testing.T) {
			late := scenario("late", runReference)
			w := newWorld(t, interceptor.Funcs{}, scenario("smoke"), late)
			w.settle()
			w.mark(reason)
			w.finish(corev1.ConditionFalse)
			w.ask("smoke")
			w.settle()
			e := w.state()
			if len(e.Runs) != 1 || len(e.Held) != 0 || e.Requests != 0 || len(e.Releases) != 0 {
				t.Errorf("it ended in %+v", e)
			}
			if got := w.statuses(); got["smoke"] != snapshot.TestFail || got["late"] != snapshot.TestFail {
				t.Errorf("tests %v", got)
			}
			if got := w.conditions()[snapshot.IntegrationCondition]; got != "True/"+reason {
				t.Errorf("condition %s", got)
			}
			if got := e.Snapshot.Annotations[snapshot.RerunAnnotation]; !strings.HasPrefix(got, "NotTested: ") || e.Snapshot.Labels[snapshot.RerunLabel] != "" {
				t.Errorf("it says %q of the wish to run again, labels %v", got, e.Snapshot.Labels)
			}
		})
	}
}

// TestGone lets go of the runs of a Snapshot that is gone, or restored from a
// backup.
func TestGone(t *testing.T) {
	t.Run("gone", func(t *testing.T) {
		w := newWorld(t, interceptor.Funcs{}, scenario("smoke"))
		w.settle()
		if err := w.Delete(t.Context(), w.snapshot()); err != nil {
			t.Fatal(err)
		}
		r := &Reconciler{Client: w}
		if err := r.abandon(t.Context(), client.ObjectKey{Namespace: "dev", Name: "shop-1"}); err != nil {
			t.Fatal(err)
		}
		if run := w.runs()[0]; len(run.Finalizers) != 0 {
			t.Errorf("the run is held by %v", run.Finalizers)
		}
	})
	t.Run("restored", func(t *testing.T) {
		w := newWorld(t, interceptor.Funcs{}, scenario("smoke"))
		s := w.snapshot()
		s.Labels = map[string]string{"velero.io/restore-name": "monday"}
		if err := w.Update(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		w.settle()
		if len(w.runs()) != 0 || len(w.conditions()) != 0 {
			t.Errorf("%d runs, conditions %v", len(w.runs()), w.conditions())
		}
	})
}

func TestNoOwner(t *testing.T) {
	for kind, change := range map[string]func(*v1alpha1.Snapshot){
		"Application":    func(*v1alpha1.Snapshot) {},
		"ComponentGroup": func(s *v1alpha1.Snapshot) { s.Spec.Application, s.Spec.ComponentGroup = "", "shop" },
	} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t, interceptor.Funcs{}, scenario("smoke"))
			s := w.snapshot()
			change(s)
			if err := errors.Join(w.Update(t.Context(), s), w.Delete(t.Context(), &v1alpha1.Application{ObjectMeta: at("shop")})); err != nil {
				t.Fatal(err)
			}
			w.settle()
			c := meta.FindStatusCondition(w.snapshot().Status.Conditions, snapshot.IntegrationCondition)
			if c == nil || c.Reason != invalid || !strings.Contains(c.Message, fmt.Sprintf("no %s %q in namespace dev: create it", kind, "shop")) || len(w.runs()) != 0 {
				t.Errorf("condition %v, %d runs", c, len(w.runs()))
			}
		})
	}
}

// TestOthersAreFollowed gives a test its verdict while another cannot start.
func TestOthersAreFollowed(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
		if o.GetLabels()[snapshot.ScenarioLabel] == "smoke" {
			return apierrors.NewInternalError(errors.New("a webhook is away"))
		}
		return c.Create(ctx, o, opts...)
	}}, scenario("smoke"), scenario("soak"))
	for range 2 {
		if _, err := w.reconcile(); err == nil || !strings.Contains(err.Error(), `starting scenario "smoke"`) {
			t.Errorf("reconciled to %v", err)
		}
		w.finish(corev1.ConditionTrue)
	}
	if got := w.statuses(); got["soak"] != snapshot.TestPassed || got["smoke"] != snapshot.Pending {
		t.Errorf("tests %v", got)
	}
}

// TestFailureNamesWhatChanged since the last Snapshot that passed.
func TestFailureNamesWhatChanged(t *testing.T) {
	old := &v1alpha1.Snapshot{ObjectMeta: at("shop-0"), Spec: v1alpha1.SnapshotSpec{Application: "shop"}}
	old.Spec.Components = []v1alpha1.SnapshotComponent{{Name: "web", ContainerImage: "registry.test/web@sha256:0"}}
	old.Status.Conditions = []metav1.Condition{{Type: snapshot.TestsSucceededCondition, Status: metav1.ConditionTrue}}
	w := newWorld(t, interceptor.Funcs{}, scenario("smoke"), old)
	s := w.snapshot()
	s.CreationTimestamp = metav1.Unix(900, 0)
	if err := w.Update(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.finish(corev1.ConditionFalse)
	w.settle()
	if got := w.test("smoke").Details; !strings.HasSuffix(got, "; changed since Snapshot shop-0, which passed: web (gone)") {
		t.Errorf("it says %q", got)
	}
}

// TestJudgedBefore leaves Snapshots alone that another service judged.
func TestJudgedBefore(t *testing.T) {
	for name, conditions := range map[string][]metav1.Condition{
		"by older names": {{Type: "HACBSStudioTestSucceeded", Status: metav1.ConditionFalse}, {Type: "HACBSIntegrationStatus", Status: metav1.ConditionTrue}},
		"its tests are forgotten": {
			{Type: snapshot.TestsSucceededCondition, Status: metav1.ConditionFalse, Reason: failed},
			{Type: snapshot.IntegrationCondition, Status: metav1.ConditionTrue, Reason: finished},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, interceptor.Funcs{}, scenario("smoke"))
			s := w.snapshot()
			s.Status.Conditions = conditions
			if err := w.Status().Update(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			before := w.conditions()
			w.settle()
			if diff := cmp.Diff(before, w.conditions()); diff != "" || len(w.runs()) != 0 || len(w.releases()) != 0 {
				t.Errorf("%d runs, %d Releases, conditions (-before +after):\n%s", len(w.runs()), len(w.releases()), diff)
			}
		})
	}
}

// TestEndedTogether asks once for the tasks of all runs that have ended.
func TestEndedTogether(t *testing.T) {
	asked := 0
	w := newWorld(t, interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
		if _, ok := list.(*tektonv1.TaskRunList); ok {
			asked++
		}
		return c.List(ctx, list, opts...)
	}}, scenario("smoke"), scenario("load"), scenario("lint"))
	w.settle()
	for i, run := range w.runs() {
		task := &tektonv1.TaskRun{ObjectMeta: at("task-" + run.Name)}
		task.Labels = map[string]string{"tekton.dev/pipelineRun": run.Name, "tekton.dev/pipelineTask": "check"}
		task.Status.Results = []tektonv1.TaskRunResult{{Name: "TEST_OUTPUT", Value: *tektonv1.NewStructuredValues(
			fmt.Sprintf(`{"result":"FAILURE","timestamp":"1700000000","successes":0,"failures":1,"warnings":0,"note":"broken %d"}`, i))}}
		run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionTrue, Reason: "Succeeded"})
		if err := errors.Join(w.Create(t.Context(), task), w.Status().Update(t.Context(), &run)); err != nil {
			t.Fatal(err)
		}
	}
	w.settle()
	if asked != 1 {
		t.Errorf("asked %d times, want once", asked)
	}
	for i, run := range w.runs() {
		got := w.test(run.Labels[snapshot.ScenarioLabel])
		if got.Status != snapshot.TestFail || !strings.Contains(got.Details, fmt.Sprintf("broken %d", i)) {
			t.Errorf("%s is %+v, want what its own task said", run.Name, got)
		}
	}
}
