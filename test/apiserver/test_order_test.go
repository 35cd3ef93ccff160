//go:build apiserver

package apiserver_test

import (
	"fmt"
	"strings"
	"testing"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// TestManyScenariosEndAtOnce writes down every one of them.
func TestManyScenariosEndAtOnce(t *testing.T) {
	const many = 20
	c := newClient(t)
	ns := namespace(t, c)
	create(t, c, application(ns))
	want := map[string]string{}
	for i := range many {
		name := fmt.Sprintf("s%d", i)
		create(t, c, scenarioOf(ns, name))
		want[name] = "InProgress"
	}
	var p controllers
	p.start(t)
	s := snapshotOf(ns)
	create(t, c, s)
	statusesAre(t, c, s, want)
	for _, run := range runs(t, c, ns) {
		finish(t, c, &run, corev1.ConditionTrue, nil)
		want[run.Labels["test.appstudio.openshift.io/scenario"]] = "TestPassed"
	}
	statusesAre(t, c, s, want)
	letGoOf(t, c, ns)
	if n := len(runs(t, c, ns)); n != many {
		t.Errorf("%d runs of %d scenarios", n, many)
	}
}

// TestOlderPullRequestIsCancelled stops the tests of what was pushed to a pull
// request before, writes down how they ended, and lets go of them. Journey C12.
func TestOlderPullRequestIsCancelled(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	create(t, c, application(ns), component(ns, "web"), scenarioOf(ns, "smoke"))
	var p controllers
	p.proofs.there.Store(true)
	p.start(t)
	pull := func(name string) *tektonv1.PipelineRun {
		run := buildRun(ns, name, "web")
		run.Labels["pipelinesascode.tekton.dev/pull-request"], run.Labels["pipelinesascode.tekton.dev/event-type"] = "7", "pull_request"
		return run
	}
	first := pull("web-1")
	create(t, c, first)
	finish(t, c, first, corev1.ConditionTrue, built())
	s := oneSnapshot(t, c, ns)
	test := runOf(t, c, ns, "smoke", "")

	eventually(t, "a second passes", func() error { // two builds of one second have no order
		if now := metav1.Now(); !now.Time.Truncate(1e9).After(first.CreationTimestamp.Time) {
			return fmt.Errorf("it is %v", now)
		}
		return nil
	})
	create(t, c, pull("web-2"))
	eventually(t, "the run is cancelled", func() error {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(test), test); err != nil {
			return err
		}
		if test.Spec.Status != tektonv1.PipelineRunSpecStatusCancelledRunFinally || test.Labels["pac.test.appstudio.openshift.io/cancelled"] != "true" {
			return fmt.Errorf("spec.status is %q, labels %v", test.Spec.Status, test.Labels)
		}
		return nil
	})
	eventually(t, "the Snapshot is cancelled", func() error {
		return conditionIs(t, c, s, "AppStudioIntegrationStatus", metav1.ConditionTrue, "Canceled")
	})
	finish(t, c, test, corev1.ConditionFalse, nil)
	statusesAre(t, c, s, map[string]string{"smoke": "TestFail"})
	letGoOf(t, c, ns)
	if n := len(runs(t, c, ns)); n != 3 {
		t.Errorf("%d runs, want two builds and a test", n)
	}
}

// TestDeletedSnapshotKeepsNoRun lets the runs of a Snapshot go with it.
func TestDeletedSnapshotKeepsNoRun(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	controllerManager(t, "garbage-collector-controller")
	create(t, c, application(ns), scenarioOf(ns, "smoke"))
	var p controllers
	p.start(t)
	s := snapshotOf(ns)
	create(t, c, s)
	runOf(t, c, ns, "smoke", "")
	if err := c.Delete(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its run goes", func() error {
		if all := runs(t, c, ns); len(all) != 0 {
			return fmt.Errorf("%s is there, held by %v", all[0].Name, all[0].Finalizers)
		}
		return nil
	})
}

// TestThousandComponents tests a Snapshot that is too large for a param.
func TestThousandComponents(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	smoke := scenarioOf(ns, "smoke")
	create(t, c, application(ns), smoke)
	var p controllers
	p.start(t)
	s := snapshotOf(ns)
	s.Spec.Components = nil
	for i := range 1000 {
		s.Spec.Components = append(s.Spec.Components, v1alpha1.SnapshotComponent{
			Name: fmt.Sprintf("component-%04d", i), ContainerImage: fmt.Sprintf("registry.example.com/team/component-%04d@%s", i, digest),
			Source: v1alpha1.ComponentSource{Git: &v1alpha1.GitSource{URL: "https://git.example.com/team/repository", Revision: commit}},
		})
	}
	create(t, c, s)
	run := runOf(t, c, ns, "smoke", "")
	if got := run.Spec.Params[0].Value.StringVal; got != s.Name || run.Annotations["test.appstudio.openshift.io/snapshot-param-as-name"] != "true" {
		t.Errorf("SNAPSHOT has %d bytes, annotations %v", len(got), run.Annotations)
	}
	eventually(t, "the scenario says so", func() error {
		return scenarioSays(t, c, smoke, "SnapshotParamFits", "False/PassedByName: Snapshot "+s.Name)
	})
	finish(t, c, run, corev1.ConditionTrue, nil)
	statusesAre(t, c, s, map[string]string{"smoke": "TestPassed"})
}

// TestGroupRunsInOrder runs what a ComponentGroup's graph puts first, first.
func TestGroupRunsInOrder(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	inGroup := func(s *v1beta2.IntegrationTestScenario) { s.Spec.Application, s.Spec.ComponentGroup = "", app }
	group := &v1beta2.ComponentGroup{ObjectMeta: meta(ns, app), Spec: v1beta2.ComponentGroupSpec{
		Components: []v1beta2.ComponentReference{{Name: "web", Kind: "component", ComponentVersion: &v1beta2.ComponentVersionReference{Name: "main"}}},
		TestGraph:  map[string][]v1beta2.TestGraphNode{"deploy": {{Name: "smoke", FailFast: true}}, "lint": {{Name: "smoke"}}},
	}}
	create(t, c, group, scenarioOf(ns, "smoke", inGroup), scenarioOf(ns, "deploy", inGroup), scenarioOf(ns, "lint", inGroup))
	var p controllers
	p.start(t)
	s := snapshotOf(ns)
	s.Spec.Application, s.Spec.ComponentGroup = "", app
	create(t, c, s)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the Snapshot is %+v", s.Status)
		}
	})
	statusesAre(t, c, s, map[string]string{"smoke": "InProgress", "deploy": "Pending", "lint": "Pending"})
	smoke := runOf(t, c, ns, "smoke", "")
	if smoke.Labels["appstudio.openshift.io/component-group"] != app {
		t.Errorf("labels %v", smoke.Labels)
	}
	p.restart(t)
	finish(t, c, smoke, corev1.ConditionFalse, nil)
	all := statusesAre(t, c, s, map[string]string{"smoke": "TestFail", "deploy": "TestFail", "lint": "InProgress"})
	if got := all["deploy"]; got.Run != "" || !strings.Contains(got.Details, "scenario smoke") {
		t.Errorf("deploy is %+v", got)
	}
	if !strings.Contains(s.Annotations["test.appstudio.openshift.io/status"], `"runAfter":["smoke"]`) {
		t.Errorf("the annotation is %s", s.Annotations["test.appstudio.openshift.io/status"])
	}
}

// TestNamespaceOfScenario gets what test runs need, with the first scenario.
func TestNamespaceOfScenario(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	var p controllers
	p.start(t)
	create(t, c, application(ns), scenarioOf(ns, "smoke"))
	account, secret, binding := &corev1.ServiceAccount{}, &corev1.Secret{}, &rbacv1.RoleBinding{}
	for o, name := range map[client.Object]string{
		secret: "components-namespace-pull", account: "konflux-integration-runner", binding: "konflux-integration-runner",
	} {
		eventually(t, "waiting for "+name, func() error { return c.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: name}, o) })
	}
	if len(account.ImagePullSecrets) != 1 || account.ImagePullSecrets[0].Name != secret.Name || secret.Type != corev1.SecretTypeDockerConfigJson ||
		string(secret.Data[corev1.DockerConfigJsonKey]) != `{"auths":{}}` || binding.RoleRef.Name != "konflux-integration-runner" {
		t.Errorf("account %+v, Secret %s of type %s, binding %+v", account, secret.Name, secret.Type, binding.RoleRef)
	}
	// What somebody filled stays as it is.
	secret.Data[corev1.DockerConfigJsonKey] = []byte(`{"auths":{"registry.example.com":{}}}`)
	if err := c.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	second := scenarioOf(ns, "soak")
	create(t, c, second)
	eventually(t, "the second is valid", func() error { return scenarioSays(t, c, second, snapshot.ValidCondition, "True/Valid") })
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(secret), secret); err != nil || !strings.Contains(string(secret.Data[corev1.DockerConfigJsonKey]), "registry.example.com") {
		t.Errorf("the Secret is %s, %v", secret.Data, err)
	}
}
