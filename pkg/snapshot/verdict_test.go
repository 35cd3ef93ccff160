package snapshot_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

func output(result string) string {
	return `{"result":"` + result + `","timestamp":"2025-03-04T05:06:07Z","note":"see log","successes":1,"failures":0,"warnings":0}`
}

func TestVerdict(t *testing.T) {
	const yes, no, open = corev1.ConditionTrue, corev1.ConditionFalse, corev1.ConditionUnknown
	cases := map[string]struct {
		status  corev1.ConditionStatus
		outputs []string // of one task each; empty is none
		gone    int
		want    string
		details string
	}{
		"still running":               {status: open, want: snapshot.InProgress, details: "smoke-1 is in progress"},
		"no outputs":                  {status: yes, outputs: []string{""}, want: snapshot.TestPassed},
		"success and skipped":         {status: yes, outputs: []string{output("SUCCESS"), output("SKIPPED")}, want: snapshot.TestPassed},
		"a warning":                   {status: yes, outputs: []string{output("SUCCESS"), output("WARNING")}, want: snapshot.TestWarning, details: "see log"},
		"a failure among others":      {status: yes, outputs: []string{output("WARNING"), output("FAILURE"), output("SUCCESS")}, want: snapshot.TestFail, details: "FAILURE (see log)"},
		"an error":                    {status: yes, outputs: []string{output("ERROR")}, want: snapshot.TestFail, details: "ERROR"},
		"a result nobody knows":       {status: yes, outputs: []string{output("FINE")}, want: snapshot.TestFail, details: "Invalid result: task t0"},
		"no JSON":                     {status: yes, outputs: []string{"SUCCESS"}, want: snapshot.TestFail, details: "Invalid result"},
		"counts are missing":          {status: yes, outputs: []string{`{"result":"SUCCESS","timestamp":"2025-03-04T05:06:07Z"}`}, want: snapshot.TestFail, details: "Invalid result"},
		"tasks were collected":        {status: yes, outputs: []string{output("SUCCESS")}, gone: 2, want: snapshot.TestInvalid, details: "2 of the 3 TaskRuns"},
		"failed, timed out, canceled": {status: no, want: snapshot.TestFail, details: "what Tekton says"},
		"failed with good outputs":    {status: no, outputs: []string{output("SUCCESS")}, want: snapshot.TestFail, details: "what Tekton says"},
		"failed with a finding":       {status: no, outputs: []string{output("FAILURE")}, want: snapshot.TestFail, details: "what Tekton says: t0: FAILURE"},
	}
	for name, tc := range cases {
		for _, result := range []string{"TEST_OUTPUT", "HACBS_TEST_OUTPUT"} {
			t.Run(name+", "+result, func(t *testing.T) {
				var tasks []tektonv1.TaskRun
				for i, text := range tc.outputs {
					task := tektonv1.TaskRun{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"tekton.dev/pipelineTask": "t" + string(rune('0'+i))}}}
					if text != "" {
						task.Status.Results = []tektonv1.TaskRunResult{{Name: result, Value: *tektonv1.NewStructuredValues(text)}}
					}
					tasks = append(tasks, task)
				}
				status, details := snapshot.Verdict(testRun(tc.status, "what Tekton says", len(tasks)+tc.gone), tasks)
				if status != tc.want || !strings.Contains(details, tc.details) {
					t.Errorf("Verdict() = %s, %q, want %s with %q", status, details, tc.want, tc.details)
				}
			})
		}
	}
}

func TestOutcome(t *testing.T) {
	test := func(scenario, status string, optional bool) snapshot.Test {
		return snapshot.Test{Scenario: scenario, Status: status, Details: "why", Optional: optional}
	}
	cases := map[string]struct {
		tests            snapshot.Tests
		finished, passed bool
		message          string
	}{
		"no scenario":                   {finished: true, passed: true, message: "All Integration Pipeline tests passed"},
		"passed and warned":             {tests: snapshot.Tests{test("a", snapshot.TestPassed, false), test("b", snapshot.TestWarning, false)}, finished: true, passed: true, message: "All Integration"},
		"one is open":                   {tests: snapshot.Tests{test("a", snapshot.TestPassed, false), test("b", snapshot.InProgress, false)}, message: "waiting for: b"},
		"one failed, one is open":       {tests: snapshot.Tests{test("a", snapshot.TestFail, false), test("b", snapshot.Pending, false)}, message: "waiting for: b"},
		"one failed":                    {tests: snapshot.Tests{test("a", snapshot.TestFail, false), test("b", snapshot.TestPassed, false)}, finished: true, message: "failed: a (TestFail: why)"},
		"one could not run":             {tests: snapshot.Tests{test("a", snapshot.TestInvalid, false)}, finished: true, message: "a (TestInvalid"},
		"one was deleted":               {tests: snapshot.Tests{test("a", snapshot.Deleted, false)}, finished: true, message: "a (Deleted"},
		"an optional one failed":        {tests: snapshot.Tests{test("a", snapshot.TestFail, true)}, finished: true, passed: true, message: "All Integration"},
		"an optional one is still open": {tests: snapshot.Tests{test("a", snapshot.InProgress, true)}, finished: true, passed: true, message: "All Integration"},
		"a status nobody knows":         {tests: snapshot.Tests{test("a", "Fine", false)}, finished: true, message: "a (Fine"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			finished, passed, message := tc.tests.Outcome()
			if finished != tc.finished || passed != tc.passed || !strings.Contains(message, tc.message) {
				t.Errorf("Outcome() = %t, %t, %q", finished, passed, message)
			}
		})
	}
}

// TestStatusAnnotation is what others parse.
func TestStatusAnnotation(t *testing.T) {
	start := time.Date(2025, 3, 4, 5, 6, 7, 0, time.UTC)
	tests := snapshot.Tests{
		{Scenario: "a", Status: snapshot.Pending, LastUpdateTime: start.Add(time.Nanosecond)},
		{Scenario: "b", Status: snapshot.TestPassed, LastUpdateTime: start, Details: "good", StartTime: &start, CompletionTime: &start, Run: "b-1", Optional: true},
	}
	want := `[{"scenario":"a","status":"Pending","lastUpdateTime":"2025-03-04T05:06:07.000000001Z","details":""},` +
		`{"scenario":"b","status":"TestPassed","lastUpdateTime":"2025-03-04T05:06:07Z","details":"good","startTime":"2025-03-04T05:06:07Z",` +
		`"completionTime":"2025-03-04T05:06:07Z","testPipelineRunName":"b-1","isOptionalScenario":true}]`
	if diff := cmp.Diff(want, tests.String()); diff != "" {
		t.Errorf("String() (-want +got):\n%s", diff)
	}
	got, err := snapshot.ParseTests(want)
	if diff := cmp.Diff(tests, got); err != nil || diff != "" {
		t.Errorf("ParseTests(): %v\n%s", err, diff)
	}
	if _, err := snapshot.ParseTests("{"); err == nil || !strings.Contains(err.Error(), snapshot.StatusAnnotation) {
		t.Errorf("ParseTests() = %v", err)
	}
}

func TestNewTestRun(t *testing.T) {
	scenario := &v1beta2.IntegrationTestScenario{
		ObjectMeta: metav1.ObjectMeta{Name: "smoke", Labels: map[string]string{snapshot.OptionalLabel: "true"}, Annotations: map[string]string{
			snapshot.PipelineTimeout: "10m", snapshot.TasksTimeout: "30m", snapshot.FinallyTimeout: "soon",
		}},
		Spec: v1beta2.IntegrationTestScenarioSpec{Application: "shop",
			ResolverRef: v1beta2.ResolverRef{Resolver: "bundles", Params: []v1beta2.ResolverParameter{{Name: "name", Value: "p"}}},
			Params:      []v1beta2.PipelineParameter{{Name: "one", Value: "1"}, {Name: "list", Values: []string{"a", "b"}}},
		},
	}
	s := labelled(map[string]string{snapshot.TypeLabel: "component", snapshot.ComponentLabel: "web", snapshot.RerunLabel: "smoke"},
		map[string]string{snapshot.StatusAnnotation: "[]", "build.appstudio.redhat.com/commit": "abc"})
	run, err := snapshot.NewTestRun(scenario, s, "")
	if err != nil {
		t.Fatal(err)
	}
	want := tektonv1.PipelineRunSpec{
		PipelineRef: &tektonv1.PipelineRef{ResolverRef: tektonv1.ResolverRef{Resolver: "bundles",
			Params: tektonv1.Params{{Name: "name", Value: *tektonv1.NewStructuredValues("p")}}}},
		Params: tektonv1.Params{
			{Name: "SNAPSHOT", Value: run.Spec.Params[0].Value}, // see below
			{Name: "one", Value: *tektonv1.NewStructuredValues("1")},
			{Name: "list", Value: tektonv1.ParamValue{Type: tektonv1.ParamTypeArray, ArrayVal: []string{"a", "b"}}},
		},
		TaskRunTemplate: tektonv1.PipelineTaskRunTemplate{ServiceAccountName: "konflux-integration-runner"},
		Timeouts:        &tektonv1.TimeoutFields{Pipeline: &metav1.Duration{Duration: 30 * time.Minute}, Tasks: &metav1.Duration{Duration: 30 * time.Minute}},
	}
	if diff := cmp.Diff(want, run.Spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	if text := run.Spec.Params[0].Value.StringVal; !strings.HasPrefix(text, `{"application":"shop"`) {
		t.Errorf("SNAPSHOT is %s", text)
	}
	wantLabels := map[string]string{
		"pipelines.appstudio.openshift.io/type": "test", "appstudio.openshift.io/snapshot": "shop-1", "appstudio.openshift.io/application": "shop",
		"appstudio.openshift.io/component": "web", "test.appstudio.openshift.io/scenario": "smoke", "test.appstudio.openshift.io/optional": "true",
		"test.appstudio.openshift.io/type": "component",
	}
	if diff := cmp.Diff(wantLabels, run.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if run.Annotations[snapshot.StatusAnnotation] != "" || run.Annotations["build.appstudio.redhat.com/commit"] != "abc" {
		t.Errorf("annotations %v", run.Annotations)
	}
	same, _ := snapshot.NewTestRun(scenario, s, "")
	next, _ := snapshot.NewTestRun(scenario, s, run.Name)
	if same.Name != run.Name || next.Name == run.Name || len(run.Name) > 63 {
		t.Errorf("names %s, %s again, %s after it", run.Name, same.Name, next.Name)
	}
	scenario.Annotations = map[string]string{snapshot.ParamAsName: "true"}
	named, _ := snapshot.NewTestRun(scenario, s, "")
	if got := named.Spec.Params[0].Value.StringVal; got != "shop-1" || named.Spec.Timeouts != nil {
		t.Errorf("SNAPSHOT is %q, timeouts %v", got, named.Spec.Timeouts)
	}
}
