//go:build apiserver

package apiserver_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	resolutionv1 "github.com/tektoncd/pipeline/pkg/apis/resolution/v1beta1"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"knative.dev/pkg/apis"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

func requests(t *testing.T, c client.Client, ns string) []resolutionv1.ResolutionRequest {
	t.Helper()
	var list resolutionv1.ResolutionRequestList
	if err := c.List(t.Context(), &list, client.InNamespace(ns)); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// answer plays Tekton's resolvers: the one open request of an owner gets a
// document or, for none, a failure.
func answer(t *testing.T, c client.Client, owner client.Object, document, failure string) {
	t.Helper()
	eventually(t, "waiting for a request of "+owner.GetName(), func() error {
		for _, request := range requests(t, c, owner.GetNamespace()) {
			if request.OwnerReferences[0].UID != owner.GetUID() || request.Status.GetCondition(apis.ConditionSucceeded) != nil {
				continue
			}
			if request.Labels["resolution.tekton.dev/type"] != "git" || request.Labels["konflux-ci.dev/created-by"] != "integration-service" {
				t.Errorf("labels %v of the request", request.Labels)
			}
			condition := apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionTrue, Reason: "Succeeded"}
			if document == "" {
				condition.Status, condition.Reason, condition.Message = corev1.ConditionFalse, "ResolutionFailed", failure
			}
			request.Status.Conditions = []apis.Condition{condition}
			request.Status.Data = base64.StdEncoding.EncodeToString([]byte(document))
			request.Status.RefSource = &tektonv1.RefSource{}
			request.Status.Source = request.Status.RefSource //lint:ignore SA1019 the schema requires it
			return c.Status().Update(t.Context(), &request)
		}
		return fmt.Errorf("there is none that is open")
	})
}

// noRequests waits until none is left. Journey C13.
func noRequests(t *testing.T, c client.Client, ns string) {
	t.Helper()
	eventually(t, "no request is left", func() error {
		if all := requests(t, c, ns); len(all) != 0 {
			return fmt.Errorf("%s is", all[0].Name)
		}
		return nil
	})
}

func scenarioSays(t *testing.T, c client.Client, s *v1beta2.IntegrationTestScenario, kind, want string) error {
	t.Helper()
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(s), s); err != nil {
		return err
	}
	condition := apimeta.FindStatusCondition(s.Status.Conditions, kind)
	if condition == nil {
		return fmt.Errorf("condition %s is not there", kind)
	}
	if got := fmt.Sprintf("%s/%s: %s", condition.Status, condition.Reason, condition.Message); !strings.HasPrefix(got, want) {
		return fmt.Errorf("condition %s is %q, want %q", kind, got, want)
	}
	return nil
}

func inRepository(s *v1beta2.IntegrationTestScenario) {
	s.Spec.ResolverRef = v1beta2.ResolverRef{Resolver: "git", Params: []v1beta2.ResolverParameter{
		{Name: "url", Value: "https://git.example.com/shop/tests"}, {Name: "revision", Value: "main"}, {Name: "pathInRepo", Value: "test.yaml"},
	}}
}

func asRun(s *v1beta2.IntegrationTestScenario) {
	inRepository(s)
	s.Spec.ResolverRef.ResourceKind = "pipelinerun"
}

const (
	aPipeline = `{apiVersion: tekton.dev/v1, kind: Pipeline, metadata: {name: test}}`
	aTask     = `{apiVersion: tekton.dev/v1, kind: Task, metadata: {name: test}}`
	aRun      = `{apiVersion: tekton.dev/v1, kind: PipelineRun, metadata: {name: test, labels: {own: label}}, spec: {
		taskRunTemplate: {serviceAccountName: tester}, params: [{name: LEVEL, value: high}], pipelineRef: {resolver: git, params: [
		{name: url, value: "https://git.example.com/shop/tests"}, {name: pathInRepo, value: p.yaml}]}}}`
)

// TestScenarioOfARun starts the run that a scenario refers to, with what the
// service adds, and leaves no request behind. Journey C13.
func TestScenarioOfARun(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	smoke := scenarioOf(ns, "smoke", asRun)
	create(t, c, application(ns), smoke)
	var p controllers
	p.start(t)
	answer(t, c, smoke, aRun, "")
	eventually(t, "the scenario is looked up", func() error {
		return scenarioSays(t, c, smoke, "PipelineFound", "True/Found: spec.resolverRef leads to a PipelineRun")
	})
	noRequests(t, c, ns)

	s := snapshotOf(ns)
	create(t, c, s)
	statusesAre(t, c, s, map[string]string{"smoke": "Pending"})
	if n := len(runs(t, c, ns)); n != 0 {
		t.Fatalf("%d runs before the answer", n)
	}
	p.restart(t)
	answer(t, c, s, aRun, "")
	run := runOf(t, c, ns, "smoke", "")
	if run.Labels["own"] != "label" || run.Labels["appstudio.openshift.io/snapshot"] != s.Name || run.Spec.TaskRunTemplate.ServiceAccountName != "tester" ||
		run.Spec.PipelineRef.Params[1].Value.StringVal != "p.yaml" || len(run.Spec.Params) != 2 || run.Spec.Params[0].Name != "SNAPSHOT" || run.Finalizers[0] != runFinalizer {
		t.Errorf("run %+v\nspec %+v", run.ObjectMeta, run.Spec)
	}
	noRequests(t, c, ns)
	finish(t, c, run, corev1.ConditionTrue, nil)
	statusesAre(t, c, s, map[string]string{"smoke": "TestPassed"})
	letGoOf(t, c, ns)
}

// TestScenarioOfNoPipeline tells the author what is wrong before anything
// runs, and a Snapshot's test says it too: no run is made. Journey C14.
func TestScenarioOfNoPipeline(t *testing.T) {
	cases := map[string]struct {
		kind              func(*v1beta2.IntegrationTestScenario)
		document, failure string
		want              string
	}{
		"a Task":               {inRepository, aTask, "", "spec.resolverRef leads to a tekton.dev/v1 Task: refer to a Pipeline"},
		"a Task for a run":     {asRun, aTask, "", "spec.resolverRef leads to a tekton.dev/v1 Task: refer to a PipelineRun"},
		"a Pipeline for a run": {asRun, aPipeline, "", "spec.resolverRef leads to a tekton.dev/v1 Pipeline: refer to a PipelineRun of tekton.dev, or set spec.resolverRef.resourceKind to pipeline"},
		"a bad ref":            {inRepository, "", `error opening file "test.yaml": file does not exist`, "what spec.resolverRef refers to was not found: error opening file"},
	}
	c := newClient(t)
	var p controllers
	p.start(t)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			ns := namespace(t, c)
			smoke := scenarioOf(ns, "smoke", tc.kind)
			create(t, c, application(ns), smoke)
			answer(t, c, smoke, tc.document, tc.failure)
			eventually(t, "the scenario says so", func() error {
				return scenarioSays(t, c, smoke, "IntegrationTestScenarioValid", "False/Invalid: "+tc.want)
			})
			s := snapshotOf(ns)
			create(t, c, s)
			answer(t, c, s, tc.document, tc.failure)
			if got := statusesAre(t, c, s, map[string]string{"smoke": "TestInvalid"})["smoke"]; !strings.Contains(got.Details, tc.want) || got.Run != "" {
				t.Errorf("the test is %+v", got)
			}
			noRequests(t, c, ns)
			if n := len(runs(t, c, ns)); n != 0 {
				t.Errorf("%d runs", n)
			}
		})
	}

	t.Run("a Task by its kind", func(t *testing.T) {
		wrong := scenarioOf(namespace(t, c), "smoke")
		wrong.Spec.ResolverRef.Params[2].Value = "task"
		if err := refusal(c.Create(t.Context(), wrong), "put a single Task into a Pipeline"); err != nil {
			t.Error(err)
		}
	})
	t.Run("mended in the repository", func(t *testing.T) {
		ns := namespace(t, c)
		smoke := scenarioOf(ns, "smoke", inRepository)
		create(t, c, application(ns), smoke)
		answer(t, c, smoke, aTask, "")
		eventually(t, "the scenario says so", func() error { return scenarioSays(t, c, smoke, snapshot.ValidCondition, "False/Invalid") })
		s := snapshotOf(ns)
		create(t, c, s)
		answer(t, c, s, aPipeline, "")
		runOf(t, c, ns, "smoke", "")
		eventually(t, "the scenario is valid", func() error { return scenarioSays(t, c, smoke, snapshot.ValidCondition, "True/Valid") })
		noRequests(t, c, ns)
	})
}

// TestScenarioBeforeItsApplication is admitted, says what is missing, and
// becomes its application's when that comes.
func TestScenarioBeforeItsApplication(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	var p controllers
	p.start(t)
	smoke := scenarioOf(ns, "smoke", func(s *v1beta2.IntegrationTestScenario) {
		s.Spec.Contexts = []v1beta2.TestContext{{Name: "component_web"}, {Name: "disabled"}}
	})
	create(t, c, smoke)
	eventually(t, "the scenario says what is missing", func() error {
		return scenarioSays(t, c, smoke, "IntegrationTestScenarioValid", `False/Invalid: there is no Application "shop" in namespace `+ns)
	})
	eventually(t, "and which context cannot be met", func() error {
		return scenarioSays(t, c, smoke, "ContextsKnown", `False/UnknownContexts: no Snapshot meets context "component_web"`)
	})
	shop := application(ns)
	create(t, c, shop, component(ns, "web"))
	for kind, want := range map[string]string{"IntegrationTestScenarioValid": "True/Valid", "ContextsKnown": "True/Known"} {
		eventually(t, "the scenario is good", func() error { return scenarioSays(t, c, smoke, kind, want) })
	}
	if err := owned(t, c, smoke, shop); err != nil {
		t.Error(err)
	}
	web := component(ns, "web")
	if err := c.Delete(t.Context(), web); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the component goes", func() error {
		return scenarioSays(t, c, smoke, "ContextsKnown", "False/UnknownContexts")
	})
}
