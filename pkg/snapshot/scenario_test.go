package snapshot_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

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
			scenario.Spec.Application, scenario.Spec.ComponentGroup = "", "shop"
			if snapshot.Applies(scenario, push) {
				t.Error("it tests an application of its group's name")
			}
		})
	}
}

// TestConcerns is of groups, and of scenarios on their way out.
func TestConcerns(t *testing.T) {
	of := labelled(nil, nil)
	of.Spec.Application, of.Spec.ComponentGroup = "", "shop"
	scenario := &v1beta2.IntegrationTestScenario{Spec: v1beta2.IntegrationTestScenarioSpec{ComponentGroup: "shop"}}
	if !snapshot.Concerns(scenario, of) || !snapshot.Applies(scenario, of) {
		t.Error("it does not test its group")
	}
	if snapshot.Concerns(scenario, labelled(nil, nil)) {
		t.Error("it tests an application of its group's name")
	}
	now := metav1.Now()
	scenario.DeletionTimestamp = &now
	if snapshot.Concerns(scenario, of) {
		t.Error("it tests while it is deleted")
	}
}

func TestUnknownContexts(t *testing.T) {
	var contexts []v1beta2.TestContext
	for _, name := range []string{
		"application", "all", "push", "pull_request", "component", "group", "override", "disabled", "component_web",
		"component_wbe", "pull-request", "",
	} {
		contexts = append(contexts, v1beta2.TestContext{Name: name})
	}
	want := []string{`"component_wbe" (there is no Component "wbe")`, `"pull-request"`, `""`}
	if diff := cmp.Diff(want, snapshot.UnknownContexts(contexts, []string{"web"})); diff != "" {
		t.Errorf("unknown (-want +got):\n%s", diff)
	}
}
