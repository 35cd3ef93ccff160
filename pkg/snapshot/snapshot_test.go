package snapshot_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

const (
	digest    = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	pacPR     = "pac.test.appstudio.openshift.io/pull-request"
	pacEvent  = "pac.test.appstudio.openshift.io/event-type"
	pacBranch = "pac.test.appstudio.openshift.io/source-branch"
)

func build(results map[string]string) *tektonv1.PipelineRun {
	run := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: "web-1", UID: "1"}}
	start, end := metav1.Date(2025, 3, 4, 5, 6, 7, 0, time.UTC), metav1.Date(2025, 3, 4, 5, 8, 0, 0, time.UTC)
	run.Status.StartTime, run.Status.CompletionTime = &start, &end
	for k, v := range results {
		run.Status.Results = append(run.Status.Results, tektonv1.PipelineRunResult{Name: k, Value: *tektonv1.NewStructuredValues(v)})
	}
	return run
}

func labelled(labels, annotations map[string]string) *v1alpha1.Snapshot {
	return &v1alpha1.Snapshot{
		ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: "shop-1", UID: "1", Labels: labels, Annotations: annotations},
		Spec:       v1alpha1.SnapshotSpec{Application: "shop"},
	}
}

func TestApplies(t *testing.T) {
	push := labelled(map[string]string{snapshot.TypeLabel: "component", snapshot.ComponentLabel: "web", pacEvent: "push"}, nil)
	pull := labelled(map[string]string{snapshot.TypeLabel: "component", snapshot.ComponentLabel: "web", pacEvent: "pull_request", pacPR: "1"}, nil)
	group := labelled(map[string]string{snapshot.TypeLabel: "group", pacEvent: "pull_request", pacPR: "1"}, nil)
	override := labelled(map[string]string{snapshot.TypeLabel: "override"}, nil)
	hand := labelled(nil, nil)
	all := []*v1alpha1.Snapshot{push, pull, group, override, hand}
	names := []string{"push", "pull", "group", "override", "hand"}
	cases := map[string]struct {
		contexts []string
		want     []string
	}{
		"none":          {want: names},
		"application":   {contexts: []string{"application"}, want: names},
		"all":           {contexts: []string{"all"}, want: names},
		"component":     {contexts: []string{"component"}, want: []string{"push", "pull"}},
		"component_web": {contexts: []string{"component_web"}, want: []string{"push", "pull"}},
		"component_api": {contexts: []string{"component_api"}},
		"group":         {contexts: []string{"group"}, want: []string{"group"}},
		"override":      {contexts: []string{"override"}, want: []string{"override"}},
		"push":          {contexts: []string{"push"}, want: []string{"push", "override", "hand"}},
		"pull_request":  {contexts: []string{"pull_request"}, want: []string{"pull", "group"}},
		"disabled":      {contexts: []string{"disabled"}},
		"any of them":   {contexts: []string{"disabled", "group", "override"}, want: []string{"group", "override"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			scenario := &v1beta2.IntegrationTestScenario{Spec: v1beta2.IntegrationTestScenarioSpec{Application: "shop"}}
			for _, c := range tc.contexts {
				scenario.Spec.Contexts = append(scenario.Spec.Contexts, v1beta2.TestContext{Name: c})
			}
			var got []string
			for i, s := range all {
				if snapshot.Applies(scenario, s) {
					got = append(got, names[i])
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("it tests (-want +got):\n%s", diff)
			}
			scenario.Spec.Application = "bank"
			if snapshot.Applies(scenario, push) {
				t.Error("it tests another application")
			}
		})
	}
}

func testRun(status corev1.ConditionStatus, message string, children int) *tektonv1.PipelineRun {
	run := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Name: "smoke-1"}}
	run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: status, Message: message})
	for range children {
		child := tektonv1.ChildStatusReference{}
		child.Kind = "TaskRun"
		run.Status.ChildReferences = append(run.Status.ChildReferences, child)
	}
	return run
}
