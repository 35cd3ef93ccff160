package snapshot_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

func smoke(annotations map[string]string) *v1beta2.IntegrationTestScenario {
	return &v1beta2.IntegrationTestScenario{
		ObjectMeta: metav1.ObjectMeta{Name: "smoke", Labels: map[string]string{snapshot.OptionalLabel: "true"}, Annotations: annotations},
		Spec: v1beta2.IntegrationTestScenarioSpec{Application: "shop",
			ResolverRef: v1beta2.ResolverRef{Resolver: "bundles", Params: []v1beta2.ResolverParameter{{Name: "name", Value: "p"}}},
			Params:      []v1beta2.PipelineParameter{{Name: "one", Value: "1"}, {Name: "list", Values: []string{"a", "b"}}},
		},
	}
}

func text(s string) tektonv1.ParamValue { return *tektonv1.NewStructuredValues(s) }

func TestRunOfScenario(t *testing.T) {
	s := labelled(map[string]string{
		snapshot.TypeLabel: "component", snapshot.ComponentLabel: "web", snapshot.RerunLabel: "smoke", "custom.appstudio.openshift.io/team": "a", "mine": "b",
	}, map[string]string{
		snapshot.StatusAnnotation: "[]", snapshot.RerunAnnotation: "Started: smoke", "build.appstudio.redhat.com/commit": "abc",
		"tekton.dev/pipelinerunSpanContext": "{}", "pac.test.appstudio.openshift.io/sha": "abc",
	})
	scenario := smoke(map[string]string{
		snapshot.PipelineTimeout: "10m", snapshot.TasksTimeout: "30m", snapshot.FinallyTimeout: "soon", "note.appstudio.openshift.io/x": "y", "other": "z",
	})
	run := snapshot.Attempt{Scenario: scenario, Snapshot: s, Defaults: snapshot.Defaults{LogURL: "https://console.test/ns/{{NAMESPACE}}/run/{{PIPELINE_RUN_NAME}}"}}.Run()
	spec, err := json.Marshal(s.Spec)
	if err != nil {
		t.Fatal(err)
	}
	want := tektonv1.PipelineRunSpec{
		PipelineRef: &tektonv1.PipelineRef{ResolverRef: tektonv1.ResolverRef{Resolver: "bundles", Params: tektonv1.Params{{Name: "name", Value: text("p")}}}},
		Params: tektonv1.Params{
			{Name: "SNAPSHOT", Value: text(string(spec))}, {Name: "one", Value: text("1")},
			{Name: "list", Value: tektonv1.ParamValue{Type: tektonv1.ParamTypeArray, ArrayVal: []string{"a", "b"}}},
		},
		TaskRunTemplate: tektonv1.PipelineTaskRunTemplate{ServiceAccountName: "konflux-integration-runner"},
		Timeouts:        &tektonv1.TimeoutFields{Pipeline: &metav1.Duration{Duration: 30 * time.Minute}, Tasks: &metav1.Duration{Duration: 30 * time.Minute}},
	}
	if diff := cmp.Diff(want, run.Spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	wantMeta := metav1.ObjectMeta{
		Namespace: "dev", Name: run.Name, GenerateName: "smoke-", Finalizers: []string{"test.appstudio.openshift.io/pipelinerun"},
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(s, v1alpha1.GroupVersion.WithKind("Snapshot"))},
		Labels: map[string]string{
			"pipelines.appstudio.openshift.io/type": "test", "appstudio.openshift.io/snapshot": "shop-1", "appstudio.openshift.io/application": "shop",
			"appstudio.openshift.io/component": "web", "test.appstudio.openshift.io/scenario": "smoke", "test.appstudio.openshift.io/optional": "true",
			"test.appstudio.openshift.io/type": "component", "custom.appstudio.openshift.io/team": "a",
		},
		Annotations: map[string]string{
			"build.appstudio.redhat.com/commit": "abc", "tekton.dev/pipelinerunSpanContext": "{}", "pac.test.appstudio.openshift.io/sha": "abc",
			snapshot.PipelineTimeout: "10m", snapshot.TasksTimeout: "30m", snapshot.FinallyTimeout: "soon", "note.appstudio.openshift.io/x": "y",
			"pac.test.appstudio.openshift.io/log-url": "https://console.test/ns/dev/run/" + run.Name,
		},
	}
	if diff := cmp.Diff(wantMeta, run.ObjectMeta); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}

	again := snapshot.Attempt{Scenario: scenario, Snapshot: s}.Run()
	next := snapshot.Attempt{Scenario: scenario, Snapshot: s, Previous: run.Name, Retry: true}.Run()
	if again.Name != run.Name || next.Name == run.Name || len(run.Name) > 63 || !strings.HasPrefix(run.Name, "smoke-") {
		t.Errorf("names %s, %s again, %s after it", run.Name, again.Name, next.Name)
	}
	if next.Annotations[snapshot.RetryAnnotation] != run.Name || again.Annotations[snapshot.RetryAnnotation] != "" {
		t.Errorf("the retry is marked %v, the first %v", next.Annotations, again.Annotations)
	}

	group := labelled(nil, nil)
	group.Spec.Application, group.Spec.ComponentGroup = "", "shop"
	if of := (snapshot.Attempt{Scenario: scenario, Snapshot: group}).Run().Labels; of[snapshot.ComponentGroupLabel] != "shop" || of[snapshot.ApplicationLabel] != "" || of[snapshot.ComponentLabel] != "" {
		t.Errorf("labels %v of a group's run", of)
	}
}

// TestRunFromTemplate keeps what a run that is referred to says, but what the
// service has to say.
func TestRunFromTemplate(t *testing.T) {
	template := &tektonv1.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{
			Name: "mine", Namespace: "elsewhere", Labels: map[string]string{"own": "label", snapshot.ScenarioLabel: "another"},
			Finalizers: []string{"mine"}, OwnerReferences: []metav1.OwnerReference{{Name: "me"}},
		},
		Spec: tektonv1.PipelineRunSpec{
			PipelineSpec:    &tektonv1.PipelineSpec{},
			Params:          tektonv1.Params{{Name: "SNAPSHOT", Value: text("mine")}, {Name: "own", Value: text("v")}, {Name: "one", Value: text("2")}},
			TaskRunTemplate: tektonv1.PipelineTaskRunTemplate{ServiceAccountName: "tester"},
			Timeouts:        &tektonv1.TimeoutFields{Pipeline: &metav1.Duration{Duration: time.Minute}},
			Status:          tektonv1.PipelineRunSpecStatusPending,
		},
	}
	run := snapshot.Attempt{
		Scenario: smoke(nil), Snapshot: labelled(nil, nil), Template: template, Defaults: snapshot.Defaults{Pipeline: time.Hour, Tasks: time.Second},
	}.Run()
	if run.Namespace != "dev" || run.GenerateName != "smoke-" || len(run.OwnerReferences) != 1 || run.OwnerReferences[0].Name != "shop-1" ||
		len(run.Finalizers) != 1 || run.Finalizers[0] != snapshot.RunFinalizer {
		t.Errorf("metadata %+v", run.ObjectMeta)
	}
	if run.Labels["own"] != "label" || run.Labels[snapshot.ScenarioLabel] != "smoke" {
		t.Errorf("labels %v", run.Labels)
	}
	got := map[string]string{}
	for _, p := range run.Spec.Params {
		got[p.Name] = p.Value.StringVal
	}
	if !strings.Contains(got["SNAPSHOT"], `"application":"shop"`) || got["own"] != "v" || got["one"] != "1" || len(run.Spec.Params) != 4 {
		t.Errorf("params %v", got)
	}
	if run.Spec.TaskRunTemplate.ServiceAccountName != "tester" || run.Spec.PipelineSpec == nil || run.Spec.PipelineRef != nil || run.Spec.Status != "" {
		t.Errorf("spec %+v", run.Spec)
	}
	if p, of := run.Spec.Timeouts.Pipeline.Duration, run.Spec.Timeouts.Tasks.Duration; p != time.Minute || of != time.Second {
		t.Errorf("timeouts %v, %v", p, of)
	}
}

func TestTimeouts(t *testing.T) {
	const hour = time.Hour
	cases := map[string]struct {
		annotations              [3]string // pipeline, tasks, finally
		defaults                 snapshot.Defaults
		pipeline, tasks, finally time.Duration // 0 for none
	}{
		"none":                           {},
		"those of the installation":      {defaults: snapshot.Defaults{Pipeline: 6 * hour, Tasks: 4 * hour, Finally: 2 * hour}, pipeline: 6 * hour, tasks: 4 * hour, finally: 2 * hour},
		"the scenario's before those":    {annotations: [3]string{"8h", "", "1h"}, defaults: snapshot.Defaults{Pipeline: 6 * hour, Tasks: 4 * hour}, pipeline: 8 * hour, tasks: 4 * hour, finally: hour},
		"less than its parts":            {annotations: [3]string{"1h", "1h", "30m"}, pipeline: 90 * time.Minute, tasks: hour, finally: 30 * time.Minute},
		"parts longer than Tekton's own": {annotations: [3]string{"", "50m", "20m"}, pipeline: 70 * time.Minute, tasks: 50 * time.Minute, finally: 20 * time.Minute},
		"parts that fit Tekton's own":    {annotations: [3]string{"", "30m", ""}, tasks: 30 * time.Minute},
		"what cannot be read":            {annotations: [3]string{"long", "-1h", "1"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			scenario := smoke(map[string]string{
				snapshot.PipelineTimeout: tc.annotations[0], snapshot.TasksTimeout: tc.annotations[1], snapshot.FinallyTimeout: tc.annotations[2],
			})
			got := snapshot.Attempt{Scenario: scenario, Snapshot: labelled(nil, nil), Defaults: tc.defaults}.Run().Spec.Timeouts
			if got == nil {
				got = &tektonv1.TimeoutFields{}
			}
			duration := func(d *metav1.Duration) time.Duration {
				if d == nil {
					return 0
				}
				return d.Duration
			}
			if duration(got.Pipeline) != tc.pipeline || duration(got.Tasks) != tc.tasks || duration(got.Finally) != tc.finally {
				t.Errorf("got %v, %v, %v", got.Pipeline, got.Tasks, got.Finally)
			}
		})
	}
}

// large is a Snapshot of n components.
func large(n int) *v1alpha1.Snapshot {
	s := labelled(nil, nil)
	for i := range n {
		s.Spec.Components = append(s.Spec.Components, v1alpha1.SnapshotComponent{
			Name: fmt.Sprintf("component-%04d", i), ContainerImage: fmt.Sprintf("registry.example.com/team/component-%04d@%s", i, digest),
			Source: v1alpha1.ComponentSource{Git: &v1alpha1.GitSource{URL: "https://git.example.com/team/repository", Revision: strings.Repeat("a", 40)}},
		})
	}
	return s
}

// TestSnapshotParam is the whole Snapshot up to what a program can take as one
// argument, and its name from there on; people are warned before.
func TestSnapshotParam(t *testing.T) {
	cases := map[string]struct {
		components int
		byName     string
		named      bool
		reason     string
	}{
		"small":               {components: 10, reason: snapshot.FitsReason},
		"small, by name":      {components: 10, byName: "true", named: true, reason: snapshot.FitsReason},
		"large":               {components: 200, reason: snapshot.LargeReason},
		"large, by name":      {components: 200, byName: "true", named: true, reason: snapshot.FitsReason},
		"not for one program": {components: 1000, named: true, reason: snapshot.PassedByNameReason},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			scenario, s := smoke(map[string]string{snapshot.ParamAsName: tc.byName}), large(tc.components)
			value, size, named := snapshot.SnapshotParam(scenario, s)
			if named != tc.named || named && value != s.Name || !named && len(value) != size || len(value) > 128<<10-len("SNAPSHOT=") {
				t.Errorf("%d bytes of %d, by name: %t", len(value), size, named)
			}
			if marked := (snapshot.Attempt{Scenario: scenario, Snapshot: s}).Run().Annotations[snapshot.ParamAsName]; (marked == "true") != named {
				t.Errorf("the run is marked %q", marked)
			}
			c, warn := snapshot.Param(scenario, s)
			if c.Reason != tc.reason || warn != (tc.reason != snapshot.FitsReason) {
				t.Errorf("condition %+v, warning: %t", c, warn)
			}
			if warn && (!strings.Contains(c.Message, s.Name) || !strings.Contains(c.Message, "set annotation "+snapshot.ParamAsName)) {
				t.Errorf("it says %q", c.Message)
			}
		})
	}
}

func TestCheckRun(t *testing.T) {
	want := snapshot.Attempt{Scenario: smoke(nil), Snapshot: labelled(nil, nil)}.Run()
	for name, tc := range map[string]struct {
		change func(*tektonv1.PipelineRun)
		same   bool
	}{
		"the same":              {func(*tektonv1.PipelineRun) {}, true},
		"what Tekton fills in":  {func(r *tektonv1.PipelineRun) { r.SetDefaults(t.Context()) }, true},
		"started":               {func(r *tektonv1.PipelineRun) { r.Status.StartTime = &metav1.Time{}; r.ResourceVersion = "2" }, true},
		"nobody's":              {func(r *tektonv1.PipelineRun) { r.OwnerReferences = nil }, false},
		"another Snapshot's":    {func(r *tektonv1.PipelineRun) { r.OwnerReferences[0].UID = "2" }, false},
		"another scenario's":    {func(r *tektonv1.PipelineRun) { r.Labels[snapshot.ScenarioLabel] = "soak" }, false},
		"another pipeline":      {func(r *tektonv1.PipelineRun) { r.Spec.PipelineRef.Params[0].Value = text("q") }, false},
		"a pipeline of its own": {func(r *tektonv1.PipelineRun) { r.Spec.PipelineSpec = &tektonv1.PipelineSpec{} }, false},
		"other params":          {func(r *tektonv1.PipelineRun) { r.Spec.Params = r.Spec.Params[1:] }, false},
	} {
		have := want.DeepCopy()
		tc.change(have)
		if err := snapshot.CheckRun(t.Context(), have, want); (err == nil) != tc.same {
			t.Errorf("%s: %v", name, err)
		}
	}
}
