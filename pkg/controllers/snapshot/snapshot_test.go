package snapshot

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/snapshot"
	"github.com/headrace-ci/headrace/test/fixture/faults"
)

const manifest = `{apiVersion: tekton.dev/v1, kind: PipelineRun, metadata: {name: mine, labels: {own: label}}, spec: {
	taskRunTemplate: {serviceAccountName: tester}, params: [{name: own, value: v}], pipelineSpec: {tasks: []}}}`

// end is what a journey comes to.
type end struct {
	Snapshot *v1alpha1.Snapshot
	Runs     []string
	Held     []string
	Requests int
	Releases []v1alpha1.Release
}

func (w *world) state() end {
	w.t.Helper()
	e := end{Snapshot: w.snapshot(), Releases: w.releases(), Requests: len(w.requests())}
	for _, run := range w.runs() {
		e.Runs, e.Held = append(e.Runs, run.Name), append(e.Held, run.Finalizers...)
	}
	return e
}

// journeys are what a Snapshot goes through, and how many runs that takes.
var journeys = map[string]struct {
	scenarios []client.Object
	walk      func(*world)
	runs      int
	final     map[string]string
}{
	"two pass": {
		scenarios: []client.Object{scenario("smoke"), scenario("soak", optional)}, runs: 2,
		walk: func(w *world) {
			w.settle()
			w.finish(corev1.ConditionTrue)
		},
		final: map[string]string{"smoke": snapshot.TestPassed, "soak": snapshot.TestPassed},
	},
	"one fails and is run again": {
		scenarios: []client.Object{scenario("smoke"), scenario("soak")}, runs: 3,
		walk: func(w *world) {
			w.settle()
			w.end(corev1.ConditionTrue, "Completed", "", "soak")
			w.finish(corev1.ConditionFalse)
			w.settle()
			w.ask("smoke")
			w.settle()
			w.finish(corev1.ConditionTrue)
		},
		final: map[string]string{"smoke": snapshot.TestPassed, "soak": snapshot.TestPassed},
	},
	"all are run again": {
		scenarios: []client.Object{scenario("smoke"), scenario("soak")}, runs: 4,
		walk: func(w *world) {
			w.settle()
			w.finish(corev1.ConditionFalse)
			w.settle()
			w.ask("all")
			w.settle()
			w.finish(corev1.ConditionTrue)
		},
		final: map[string]string{"smoke": snapshot.TestPassed, "soak": snapshot.TestPassed},
	},
	"a resolver was away": {
		scenarios: []client.Object{scenario("smoke")}, runs: 2,
		walk: func(w *world) {
			w.settle()
			w.end(corev1.ConditionFalse, "CouldntGetPipeline", "resolution took longer than global timeout of 1m0s")
			w.settle()
			w.now += 30
			w.settle()
			w.finish(corev1.ConditionTrue)
		},
		final: map[string]string{"smoke": snapshot.TestPassed},
	},
	"a run is referred to, and its resolver was away": {
		scenarios: []client.Object{scenario("smoke", runReference)}, runs: 1,
		walk: func(w *world) {
			w.settle()
			w.answer("", "ResolutionTimedOut", "resolution took longer than global timeout of 1m0s")
			w.settle()
			w.now += 30
			w.settle()
			w.answer(manifest, "", "")
			w.settle()
			w.finish(corev1.ConditionTrue)
		},
		final: map[string]string{"smoke": snapshot.TestPassed},
	},
}

// TestKilledAtEveryWrite ends the same wherever the controller was killed,
// before the write arrived or after.
func TestKilledAtEveryWrite(t *testing.T) {
	for name, tc := range journeys {
		journey := func(t *testing.T, fault *faults.Write) end {
			var objects []client.Object
			for _, o := range tc.scenarios {
				objects = append(objects, o.DeepCopyObject().(client.Object))
			}
			w := newWorld(t, fault.Funcs(), objects...)
			tc.walk(w)
			w.settle()
			if diff := cmp.Diff(tc.final, w.statuses()); diff != "" {
				t.Errorf("tests (-want +got):\n%s", diff)
			}
			return w.state()
		}
		whole := &faults.Write{}
		want := journey(t, whole)
		if len(want.Runs) != tc.runs || len(want.Releases) != 1 || !want.Releases[0].Status.Automated || len(want.Held) != 0 || want.Requests != 0 ||
			!meta.IsStatusConditionTrue(want.Snapshot.Status.Conditions, snapshot.AutoReleasedCondition) {
			t.Fatalf("%s: undisturbed it ends in %+v", name, want)
		}
		for i := range whole.Seen() {
			for _, late := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, write %d, late %t", name, i+1, late), func(t *testing.T) {
					fault := &faults.Write{At: i + 1, Late: late}
					got := journey(t, fault)
					if !fault.Happened() {
						t.Fatal("the write was not reached")
					}
					if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(metav1.ObjectMeta{}, "ResourceVersion")); diff != "" {
						t.Errorf("it ended otherwise (-undisturbed +killed):\n%s", diff)
					}
				})
			}
		}
	}
}

func TestVerdicts(t *testing.T) {
	disabled := scenario("never")
	disabled.Spec.Contexts = []v1beta2.TestContext{{Name: "disabled"}}
	const succeeded, integration, released = snapshot.TestsSucceededCondition, snapshot.IntegrationCondition, snapshot.AutoReleasedCondition
	good := map[string]string{succeeded: "True/Passed", integration: "True/Finished", released: "True/AutoReleased"}
	cases := map[string]struct {
		scenarios []client.Object
		status    corev1.ConditionStatus
		tests     map[string]string
		want      map[string]string
		releases  int
	}{
		"no scenario":       {tests: map[string]string{}, releases: 1, want: good},
		"none that applies": {scenarios: []client.Object{disabled}, tests: map[string]string{}, releases: 1, want: good},
		"passed": {
			scenarios: []client.Object{scenario("smoke")}, status: corev1.ConditionTrue, tests: map[string]string{"smoke": "TestPassed"}, releases: 1, want: good,
		},
		"failed": {
			scenarios: []client.Object{scenario("smoke")}, status: corev1.ConditionFalse, tests: map[string]string{"smoke": "TestFail"},
			want: map[string]string{succeeded: "False/Failed", integration: "True/Finished"},
		},
		"an optional one failed": {
			scenarios: []client.Object{scenario("smoke", optional)}, status: corev1.ConditionFalse, tests: map[string]string{"smoke": "TestFail"}, releases: 1, want: good,
		},
		"still running": {
			scenarios: []client.Object{scenario("smoke")}, tests: map[string]string{"smoke": "InProgress"},
			want: map[string]string{integration: "Unknown/InProgress"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var objects []client.Object
			for _, s := range tc.scenarios {
				objects = append(objects, s.DeepCopyObject().(client.Object))
			}
			w := newWorld(t, interceptor.Funcs{}, objects...)
			w.settle()
			if tc.status != "" {
				w.finish(tc.status)
			}
			w.settle()
			if diff := cmp.Diff(tc.tests, w.statuses()); diff != "" {
				t.Errorf("tests (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.want, w.conditions()); diff != "" {
				t.Errorf("conditions (-want +got):\n%s", diff)
			}
			if got := len(w.releases()); got != tc.releases {
				t.Errorf("%d Releases, want %d", got, tc.releases)
			}
		})
	}
}

// TestManyEndAtOnce loses no line, however many tests end between two looks.
func TestManyEndAtOnce(t *testing.T) {
	const many = 20
	var objects []client.Object
	for i := range many {
		objects = append(objects, scenario(fmt.Sprintf("s%d", i)))
	}
	w := newWorld(t, interceptor.Funcs{}, objects...)
	w.settle()
	w.finish(corev1.ConditionTrue)
	w.settle()
	final := 0
	for _, test := range w.tests() {
		if test.Status == snapshot.TestPassed && test.Run != "" {
			final++
		}
	}
	if final != many {
		t.Errorf("%d final lines, want %d: %s", final, many, w.tests())
	}
}

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

// TestRefusedRun says why there is no run, waits where that helps, and lets no
// scenario keep another from starting.
func TestRefusedRun(t *testing.T) {
	resource := tektonv1.SchemeGroupVersion.WithResource("pipelineruns").GroupResource()
	for name, tc := range map[string]struct {
		err     error
		status  string
		details string
		again   bool // it is tried again, by error or after a while
	}{
		"denied":         {apierrors.NewForbidden(resource, "r", errors.New("policy says no")), snapshot.TestInvalid, "policy says no", false},
		"not valid":      {apierrors.NewBadRequest("admission webhook denied the request"), snapshot.TestInvalid, "was refused: admission webhook denied", false},
		"no room":        {apierrors.NewForbidden(resource, "r", errors.New("exceeded quota: runs")), snapshot.Pending, "waiting for room", true},
		"quota conflict": {apierrors.NewConflict(resource, "r", errors.New("resourcequotas")), snapshot.Pending, "", true},
		"overloaded":     {apierrors.NewTooManyRequestsError("slow down"), snapshot.Pending, "", true},
		"outage":         {apierrors.NewInternalError(errors.New("etcd")), snapshot.Pending, "", true},
		"timeout":        {apierrors.NewServerTimeout(resource, "create", 1), snapshot.Pending, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			refuse := true
			w := newWorld(t, interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
				if refuse && o.GetLabels()[snapshot.ScenarioLabel] == "smoke" {
					return tc.err
				}
				return c.Create(ctx, o, opts...)
			}}, scenario("smoke"), scenario("soak"))
			result, err := w.reconcile()
			if again := err != nil || result.RequeueAfter > 0; again != tc.again {
				t.Errorf("reconciled to %v, %v; again: %t", result, err, tc.again)
			}
			got := w.test("smoke")
			if got.Status != tc.status || !strings.Contains(got.Details, tc.details) || w.test("soak").Status != snapshot.InProgress {
				t.Errorf("tests %s", w.tests())
			}
			if refuse = false; tc.again {
				w.settle()
				if got := w.test("smoke"); got.Status != snapshot.InProgress {
					t.Errorf("when it may, it is %+v", got)
				}
			}
		})
	}
}
