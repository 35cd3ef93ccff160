package snapshot_test

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// TestNotFound believes what was found for the reference as it is now.
func TestNotFound(t *testing.T) {
	scenario := smoke(nil)
	scenario.Generation = 2
	if snapshot.NotFound(scenario) {
		t.Error("nobody looked")
	}
	for _, tc := range []struct {
		status     metav1.ConditionStatus
		generation int64
		want       bool
	}{{metav1.ConditionFalse, 2, true}, {metav1.ConditionFalse, 1, false}, {metav1.ConditionTrue, 2, false}, {metav1.ConditionUnknown, 2, false}} {
		scenario.Status.Conditions = []metav1.Condition{{Type: snapshot.FoundCondition, Status: tc.status, ObservedGeneration: tc.generation}}
		if got := snapshot.NotFound(scenario); got != tc.want {
			t.Errorf("%s at %d: %t", tc.status, tc.generation, got)
		}
	}
}

func TestFound(t *testing.T) {
	cases := map[string]struct {
		kind   string
		answer snapshot.Answer
		status metav1.ConditionStatus
		reason string
		says   string
	}{
		"a Pipeline":          {"", snapshot.Answer{Document: []byte("{apiVersion: tekton.dev/v1, kind: Pipeline}")}, metav1.ConditionTrue, snapshot.FoundReason, "leads to a Pipeline"},
		"a PipelineRun":       {"pipelinerun", snapshot.Answer{Document: []byte("{apiVersion: tekton.dev/v1, kind: PipelineRun}")}, metav1.ConditionTrue, snapshot.FoundReason, "leads to a PipelineRun"},
		"an older run":        {"pipelinerun", snapshot.Answer{Document: []byte("{apiVersion: tekton.dev/v1beta1, kind: PipelineRun}")}, metav1.ConditionFalse, snapshot.NotAPipelineReason, "write it as tekton.dev/v1"},
		"a Task":              {"", snapshot.Answer{Document: []byte("{apiVersion: tekton.dev/v1, kind: Task}")}, metav1.ConditionFalse, snapshot.NotAPipelineReason, "leads to a tekton.dev/v1 Task: refer to a Pipeline"},
		"nothing":             {"", snapshot.Answer{Failure: "file does not exist."}, metav1.ConditionFalse, snapshot.NotFoundReason, "was not found: file does not exist. Correct its params, or put a Pipeline there"},
		"nobody answers":      {"", snapshot.Answer{Failure: "timeout", Passing: true}, metav1.ConditionUnknown, snapshot.NoAnswerReason, "could not be looked up: timeout"},
		"nobody answered yet": {"", snapshot.Answer{Wait: time.Second, Waiting: "looking"}, metav1.ConditionUnknown, snapshot.LookingReason, "looking"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			scenario := smoke(nil)
			scenario.Generation, scenario.Spec.ResolverRef.ResourceKind = 3, tc.kind
			got := snapshot.Found(scenario, tc.answer)
			if got.Type != "PipelineFound" || got.Status != tc.status || got.Reason != tc.reason || !strings.Contains(got.Message, tc.says) || got.ObservedGeneration != 3 {
				t.Errorf("got %+v", got)
			}
			scenario.Status.Conditions = []metav1.Condition{got}
			if snapshot.NotFound(scenario) != (tc.status == metav1.ConditionFalse) || snapshot.LookedUp(scenario) != (tc.reason != snapshot.LookingReason) {
				t.Errorf("not found: %t, looked up: %t", snapshot.NotFound(scenario), snapshot.LookedUp(scenario))
			}
			if scenario.Generation = 4; snapshot.LookedUp(scenario) {
				t.Error("it was not looked up as it is now")
			}
		})
	}
}

func TestValid(t *testing.T) {
	scenario := smoke(nil)
	if c := snapshot.Valid(scenario, nil); c.Type != "IntegrationTestScenarioValid" || c.Status != metav1.ConditionTrue || c.Reason != "Valid" {
		t.Errorf("got %+v", c)
	}
	scenario.Namespace = "dev"
	scenario.Spec.ResolverRef = reference("bundles", "", "kind", "task")
	scenario.Status.Conditions = []metav1.Condition{snapshot.Found(scenario, snapshot.Answer{Failure: "gone"})}
	c := snapshot.Valid(scenario, snapshot.MissingOwner(scenario))
	if c.Status != metav1.ConditionFalse || c.Reason != "Invalid" {
		t.Errorf("got %+v", c)
	}
	for _, part := range []string{`there is no Application "shop" in namespace dev: create it`, "; spec.resolverRef refers to a task: refer to a Pipeline", "; what spec.resolverRef refers to was not found: gone"} {
		if !strings.Contains(c.Message, part) {
			t.Errorf("it says %q, want %q in it", c.Message, part)
		}
	}
	scenario.Spec.Application, scenario.Spec.ComponentGroup = "", "bundle"
	if err := snapshot.MissingOwner(scenario); !strings.Contains(err.Error(), `no ComponentGroup "bundle"`) {
		t.Errorf("it says %q", err)
	}
}

func TestContexts(t *testing.T) {
	scenario := smoke(nil)
	scenario.Spec.Contexts = []v1beta2.TestContext{{Name: "component_web"}, {Name: "disabled"}}
	if c := snapshot.Contexts(scenario, []string{"web"}); c.Type != "ContextsKnown" || c.Status != metav1.ConditionTrue {
		t.Errorf("got %+v", c)
	}
	c := snapshot.Contexts(scenario, nil)
	if c.Status != metav1.ConditionFalse || c.Reason != snapshot.UnknownContextsReason ||
		!strings.Contains(c.Message, `no Snapshot meets context "component_web" (there is no Component "web"): write application, all, push`) {
		t.Errorf("got %+v", c)
	}
}
