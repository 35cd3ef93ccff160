//go:build apiserver

package apiserver_test

import (
	"testing"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"knative.dev/pkg/apis"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
)

const (
	app    = "shop"
	digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	commit = "0123456789abcdef0123456789abcdef01234567"
	image  = "registry.example.com/shop/web"
)

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{}}
}

func application(ns string) *v1alpha1.Application {
	return &v1alpha1.Application{ObjectMeta: meta(ns, app), Spec: v1alpha1.ApplicationSpec{DisplayName: app}}
}

func component(ns, name string) *v1alpha1.Component {
	return &v1alpha1.Component{ObjectMeta: meta(ns, name), Spec: v1alpha1.ComponentSpec{
		Application: app, ComponentName: name, ContainerImage: image,
		Source: v1alpha1.ComponentSource{Git: &v1alpha1.GitSource{URL: "https://git.example.com/shop/" + name, Revision: "main"}},
	}}
}

func testScenario(ns string) *v1beta2.IntegrationTestScenario {
	return &v1beta2.IntegrationTestScenario{ObjectMeta: meta(ns, "smoke"), Spec: v1beta2.IntegrationTestScenarioSpec{
		Application: app,
		ResolverRef: v1beta2.ResolverRef{Resolver: "bundles", Params: []v1beta2.ResolverParameter{
			{Name: "bundle", Value: "registry.example.com/pipeline@" + digest}, {Name: "name", Value: "smoke"}, {Name: "kind", Value: "pipeline"},
		}},
	}}
}

func plan(ns, target string) *v1alpha1.ReleasePlan {
	p := &v1alpha1.ReleasePlan{ObjectMeta: meta(ns, app), Spec: v1alpha1.ReleasePlanSpec{Application: app, Target: target}}
	p.Labels["release.appstudio.openshift.io/auto-release"] = "true"
	p.Labels["release.appstudio.openshift.io/standing-attribution"] = "true"
	p.Labels["release.appstudio.openshift.io/author"] = "ada"
	return p
}

func admission(t *testing.T, ns, origin string) *v1alpha1.ReleasePlanAdmission {
	t.Helper()
	a := &v1alpha1.ReleasePlanAdmission{}
	// As a person writes it.
	err := runtime.DefaultUnstructuredConverter.FromUnstructured(map[string]any{
		"spec": map[string]any{
			"applications": []any{app}, "origin": origin, "policy": "release",
			"pipeline": map[string]any{
				"serviceAccountName": "release-service-account",
				"pipelineRef": map[string]any{"resolver": "bundles", "params": []any{
					map[string]any{"name": "bundle", "value": "registry.example.com/pipeline@" + digest},
					map[string]any{"name": "name", "value": "push"}, map[string]any{"name": "kind", "value": "pipeline"},
				}},
			},
		},
	}, a)
	if err != nil {
		t.Fatal(err)
	}
	a.ObjectMeta = meta(ns, app)
	return a
}

func policy(ns string) *v1alpha1.EnterpriseContractPolicy {
	return &v1alpha1.EnterpriseContractPolicy{ObjectMeta: meta(ns, "release"), Spec: v1alpha1.EnterpriseContractPolicySpec{
		Sources: []v1alpha1.Source{{Policy: []string{"oci::registry.example.com/policy"}}},
	}}
}

func buildRun(ns, name, component string) *tektonv1.PipelineRun {
	run := &tektonv1.PipelineRun{ObjectMeta: meta(ns, name), Spec: tektonv1.PipelineRunSpec{PipelineRef: &tektonv1.PipelineRef{Name: "build"}}}
	run.Labels["pipelines.appstudio.openshift.io/type"] = "build"
	run.Labels["appstudio.openshift.io/component"] = component
	run.Labels["appstudio.openshift.io/application"] = app
	return run
}

// finish plays Tekton: the run ends, with results.
func finish(t *testing.T, c client.Client, run *tektonv1.PipelineRun, status corev1.ConditionStatus, results map[string]string) {
	t.Helper()
	eventually(t, "finishing "+run.Name, func() error {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(run), run); err != nil {
			return err
		}
		now := metav1.Now()
		run.Status.StartTime, run.Status.CompletionTime = &run.CreationTimestamp, &now
		reason := "Succeeded"
		if status != corev1.ConditionTrue {
			reason = "Failed"
		}
		run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: status, Reason: reason, Message: "Tasks Completed: 1"})
		run.Status.Results = nil
		for name, value := range results {
			run.Status.Results = append(run.Status.Results, tektonv1.PipelineRunResult{Name: name, Value: *tektonv1.NewStructuredValues(value)})
		}
		return c.Status().Update(t.Context(), run)
	})
}

func built() map[string]string {
	return map[string]string{
		"IMAGE_URL": image + ":" + commit, "IMAGE_DIGEST": digest,
		"CHAINS-GIT_URL": "https://git.example.com/shop/web", "CHAINS-GIT_COMMIT": commit,
	}
}
