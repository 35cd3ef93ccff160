package snapshot

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"knative.dev/pkg/apis"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/snapshot"
	"github.com/headrace-ci/headrace/test/fixture/faults"
)

func at(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "dev", Name: name, UID: "0"}
}

// world is a cluster with a Snapshot, in which a test plays Tekton.
type world struct {
	client.Client
	t   *testing.T
	now int64
}

func newWorld(t *testing.T, w *faults.Write, objects ...client.Object) *world {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{tektonv1.AddToScheme, v1alpha1.AddToScheme, v1beta2.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	plan := &v1alpha1.ReleasePlan{ObjectMeta: at("ship"), Spec: v1alpha1.ReleasePlanSpec{Application: "shop"}}
	plan.Labels = map[string]string{snapshot.AutoReleaseKey: "true"}
	objects = append(objects, &v1alpha1.Application{ObjectMeta: at("shop")}, plan,
		&v1alpha1.Snapshot{ObjectMeta: at("shop-1"), Spec: v1alpha1.SnapshotSpec{Application: "shop"}})
	return &world{t: t, now: 1000, Client: fake.NewClientBuilder().WithScheme(scheme).
		WithStatusSubresource(&v1alpha1.Snapshot{}, &v1alpha1.Release{}, &tektonv1.PipelineRun{}).
		WithObjects(objects...).WithInterceptorFuncs(w.Funcs()).Build()}
}

func scenario(name string, optional bool) *v1beta2.IntegrationTestScenario {
	s := &v1beta2.IntegrationTestScenario{ObjectMeta: at(name), Spec: v1beta2.IntegrationTestScenarioSpec{
		Application: "shop", ResolverRef: v1beta2.ResolverRef{Resolver: "bundles"}}}
	if optional {
		s.Labels = map[string]string{snapshot.OptionalLabel: "true"}
	}
	return s
}

// settle reconciles as a controller does that is started again when killed.
func (w *world) settle() ctrl.Result {
	w.t.Helper()
	var last ctrl.Result
	for range 4 {
		s := w.snapshot()
		r := &Reconciler{Client: w, Now: func() time.Time { return time.Unix(w.now, 0).UTC() }}
		result, err := r.Reconcile(w.t.Context(), s)
		if err != nil && !errors.Is(err, faults.ErrKilled) {
			w.t.Fatal(err)
		}
		last = result
	}
	return last
}

func (w *world) snapshot() *v1alpha1.Snapshot {
	w.t.Helper()
	s := &v1alpha1.Snapshot{}
	if err := w.Get(w.t.Context(), client.ObjectKey{Namespace: "dev", Name: "shop-1"}, s); err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) runs() []tektonv1.PipelineRun {
	w.t.Helper()
	var list tektonv1.PipelineRunList
	if err := w.List(w.t.Context(), &list); err != nil {
		w.t.Fatal(err)
	}
	return list.Items
}

func (w *world) releases() []v1alpha1.Release {
	w.t.Helper()
	var list v1alpha1.ReleaseList
	if err := w.List(w.t.Context(), &list); err != nil {
		w.t.Fatal(err)
	}
	return list.Items
}

// finish ends every run that is not done, behind the controller's back.
func (w *world) finish(status corev1.ConditionStatus) {
	w.t.Helper()
	for _, run := range w.runs() {
		if run.IsDone() {
			continue
		}
		end := metav1.Unix(1100, 0)
		run.Status.CompletionTime = &end
		run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: status, Message: "Tasks Completed: 1"})
		// A write of Tekton's, which the fault is not meant for.
		for {
			err := w.Client.Status().Update(context.Background(), &run)
			if err == nil {
				break
			}
			if !errors.Is(err, faults.ErrKilled) {
				w.t.Fatal(err)
			}
		}
	}
}

func (w *world) statuses() map[string]string {
	w.t.Helper()
	tests, err := snapshot.ParseTests(w.snapshot().Annotations[snapshot.StatusAnnotation])
	if err != nil {
		w.t.Fatal(err)
	}
	got := map[string]string{}
	for _, test := range tests {
		got[test.Scenario] = test.Status
	}
	return got
}

// conditions are the Snapshot's, as type=reason.
func (w *world) conditions() map[string]string {
	got := map[string]string{}
	for _, c := range w.snapshot().Status.Conditions {
		got[c.Type] = string(c.Status) + "/" + c.Reason
	}
	return got
}

type end struct {
	Snapshot *v1alpha1.Snapshot
	Runs     []string
	Held     []string
	Releases []v1alpha1.Release
}

// TestKilledAtEveryWrite ends the same wherever the controller was killed,
// before the write arrived or after.
func TestKilledAtEveryWrite(t *testing.T) {
	journey := func(t *testing.T, fault *faults.Write) end {
		w := newWorld(t, fault, scenario("smoke", false), scenario("soak", true))
		w.settle()
		w.finish(corev1.ConditionTrue)
		w.settle()
		e := end{Snapshot: w.snapshot(), Releases: w.releases()}
		for _, run := range w.runs() {
			e.Runs, e.Held = append(e.Runs, run.Name), append(e.Held, run.Finalizers...)
		}
		return e
	}
	whole := &faults.Write{}
	want := journey(t, whole)
	if len(want.Runs) != 2 || len(want.Releases) != 1 || !want.Releases[0].Status.Automated || len(want.Held) != 0 ||
		!meta.IsStatusConditionTrue(want.Snapshot.Status.Conditions, autoReleased) {
		t.Fatalf("undisturbed it ends in %+v", want)
	}
	for i := range whole.Seen() {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprintf("write %d, late %t", i+1, late), func(t *testing.T) {
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

func TestVerdicts(t *testing.T) {
	unsupported := scenario("inline", false)
	unsupported.Spec.ResolverRef.ResourceKind = "pipelinerun"
	disabled := scenario("never", false)
	disabled.Spec.Contexts = []v1beta2.TestContext{{Name: "disabled"}}
	cases := map[string]struct {
		scenarios []client.Object
		status    corev1.ConditionStatus
		tests     map[string]string
		want      map[string]string
		releases  int
	}{
		"no scenario": {
			tests: map[string]string{}, releases: 1,
			want: map[string]string{testsSucceeded: "True/Passed", integration: "True/Finished", autoReleased: "True/AutoReleased"},
		},
		"none that applies": {
			scenarios: []client.Object{disabled}, tests: map[string]string{}, releases: 1,
			want: map[string]string{testsSucceeded: "True/Passed", integration: "True/Finished", autoReleased: "True/AutoReleased"},
		},
		"passed": {
			scenarios: []client.Object{scenario("smoke", false)}, status: corev1.ConditionTrue, tests: map[string]string{"smoke": "TestPassed"}, releases: 1,
			want: map[string]string{testsSucceeded: "True/Passed", integration: "True/Finished", autoReleased: "True/AutoReleased"},
		},
		"failed": {
			scenarios: []client.Object{scenario("smoke", false)}, status: corev1.ConditionFalse, tests: map[string]string{"smoke": "TestFail"},
			want: map[string]string{testsSucceeded: "False/Failed", integration: "True/Finished"},
		},
		"an optional one failed": {
			scenarios: []client.Object{scenario("smoke", true)}, status: corev1.ConditionFalse, tests: map[string]string{"smoke": "TestFail"}, releases: 1,
			want: map[string]string{testsSucceeded: "True/Passed", integration: "True/Finished", autoReleased: "True/AutoReleased"},
		},
		"still running": {
			scenarios: []client.Object{scenario("smoke", false)}, tests: map[string]string{"smoke": "InProgress"},
			want: map[string]string{integration: "Unknown/InProgress"},
		},
		"a kind that is not supported": {
			scenarios: []client.Object{unsupported}, tests: map[string]string{"inline": "TestInvalid"},
			want: map[string]string{testsSucceeded: "False/Failed", integration: "True/Finished"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var objects []client.Object
			for _, s := range tc.scenarios {
				objects = append(objects, s.DeepCopyObject().(client.Object))
			}
			w := newWorld(t, &faults.Write{}, objects...)
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

// TestRerun tests again what failed, once for a label, and releases then.
func TestRerun(t *testing.T) {
	for _, wanted := range []string{"smoke", "all"} {
		t.Run(wanted, func(t *testing.T) {
			w := newWorld(t, &faults.Write{}, scenario("smoke", false))
			w.settle()
			w.finish(corev1.ConditionFalse)
			w.settle()
			w.ask(wanted)
			w.settle()
			if got := w.conditions(); len(w.runs()) != 2 || got[integration] != "Unknown/InProgress" || got[testsSucceeded] != "" {
				t.Fatalf("%d runs, conditions %v", len(w.runs()), got)
			}
			if _, ok := w.snapshot().Labels[snapshot.RerunLabel]; ok {
				t.Error("the label is still there")
			}
			w.finish(corev1.ConditionTrue)
			w.settle()
			if got := w.statuses(); got["smoke"] != "TestPassed" || len(w.releases()) != 1 {
				t.Errorf("tests %v, %d Releases", got, len(w.releases()))
			}
		})
	}
}

// TestRerunOfNothing takes the label off, and changes nothing else.
func TestRerunOfNothing(t *testing.T) {
	w := newWorld(t, &faults.Write{}, scenario("smoke", false))
	w.settle()
	w.ask("smoke") // still running
	w.settle()
	w.ask("unknown")
	w.settle()
	if _, ok := w.snapshot().Labels[snapshot.RerunLabel]; ok || len(w.runs()) != 1 {
		t.Errorf("%d runs, labels %v", len(w.runs()), w.snapshot().Labels)
	}
}

func (w *world) ask(scenario string) {
	w.t.Helper()
	s := w.snapshot()
	s.Labels[snapshot.RerunLabel] = scenario
	if err := w.Update(w.t.Context(), s); err != nil {
		w.t.Fatal(err)
	}
}

// TestRunVanishes ends a test whose run is gone, when that is no cache behind.
func TestRunVanishes(t *testing.T) {
	w := newWorld(t, &faults.Write{}, scenario("smoke", false))
	w.settle()
	run := w.runs()[0]
	run.Finalizers = nil
	if err := errors.Join(w.Update(t.Context(), &run), w.Delete(t.Context(), &run)); err != nil {
		t.Fatal(err)
	}
	if result := w.settle(); w.statuses()["smoke"] != snapshot.InProgress || result.RequeueAfter != cacheLag {
		t.Errorf("at once it is %v, and looks again after %v", w.statuses(), result.RequeueAfter)
	}
	w.now += 61
	w.settle()
	if got := w.statuses(); got["smoke"] != snapshot.Deleted {
		t.Errorf("later it is %v", got)
	}
}

// TestDeletedRun is not waited for, nor held.
func TestDeletedRun(t *testing.T) {
	w := newWorld(t, &faults.Write{}, scenario("smoke", false))
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

func TestNoApplication(t *testing.T) {
	w := newWorld(t, &faults.Write{}, scenario("smoke", false))
	if err := w.Delete(t.Context(), &v1alpha1.Application{ObjectMeta: at("shop")}); err != nil {
		t.Fatal(err)
	}
	w.settle()
	c := meta.FindStatusCondition(w.snapshot().Status.Conditions, integration)
	if c == nil || c.Reason != invalid || !strings.Contains(c.Message, `no Application "shop" in namespace dev`) || len(w.runs()) != 0 {
		t.Errorf("condition %v, %d runs", c, len(w.runs()))
	}
}
