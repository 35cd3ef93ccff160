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

// TestFaultAtEveryWrite ends the same wherever the controller was killed,
// before the write arrived or after, or refused by a busy API server.
func TestFaultAtEveryWrite(t *testing.T) {
	for name, tc := range journeys {
		journey := func(t *testing.T, fault *faults.Write) end {
			var objects []client.Object
			for _, o := range tc.scenarios {
				objects = append(objects, o.DeepCopyObject().(client.Object))
			}
			w := newWorld(t, fault.Funcs(), objects...)
			if fault.Err != nil {
				w.fault = fault.Err
			}
			tc.walk(w)
			w.settle()
			if diff := cmp.Diff(tc.final, w.statuses()); diff != "" {
				t.Errorf("tests (-want +got):\n%s", diff)
			}
			return w.state()
		}
		whole := &faults.Write{}
		want := journey(t, whole)
		// Of a Snapshot of two scenarios: itself, its status and its runs when
		// they start and when they end, twice by this test, and its Release.
		if name == "two pass" && whole.Seen() != 2*(2+2)+2+2 {
			t.Errorf("%d writes", whole.Seen())
		}
		if len(want.Runs) != tc.runs || len(want.Releases) != 1 || !want.Releases[0].Status.Automated || len(want.Held) != 0 || want.Requests != 0 ||
			!meta.IsStatusConditionTrue(want.Snapshot.Status.Conditions, snapshot.AutoReleasedCondition) {
			t.Fatalf("%s: undisturbed it ends in %+v", name, want)
		}
		for i := range whole.Seen() {
			kinds := map[string]faults.Write{"killed before": {}, "killed after": {Late: true}}
			for _, what := range []string{"conflict", "too many requests"} {
				kinds[what] = faults.Write{Err: faults.Refusals()[what]}
			}
			for what, kind := range kinds {
				t.Run(fmt.Sprintf("%s, write %d, %s", name, i+1, what), func(t *testing.T) {
					fault := &kind
					fault.At = i + 1
					got := journey(t, fault)
					if !fault.Happened() {
						t.Fatal("the write was not reached")
					}
					if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(metav1.ObjectMeta{}, "ResourceVersion", "ManagedFields")); diff != "" {
						t.Errorf("it ended otherwise (-undisturbed +disturbed):\n%s", diff)
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

// TestForgedRun believes no run that somebody made under the name of the one
// to come, before the first or before another.
func TestForgedRun(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{}, scenario("smoke"), scenario("soak"))
	forge := func(name, previous string) {
		t.Helper()
		run := snapshot.Attempt{Scenario: scenario(name), Snapshot: w.snapshot(), Previous: previous}.Run()
		run.Spec.PipelineRef, run.Spec.PipelineSpec = nil, &tektonv1.PipelineSpec{}
		if err := w.Create(t.Context(), run); err != nil {
			t.Fatal(err)
		}
	}
	forge("smoke", "")
	w.settle()
	w.finish(corev1.ConditionTrue)
	w.settle()
	if got := w.test("smoke"); got.Status != snapshot.TestInvalid || !strings.Contains(got.Details, "does not run this scenario as it is: delete it") {
		t.Errorf("the test is %+v", got)
	}
	forge("soak", w.test("soak").Run)
	w.settle()
	before := w.test("soak")
	w.finish(corev1.ConditionFalse)
	w.settle()
	if diff := cmp.Diff(before, w.test("soak")); diff != "" {
		t.Errorf("a run that nobody asked for counts (-before +after):\n%s", diff)
	}
	if len(w.releases()) != 0 {
		t.Errorf("%d Releases", len(w.releases()))
	}
}
