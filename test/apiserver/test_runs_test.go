//go:build apiserver

package apiserver_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

const runFinalizer = "test.appstudio.openshift.io/pipelinerun"

// scenarioOf is a scenario by its name, and what a test wants of it.
func scenarioOf(ns, name string, change ...func(*v1beta2.IntegrationTestScenario)) *v1beta2.IntegrationTestScenario {
	s := testScenario(ns)
	s.Name = name
	for _, c := range change {
		c(s)
	}
	return s
}

func isOptional(s *v1beta2.IntegrationTestScenario) { s.Labels[snapshot.OptionalLabel] = "true" }

// runOf waits for the newest run of a scenario, which is not the one before.
func runOf(t *testing.T, c client.Client, ns, scenario, before string) *tektonv1.PipelineRun {
	t.Helper()
	var found *tektonv1.PipelineRun
	eventually(t, "waiting for a run of scenario "+scenario, func() error {
		for _, run := range runs(t, c, ns) {
			if run.Labels["test.appstudio.openshift.io/scenario"] == scenario && !run.IsDone() && run.Name != before {
				found = &run
				return nil
			}
		}
		return fmt.Errorf("there is none after %q", before)
	})
	return found
}

// found plays Tekton: a run ends whose one task found what output says.
func found(t *testing.T, c client.Client, run *tektonv1.PipelineRun, result string) {
	t.Helper()
	task := &tektonv1.TaskRun{ObjectMeta: meta(run.Namespace, run.Name+"-check"), Spec: tektonv1.TaskRunSpec{TaskRef: &tektonv1.TaskRef{Name: "check"}}}
	task.Labels["tekton.dev/pipelineRun"], task.Labels["tekton.dev/pipelineTask"] = run.Name, "check"
	create(t, c, task)
	task.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionTrue, Reason: "Succeeded"})
	task.Status.Results = []tektonv1.TaskRunResult{{Name: "TEST_OUTPUT", Type: tektonv1.ResultsTypeString, Value: *tektonv1.NewStructuredValues(
		`{"result":"` + result + `","timestamp":"2026-01-02T03:04:05Z","note":"what was found","successes":1,"failures":0,"warnings":0}`,
	)}}
	if err := c.Status().Update(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	child := tektonv1.ChildStatusReference{Name: task.Name, PipelineTaskName: "check"}
	child.APIVersion, child.Kind = "tekton.dev/v1", "TaskRun"
	eventually(t, "naming the task of "+run.Name, func() error {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(run), run); err != nil {
			return err
		}
		run.Status.ChildReferences = []tektonv1.ChildStatusReference{child}
		return c.Status().Update(t.Context(), run)
	})
	finish(t, c, run, corev1.ConditionTrue, nil)
}

// line is a scenario in the Snapshot's annotation, as others parse it.
type line struct {
	Scenario       string `json:"scenario"`
	Status         string `json:"status"`
	LastUpdateTime string `json:"lastUpdateTime"`
	Details        string `json:"details"`
	StartTime      string `json:"startTime"`
	CompletionTime string `json:"completionTime"`
	Run            string `json:"testPipelineRunName"`
	Optional       bool   `json:"isOptionalScenario"`
}

func lines(t *testing.T, c client.Client, s *v1alpha1.Snapshot) map[string]line {
	t.Helper()
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(s), s); err != nil {
		t.Fatal(err)
	}
	var all []line
	if text := s.Annotations["test.appstudio.openshift.io/status"]; text != "" {
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			t.Fatal(err)
		}
	}
	byName := map[string]line{}
	for _, l := range all {
		byName[l.Scenario] = l
	}
	return byName
}

// statusesAre waits until the annotation says what is wanted, and no more.
func statusesAre(t *testing.T, c client.Client, s *v1alpha1.Snapshot, want map[string]string) map[string]line {
	t.Helper()
	var all map[string]line
	eventually(t, "the tests of Snapshot "+s.Name, func() error {
		all = lines(t, c, s)
		got := map[string]string{}
		for name, l := range all {
			got[name] = l.Status
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("(-want +got):\n%s\n%+v", diff, all)
		}
		return nil
	})
	return all
}

// letGoOf waits until no test run is held.
func letGoOf(t *testing.T, c client.Client, ns string) {
	t.Helper()
	eventually(t, "no test run is held", func() error {
		for _, run := range runs(t, c, ns) {
			if run.Labels["pipelines.appstudio.openshift.io/type"] == "test" && slices.Contains(run.Finalizers, runFinalizer) {
				return fmt.Errorf("run %s is held by %v", run.Name, run.Finalizers)
			}
		}
		return nil
	})
}

// TestScenariosOfAPush tests what was pushed: each scenario that applies gets
// a run that can be told by its labels, an optional failure and a warning let
// the Snapshot pass, one that does not apply is not there, and no run is held
// when all is written down. Journeys A10, C2, C3 and C8.
func TestScenariosOfAPush(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	pulls := scenarioOf(ns, "pulls", func(s *v1beta2.IntegrationTestScenario) {
		s.Spec.Contexts = []v1beta2.TestContext{{Name: "pull_request"}}
	})
	create(t, c, application(ns), component(ns, "web"), scenarioOf(ns, "smoke"), scenarioOf(ns, "soak", isOptional), pulls)
	var p controllers
	p.proofs.there.Store(true)
	p.start(t)
	build := buildRun(ns, "web-build", "web")
	build.Labels["custom.appstudio.openshift.io/team"] = "a"
	create(t, c, build)
	finish(t, c, build, corev1.ConditionTrue, built())
	s := oneSnapshot(t, c, ns)

	smoke := runOf(t, c, ns, "smoke", "")
	for key, want := range map[string]string{
		"pipelines.appstudio.openshift.io/type": "test", "appstudio.openshift.io/snapshot": s.Name, "appstudio.openshift.io/application": app,
		"appstudio.openshift.io/component": "web", "test.appstudio.openshift.io/scenario": "smoke", "test.appstudio.openshift.io/optional": "false",
		"custom.appstudio.openshift.io/team": "a",
	} {
		if smoke.Labels[key] != want {
			t.Errorf("label %s of the run is %q, want %q", key, smoke.Labels[key], want)
		}
	}
	owner := metav1.GetControllerOf(smoke)
	if owner == nil || owner.UID != s.UID || !slices.Contains(smoke.Finalizers, runFinalizer) || smoke.GenerateName != "smoke-" ||
		smoke.Spec.TaskRunTemplate.ServiceAccountName != "konflux-integration-runner" {
		t.Errorf("the run is %+v", smoke.ObjectMeta)
	}
	var spec v1alpha1.SnapshotSpec
	if param := smoke.Spec.Params[0]; param.Name != "SNAPSHOT" || json.Unmarshal([]byte(param.Value.StringVal), &spec) != nil || !cmp.Equal(spec, s.Spec) {
		t.Errorf("param %s is %s", param.Name, param.Value.StringVal)
	}
	statusesAre(t, c, s, map[string]string{"smoke": "InProgress", "soak": "InProgress"})
	eventually(t, "the Snapshot is tested", func() error {
		return conditionIs(t, c, s, "AppStudioIntegrationStatus", metav1.ConditionUnknown, "InProgress")
	})

	p.restart(t)
	finish(t, c, runOf(t, c, ns, "soak", ""), corev1.ConditionFalse, nil)
	found(t, c, smoke, "WARNING")
	all := statusesAre(t, c, s, map[string]string{"smoke": "TestWarning", "soak": "TestFail"})
	if l := all["smoke"]; l.Run != smoke.Name || l.Optional || l.StartTime == "" || l.CompletionTime == "" || !strings.Contains(l.Details, "what was found") {
		t.Errorf("smoke is %+v", l)
	}
	if l := all["soak"]; !l.Optional || l.LastUpdateTime == "" {
		t.Errorf("soak is %+v", l)
	}
	for kind, want := range map[string]string{"AppStudioTestSucceeded": "Passed", "AppStudioIntegrationStatus": "Finished"} {
		eventually(t, "the Snapshot passes", func() error { return conditionIs(t, c, s, kind, metav1.ConditionTrue, want) })
	}
	letGoOf(t, c, ns)
	if len(s.Status.TestResults) != 2 || s.Status.TestResults[0].PipelineRun == "" {
		t.Errorf("the status has %+v", s.Status.TestResults)
	}
}

// TestFailedScenarioIsRunAgain fails a Snapshot whatever else passes, releases
// nothing, and releases when what failed is run again. Journeys C5 and C6.
func TestFailedScenarioIsRunAgain(t *testing.T) {
	c := newClient(t)
	ns, managed := namespace(t, c), namespace(t, c)
	create(t, c, application(ns), scenarioOf(ns, "smoke"), scenarioOf(ns, "soak"), plan(ns, managed))
	var p controllers
	p.start(t)
	s := snapshotOf(ns)
	create(t, c, s)
	first := runOf(t, c, ns, "smoke", "")
	found(t, c, first, "FAILURE")
	statusesAre(t, c, s, map[string]string{"smoke": "TestFail", "soak": "InProgress"})
	finish(t, c, runOf(t, c, ns, "soak", ""), corev1.ConditionTrue, nil)
	statusesAre(t, c, s, map[string]string{"smoke": "TestFail", "soak": "TestPassed"})
	failed := func() error { return conditionIs(t, c, s, "AppStudioTestSucceeded", metav1.ConditionFalse, "Failed") }
	eventually(t, "the Snapshot fails", failed)
	if all := releases(t, c, ns); len(all) != 0 {
		t.Errorf("Release %s of a Snapshot that failed", all[0].Name)
	}

	ask := func(scenario string) {
		t.Helper()
		eventually(t, "asking for "+scenario, func() error {
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(s), s); err != nil {
				return err
			}
			metav1.SetMetaDataLabel(&s.ObjectMeta, "test.appstudio.openshift.io/run", scenario)
			return c.Update(t.Context(), s)
		})
		eventually(t, "the label goes", func() error {
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(s), s); err != nil {
				return err
			}
			if _, ok := s.Labels["test.appstudio.openshift.io/run"]; ok {
				return fmt.Errorf("it is there")
			}
			return nil
		})
	}
	ask("smok")
	if got := s.Annotations[snapshot.RerunAnnotation]; !strings.HasPrefix(got, "UnknownScenario: ") {
		t.Errorf("of a scenario that nobody knows it says %q", got)
	}
	eventually(t, "an event tells so", func() error {
		var list corev1.EventList
		if err := c.List(t.Context(), &list, client.InNamespace(ns)); err != nil {
			return err
		}
		for _, e := range list.Items {
			if e.Reason == "UnknownScenario" && e.InvolvedObject.Name == s.Name {
				return nil
			}
		}
		return fmt.Errorf("%d others do not", len(list.Items))
	})
	if err := failed(); err != nil {
		t.Error(err)
	}
	ask("soak")
	finish(t, c, runOf(t, c, ns, "soak", ""), corev1.ConditionTrue, nil)
	statusesAre(t, c, s, map[string]string{"smoke": "TestFail", "soak": "TestPassed"})
	eventually(t, "the Snapshot fails still", failed)

	ask("smoke")
	again := runOf(t, c, ns, "smoke", first.Name)
	if l := statusesAre(t, c, s, map[string]string{"smoke": "InProgress", "soak": "TestPassed"})["smoke"]; l.Run != again.Name || l.CompletionTime != "" {
		t.Errorf("smoke is %+v, want run %s", l, again.Name)
	}
	eventually(t, "the Snapshot is tested", func() error {
		return conditionIs(t, c, s, "AppStudioIntegrationStatus", metav1.ConditionUnknown, "InProgress")
	})
	found(t, c, again, "SUCCESS")
	oneRelease(t, c, ns)
	letGoOf(t, c, ns)
}
