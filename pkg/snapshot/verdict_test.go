package snapshot_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
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

func TestDecideRelease(t *testing.T) {
	plan := func(name, label, expression string) v1alpha1.ReleasePlan {
		p := v1alpha1.ReleasePlan{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.ReleasePlanSpec{Application: "shop"}}
		if label != "" {
			p.Labels = map[string]string{snapshot.AutoReleaseKey: label}
		}
		if expression != "" {
			p.Annotations = map[string]string{snapshot.AutoReleaseKey: expression}
		}
		return p
	}
	pushed := func(name, start string) v1alpha1.Snapshot {
		s := labelled(map[string]string{snapshot.TypeLabel: "component", snapshot.ComponentLabel: "web", pacEvent: "push"}, map[string]string{})
		s.Name = name
		if start != "" {
			s.Annotations[snapshot.StartTimeKey] = start
		}
		return *s
	}
	foreign := plan("foreign", "true", "")
	foreign.Spec.Application = "bank"
	other := pushed("other", "9999999999999")
	other.Labels[snapshot.ComponentLabel] = "api"
	pull := pushed("pull", "9999999999999")
	pull.Labels[pacEvent], pull.Labels[pacPR] = "pull_request", "1"
	yes := []v1alpha1.ReleasePlan{plan("a", "true", "")}
	cases := map[string]struct {
		change func(*v1alpha1.Snapshot)
		plans  []v1alpha1.ReleasePlan
		others []v1alpha1.Snapshot
		want   []string
		says   string
	}{
		"plans that want it, and one that does not": {plans: []v1alpha1.ReleasePlan{plan("a", "true", ""), plan("b", "false", ""), plan("c", "", ""), foreign}, want: []string{"a", "c"}, says: "was auto-released"},
		"no plan":               {says: "no ReleasePlans have the 'auto-release' label"},
		"an expression":         {plans: []v1alpha1.ReleasePlan{plan("a", "true", "false")}, says: "not by ReleasePlan a: an expression"},
		"one and an expression": {plans: []v1alpha1.ReleasePlan{plan("a", "true", ""), plan("b", "true", "false")}, want: []string{"a"}, says: "was auto-released; not by ReleasePlan b"},
		"blocked by its label":  {plans: yes, change: func(s *v1alpha1.Snapshot) { s.Labels[snapshot.AutoReleaseKey] = "false" }, says: "label " + snapshot.AutoReleaseKey},
		"a pull request":        {plans: yes, change: func(s *v1alpha1.Snapshot) { s.Labels[pacEvent], s.Labels[pacPR] = "pull_request", "1" }, says: "not of a push"},
		"a group":               {plans: yes, change: func(s *v1alpha1.Snapshot) { s.Labels[snapshot.TypeLabel] = "group" }, says: "not of a push"},
		"the build says no": {plans: yes, change: func(s *v1alpha1.Snapshot) {
			s.Annotations["test.appstudio.openshift.io/result-should-release"] = "false"
		}, says: "SHOULD_RELEASE is false"},
		"a later build":          {plans: yes, others: []v1alpha1.Snapshot{pushed("later", "1741064768000")}, says: "Released in newer Snapshot"},
		"a later one in seconds": {plans: yes, others: []v1alpha1.Snapshot{pushed("later", "1741064768")}, says: "Released in newer Snapshot"},
		"an earlier build":       {plans: yes, others: []v1alpha1.Snapshot{pushed("earlier", "1741064766000"), pushed("unknown", "")}, want: []string{"a"}, says: "was auto-released"},
		"others that are later":  {plans: yes, others: []v1alpha1.Snapshot{other, pull}, want: []string{"a"}, says: "was auto-released"},
		"later, but ignored": {plans: yes, others: []v1alpha1.Snapshot{pushed("later", "1741064768000")}, want: []string{"a"}, says: "was auto-released",
			change: func(s *v1alpha1.Snapshot) { s.Annotations["test.appstudio.openshift.io/ignore-supersession"] = "true" }},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := pushed("shop-1", "1741064767000")
			if tc.change != nil {
				tc.change(&s)
			}
			got := snapshot.DecideRelease(&s, tc.plans, append(tc.others, s))
			if diff := cmp.Diff(tc.want, got.Plans); diff != "" || !strings.Contains(got.Message, tc.says) {
				t.Errorf("it says %q, plans (-want +got):\n%s", got.Message, diff)
			}
		})
	}
}

func TestNewRelease(t *testing.T) {
	s := labelled(map[string]string{snapshot.ComponentLabel: "web"}, nil)
	s.Name = "shop-20250304-050607-000"
	s.Spec.Components = []v1alpha1.SnapshotComponent{{Name: "web", Source: v1alpha1.ComponentSource{Git: &v1alpha1.GitSource{Revision: "ABCDEF0123456789"}}}}
	got := snapshot.NewRelease(s, "ship")
	if !strings.HasPrefix(got.Name, s.Name+"-abcdef0-") || got.Name != snapshot.NewRelease(s, "ship").Name || got.Name == snapshot.NewRelease(s, "other").Name {
		t.Errorf("name %s", got.Name)
	}
	if got.Labels[snapshot.AutomatedLabel] != "true" || got.Spec.Snapshot != s.Name || got.Spec.ReleasePlan != "ship" {
		t.Errorf("%+v", got)
	}
	s.Spec.Components[0].Source.Git.Revision = "feature/x"
	if got := snapshot.NewRelease(s, "ship"); strings.ContainsAny(got.Name, "/") {
		t.Errorf("name %s of a branch", got.Name)
	}
	s.Name = strings.Repeat("a", 63)
	if got := snapshot.NewRelease(s, "ship"); len(got.Name) > 63 {
		t.Errorf("name %s is too long", got.Name)
	}
}
