package snapshot

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// said are the events so far.
func (w *world) said() string {
	var all []string
	for len(w.events.Events) > 0 {
		all = append(all, <-w.events.Events)
	}
	return strings.Join(all, "\n")
}

// TestRerun tests again what failed, once for a label, and releases then.
func TestRerun(t *testing.T) {
	for _, wanted := range []string{"smoke", "all"} {
		t.Run(wanted, func(t *testing.T) {
			w := newWorld(t, interceptor.Funcs{}, scenario("smoke"))
			w.settle()
			w.finish(corev1.ConditionFalse)
			w.settle()
			first := w.test("smoke").Run
			w.ask(wanted)
			w.settle()
			if got := w.conditions(); len(w.runs()) != 2 || got[snapshot.IntegrationCondition] != "Unknown/InProgress" || got[snapshot.TestsSucceededCondition] != "" {
				t.Fatalf("%d runs, conditions %v", len(w.runs()), got)
			}
			if got := w.test("smoke"); got.Run == first || got.CompletionTime != nil || got.Status != snapshot.InProgress {
				t.Errorf("the test is %+v, after run %s", got, first)
			}
			s := w.snapshot()
			if _, ok := s.Labels[snapshot.RerunLabel]; ok || s.Annotations[snapshot.RerunAnnotation] != "Started: smoke" {
				t.Errorf("labels %v, annotations %v", s.Labels, s.Annotations)
			}
			if said := w.said(); said != "Normal Started smoke" {
				t.Errorf("it told %q", said)
			}
			w.finish(corev1.ConditionTrue)
			w.settle()
			if got := w.statuses(); got["smoke"] != "TestPassed" || len(w.releases()) != 1 {
				t.Errorf("tests %v, %d Releases", got, len(w.releases()))
			}
		})
	}
}

// TestRerunOfAnother leaves a failure a failure when something else passes.
func TestRerunOfAnother(t *testing.T) {
	never := scenario("never")
	never.Spec.Contexts = []v1beta2.TestContext{{Name: "disabled"}}
	w := newWorld(t, interceptor.Funcs{}, scenario("smoke"), never)
	w.settle()
	w.finish(corev1.ConditionFalse)
	w.settle()
	w.ask("never")
	w.settle()
	w.finish(corev1.ConditionTrue)
	w.settle()
	if diff := cmp.Diff(map[string]string{"smoke": "TestFail", "never": "TestPassed"}, w.statuses()); diff != "" {
		t.Errorf("tests (-want +got):\n%s", diff)
	}
	if got := w.conditions(); got[snapshot.TestsSucceededCondition] != "False/Failed" || len(w.releases()) != 0 {
		t.Errorf("conditions %v, %d Releases", got, len(w.releases()))
	}
}

// TestRerunOfNothing takes the label off, tells why, and changes nothing else.
func TestRerunOfNothing(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{}, scenario("smoke"))
	w.settle()
	for wanted, want := range map[string]string{"smoke": "AlreadyRunning: smoke has not ended", "all": "AlreadyRunning", "smok": `UnknownScenario: there is no IntegrationTestScenario "smok"`} {
		before := w.conditions()
		w.ask(wanted)
		w.settle()
		s := w.snapshot()
		if _, ok := s.Labels[snapshot.RerunLabel]; ok || len(w.runs()) != 1 || !strings.HasPrefix(s.Annotations[snapshot.RerunAnnotation], want) {
			t.Errorf("%q: %d runs, labels %v, it says %q", wanted, len(w.runs()), s.Labels, s.Annotations[snapshot.RerunAnnotation])
		}
		if said := w.said(); !strings.HasPrefix(said, "Warning "+strings.SplitN(want, ":", 2)[0]) {
			t.Errorf("%q: it told %q", wanted, said)
		}
		if diff := cmp.Diff(before, w.conditions()); diff != "" {
			t.Errorf("%q changed conditions:\n%s", wanted, diff)
		}
	}
}

// inGroup makes the world's Snapshot, and all scenarios, those of a group.
func (w *world) inGroup(graph map[string][]v1beta2.TestGraphNode) {
	w.t.Helper()
	s := w.snapshot()
	s.Spec.Application, s.Spec.ComponentGroup = "", "bundle"
	group := &v1beta2.ComponentGroup{ObjectMeta: at("bundle"), Spec: v1beta2.ComponentGroupSpec{TestGraph: graph}}
	if err := errors.Join(w.Create(w.t.Context(), group), w.Update(w.t.Context(), s)); err != nil {
		w.t.Fatal(err)
	}
	var list v1beta2.IntegrationTestScenarioList
	if err := w.List(w.t.Context(), &list); err != nil {
		w.t.Fatal(err)
	}
	for i := range list.Items {
		list.Items[i].Spec.Application, list.Items[i].Spec.ComponentGroup = "", "bundle"
		if err := w.Update(w.t.Context(), &list.Items[i]); err != nil {
			w.t.Fatal(err)
		}
	}
}

// TestGraph runs the scenarios of a group in order, and those after a failure
// only where it may be overlooked.
func TestGraph(t *testing.T) {
	graph := map[string][]v1beta2.TestGraphNode{
		"deploy": {{Name: "smoke", FailFast: true}}, "load": {{Name: "deploy"}}, "lint": {{Name: "smoke"}},
	}
	names := []string{"smoke", "deploy", "load", "lint"}
	start := func(t *testing.T) *world {
		var objects []client.Object
		for _, name := range names {
			objects = append(objects, scenario(name))
		}
		w := newWorld(t, interceptor.Funcs{}, objects...)
		w.inGroup(graph)
		w.settle()
		want := map[string]string{"smoke": "InProgress", "deploy": "Pending", "load": "Pending", "lint": "Pending"}
		if diff := cmp.Diff(want, w.statuses()); diff != "" || len(w.runs()) != 1 {
			t.Fatalf("%d runs, tests (-want +got):\n%s", len(w.runs()), diff)
		}
		if got := w.test("deploy"); got.Details != "waiting for scenario smoke" || len(got.RunAfter) != 1 || got.RunAfter[0] != "smoke" {
			t.Errorf("deploy is %+v", got)
		}
		return w
	}
	t.Run("passes", func(t *testing.T) {
		w := start(t)
		w.finish(corev1.ConditionTrue)
		w.settle()
		want := map[string]string{"smoke": "TestPassed", "deploy": "InProgress", "load": "Pending", "lint": "InProgress"}
		if diff := cmp.Diff(want, w.statuses()); diff != "" {
			t.Errorf("tests (-want +got):\n%s", diff)
		}
		w.end(corev1.ConditionFalse, "Failed", "", "deploy")
		w.settle()
		if got := w.test("load").Status; got != snapshot.InProgress {
			t.Errorf("after a failure that may be overlooked, load is %s", got)
		}
		w.finish(corev1.ConditionTrue)
		w.settle()
		if got := w.conditions()[snapshot.TestsSucceededCondition]; got != "False/Failed" {
			t.Errorf("the Snapshot is %s", got)
		}
	})
	t.Run("fails", func(t *testing.T) {
		w := start(t)
		w.finish(corev1.ConditionFalse)
		w.settle()
		want := map[string]string{"smoke": "TestFail", "deploy": "TestFail", "load": "TestFail", "lint": "InProgress"}
		if diff := cmp.Diff(want, w.statuses()); diff != "" || len(w.runs()) != 2 {
			t.Errorf("%d runs, tests (-want +got):\n%s", len(w.runs()), diff)
		}
		if got := w.test("deploy").Details; !strings.HasPrefix(got, "cancelled: scenario smoke, which runs before this one, ended with TestFail") {
			t.Errorf("deploy says %q", got)
		}
		if got := w.test("load").Details; !strings.HasPrefix(got, "cancelled: scenario deploy") {
			t.Errorf("load says %q", got)
		}
		// Somebody asks for one of them alone, and then for all, in order.
		w.finish(corev1.ConditionTrue)
		w.settle()
		w.ask("deploy")
		w.settle()
		if got := w.test("deploy").Status; got != snapshot.InProgress {
			t.Errorf("asked for, deploy is %s", got)
		}
		w.finish(corev1.ConditionTrue)
		w.settle()
		w.ask("all")
		w.settle()
		want = map[string]string{"smoke": "InProgress", "deploy": "Pending", "load": "Pending", "lint": "Pending"}
		if diff := cmp.Diff(want, w.statuses()); diff != "" {
			t.Errorf("all again (-want +got):\n%s", diff)
		}
	})
}

// TestRetry makes a run that a resolver failed once more, after a while, and
// says so; what is wrong for good is said at once.
func TestRetry(t *testing.T) {
	const away = "Error retrieving pipeline: resolution took longer than global timeout of 1m0s"
	w := newWorld(t, interceptor.Funcs{}, scenario("smoke"))
	w.settle()
	first := w.test("smoke").Run
	w.end(corev1.ConditionFalse, "CouldntGetPipeline", away)
	result, err := w.reconcile()
	if err != nil || result.RequeueAfter != snapshot.RetryAfter {
		t.Errorf("it looks again after %v, %v", result, err)
	}
	if got := w.test("smoke"); got.Status != snapshot.Pending || !strings.HasPrefix(got.Details, "test run "+first+" was not started, trying once more in 30s: "+away) {
		t.Errorf("it is %+v", got)
	}
	if got := w.conditions()[snapshot.IntegrationCondition]; got != "Unknown/InProgress" {
		t.Errorf("the Snapshot is %s", got)
	}
	w.now += 29
	w.settle()
	if len(w.runs()) != 1 {
		t.Fatalf("%d runs before it is time", len(w.runs()))
	}
	w.now++
	w.settle()
	second := w.test("smoke")
	if len(w.runs()) != 2 || second.Run == first || second.Status != snapshot.InProgress {
		t.Fatalf("%d runs, the test is %+v", len(w.runs()), second)
	}
	w.end(corev1.ConditionFalse, "CouldntGetPipeline", away)
	w.settle()
	w.now += 60
	w.settle()
	got := w.test("smoke")
	if len(w.runs()) != 2 || got.Status != snapshot.TestFail || !strings.HasSuffix(got.Details, "(the second attempt, after "+first+")") {
		t.Errorf("%d runs, the test is %+v", len(w.runs()), got)
	}

	wrong := newWorld(t, interceptor.Funcs{}, scenario("smoke"))
	wrong.settle()
	wrong.end(corev1.ConditionFalse, "CouldntGetPipeline", "could not find object in image with kind: pipeline and name: smoke")
	wrong.settle()
	if got := wrong.test("smoke"); got.Status != snapshot.TestFail || !strings.Contains(got.Details, "could not find object") {
		t.Errorf("what is wrong for good is %+v", got)
	}
}

// TestReferences makes no run of what is no pipeline, and says why.
func TestReferences(t *testing.T) {
	kind := func(s *v1beta2.IntegrationTestScenario) {
		s.Spec.ResolverRef.Params = []v1beta2.ResolverParameter{{Name: "kind", Value: "task"}}
	}
	notFound := func(s *v1beta2.IntegrationTestScenario) {
		s.Status.Conditions = []metav1.Condition{{Type: snapshot.FoundCondition, Status: metav1.ConditionFalse, Reason: snapshot.NotFoundReason}}
	}
	cases := map[string]struct {
		change            func(*v1beta2.IntegrationTestScenario)
		document, failure string // of the resolver, where it is asked
		status, says      string
	}{
		"a Task by its reference":        {kind, "", "", snapshot.TestInvalid, "spec.resolverRef refers to a task: refer to a Pipeline"},
		"a run":                          {runReference, manifest, "", snapshot.InProgress, ""},
		"a Task instead of a run":        {runReference, "{apiVersion: tekton.dev/v1, kind: Task}", "", snapshot.TestInvalid, "leads to a tekton.dev/v1 Task"},
		"nothing instead of a run":       {runReference, "", "file does not exist", snapshot.TestInvalid, "was not found: file does not exist"},
		"a Task where it was before":     {notFound, "{apiVersion: tekton.dev/v1, kind: Task}", "", snapshot.TestInvalid, "leads to a tekton.dev/v1 Task"},
		"nothing where nothing was":      {notFound, "", "file does not exist", snapshot.TestInvalid, "was not found: file does not exist"},
		"a Pipeline where nothing was":   {notFound, "{apiVersion: tekton.dev/v1, kind: Pipeline}", "", snapshot.InProgress, ""},
		"nobody asked before the answer": {runReference, "", "", snapshot.Pending, "resolver bundles is looking for it"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, interceptor.Funcs{}, scenario("smoke", tc.change))
			w.settle()
			if tc.document+tc.failure != "" {
				if len(w.requests()) != 1 || len(w.runs()) != 0 {
					t.Fatalf("%d requests, %d runs", len(w.requests()), len(w.runs()))
				}
				w.answer(tc.document, "ResolutionFailed", tc.failure)
				w.settle()
			}
			got, runs := w.test("smoke"), w.runs()
			if got.Status != tc.status || !strings.Contains(got.Details, tc.says) || (len(runs) == 1) != (tc.status == snapshot.InProgress) {
				t.Errorf("%d runs, the test is %+v", len(runs), got)
			}
			if left := len(w.requests()); left != 0 && tc.status != snapshot.Pending {
				t.Errorf("%d requests are left", left)
			}
			if tc.status != snapshot.InProgress {
				return
			}
			if run := runs[0]; strings.Contains(name, "run") && (run.Spec.TaskRunTemplate.ServiceAccountName != "tester" || run.Labels["own"] != "label" || run.Spec.PipelineSpec == nil) {
				t.Errorf("the run is %+v", run)
			}
			s := &v1beta2.IntegrationTestScenario{}
			if err := w.Get(t.Context(), client.ObjectKey{Namespace: "dev", Name: "smoke"}, s); err != nil || snapshot.NotFound(s) {
				t.Errorf("the scenario still says that nothing was found: %v, %v", s.Status, err)
			}
		})
	}
}

// TestLargeSnapshot tests a thousand components, and warns of it once.
func TestLargeSnapshot(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{}, scenario("smoke"))
	s := w.snapshot()
	for i := range 1000 {
		s.Spec.Components = append(s.Spec.Components, v1alpha1.SnapshotComponent{
			Name: fmt.Sprintf("c%d", i), ContainerImage: "registry.test/shop/component@sha256:" + strings.Repeat("0", 64),
		})
	}
	if err := w.Update(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		w.settle()
		w.finish(corev1.ConditionTrue)
		w.settle()
		w.ask("smoke")
	}
	for _, run := range w.runs() {
		if got := run.Spec.Params[0].Value.StringVal; got != "shop-1" || run.Annotations[snapshot.ParamAsName] != "true" {
			t.Errorf("run %s gets %d bytes", run.Name, len(got))
		}
	}
	scenario := &v1beta2.IntegrationTestScenario{}
	if err := w.Get(t.Context(), client.ObjectKey{Namespace: "dev", Name: "smoke"}, scenario); err != nil {
		t.Fatal(err)
	}
	c := meta.FindStatusCondition(scenario.Status.Conditions, snapshot.ParamCondition)
	if c == nil || c.Reason != snapshot.PassedByNameReason || !strings.Contains(c.Message, "Snapshot shop-1 is ") {
		t.Errorf("condition %+v", c)
	}
	if said := w.said(); strings.Count(said, "Warning PassedByName") != 1 {
		t.Errorf("it told %q", said)
	}
}

// TestScenarioDeleted waits for no scenario that is gone.
func TestScenarioDeleted(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{}, scenario("smoke"), scenario("gone", runReference))
	w.settle()
	if err := w.Delete(t.Context(), scenario("gone")); err != nil {
		t.Fatal(err)
	}
	w.finish(corev1.ConditionTrue)
	w.settle()
	if diff := cmp.Diff(map[string]string{"smoke": "TestPassed"}, w.statuses()); diff != "" || len(w.releases()) != 1 || len(w.requests()) != 0 {
		t.Errorf("%d Releases, %d requests, tests (-want +got):\n%s", len(w.releases()), len(w.requests()), diff)
	}
}

// TestOverrideWaits starts no test of what somebody made until it is checked.
func TestOverrideWaits(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{}, scenario("smoke"))
	s := w.snapshot()
	s.Labels = map[string]string{snapshot.TypeLabel: snapshot.OverrideType}
	if err := w.Update(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if len(w.runs()) != 0 || w.conditions()[snapshot.TestsSucceededCondition] != "" {
		t.Errorf("%d runs, conditions %v", len(w.runs()), w.conditions())
	}
	s = w.snapshot()
	metav1.SetMetaDataAnnotation(&s.ObjectMeta, snapshot.CandidateKey, `{"result":true}`)
	if err := w.Update(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if len(w.runs()) != 1 {
		t.Errorf("%d runs when it is checked", len(w.runs()))
	}
}
