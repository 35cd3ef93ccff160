//go:build bench

package integration

import (
	"fmt"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

const (
	app    = "shop"
	commit = "0123456789abcdef0123456789abcdef01234567"
	bundle = "registry.example.com/pipeline@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{}, Annotations: map[string]string{}}
}

func part(i int) string { return fmt.Sprintf("part-%d", i) }

func source(component string) string { return "https://git.example.com/shop/" + component }

// application is one with its components.
func application(ns string, components int) []client.Object {
	all := []client.Object{&v1alpha1.Application{ObjectMeta: meta(ns, app), Spec: v1alpha1.ApplicationSpec{DisplayName: app}}}
	for i := range components {
		all = append(all, &v1alpha1.Component{ObjectMeta: meta(ns, part(i)), Spec: v1alpha1.ComponentSpec{
			Application: app, ComponentName: part(i), ContainerImage: "registry.example.com/shop/" + part(i),
			Source: v1alpha1.ComponentSource{Git: &v1alpha1.GitSource{URL: source(part(i)), Revision: "main"}},
		}})
	}
	return all
}

// scenarios test every Snapshot of an application.
func scenarios(ns string, n int) []client.Object {
	var all []client.Object
	for i := range n {
		all = append(all, &v1beta2.IntegrationTestScenario{ObjectMeta: meta(ns, fmt.Sprintf("test-%d", i)), Spec: v1beta2.IntegrationTestScenarioSpec{
			Application: app,
			ResolverRef: v1beta2.ResolverRef{Resolver: "bundles", Params: []v1beta2.ResolverParameter{
				{Name: "bundle", Value: bundle}, {Name: "name", Value: "test"}, {Name: "kind", Value: "pipeline"},
			}},
		}})
	}
	return all
}

// releases has every Snapshot that passes released into a managed namespace.
func releases(ns, managed string) []client.Object {
	plan := &v1alpha1.ReleasePlan{ObjectMeta: meta(ns, app), Spec: v1alpha1.ReleasePlanSpec{Application: app, Target: managed}}
	plan.Labels["release.appstudio.openshift.io/auto-release"] = "true"
	plan.Labels["release.appstudio.openshift.io/standing-attribution"] = "true"
	plan.Labels["release.appstudio.openshift.io/author"] = "ada"
	admission := &v1alpha1.ReleasePlanAdmission{ObjectMeta: meta(managed, ns)}
	admission.Spec.Applications, admission.Spec.Origin, admission.Spec.Policy = []string{app}, ns, "release"
	admission.Spec.Pipeline = &v1alpha1.Pipeline{ServiceAccountName: "release-service-account", PipelineRef: v1alpha1.PipelineRef{
		Resolver: "bundles", Params: []v1alpha1.Param{{Name: "bundle", Value: bundle}, {Name: "name", Value: "push"}, {Name: "kind", Value: "pipeline"}},
	}}
	return []client.Object{plan, admission}
}

// policy is what every release is checked by.
func policy(managed string) client.Object {
	return &v1alpha1.EnterpriseContractPolicy{ObjectMeta: meta(managed, "release"), Spec: v1alpha1.EnterpriseContractPolicySpec{
		Sources: []v1alpha1.Source{{Policy: []string{"oci::registry.example.com/policy"}}},
	}}
}

// buildRun is what Pipelines as Code makes of a push.
func buildRun(ns, component string) *tektonv1.PipelineRun {
	run := &tektonv1.PipelineRun{ObjectMeta: meta(ns, component+"-on-push-x4z2k"), Spec: tektonv1.PipelineRunSpec{
		PipelineRef: &tektonv1.PipelineRef{Name: "build"},
	}}
	for key, value := range map[string]string{
		snapshot.RunTypeLabel: snapshot.BuildRun, snapshot.ComponentLabel: component, snapshot.ApplicationLabel: app,
		"pipelinesascode.tekton.dev/event-type": "push", "pipelinesascode.tekton.dev/sha": commit,
		"pipelinesascode.tekton.dev/url-org": "shop", "pipelinesascode.tekton.dev/url-repository": component,
		"pipelinesascode.tekton.dev/git-provider": "github",
	} {
		run.Labels[key] = value
	}
	for key, value := range map[string]string{
		"pipelinesascode.tekton.dev/repo-url": source(component), "pipelinesascode.tekton.dev/sha-title": "Sell more",
		"pipelinesascode.tekton.dev/sha-url":       source(component) + "/commit/" + commit,
		"build.appstudio.redhat.com/commit_sha":    commit,
		"build.appstudio.openshift.io/repo":        source(component) + "?rev=" + commit,
		"pipelinesascode.tekton.dev/source-branch": "main",
	} {
		run.Annotations[key] = value
	}
	return run
}

// succeed gives a run the status that Tekton gives one whose tasks all
// succeeded. child names its TaskRun, results are its own.
func succeed(run *tektonv1.PipelineRun, now time.Time, child string, results map[string]string) {
	end := metav1.NewTime(now)
	run.Status.StartTime, run.Status.CompletionTime = run.CreationTimestamp.DeepCopy(), &end
	run.Status.SetCondition(&apis.Condition{
		Type: apis.ConditionSucceeded, Status: corev1.ConditionTrue, Reason: "Succeeded", Message: "Tasks Completed: 1 (Failed: 0, Cancelled 0), Skipped: 0",
	})
	if child != "" {
		reference := tektonv1.ChildStatusReference{Name: child, PipelineTaskName: "check"}
		reference.APIVersion, reference.Kind = "tekton.dev/v1", "TaskRun"
		run.Status.ChildReferences = []tektonv1.ChildStatusReference{reference}
	}
	for name, value := range results {
		run.Status.Results = append(run.Status.Results, tektonv1.PipelineRunResult{Name: name, Value: *tektonv1.NewStructuredValues(value)})
	}
}

// built are the results of a build.
func built(image name.Digest, component string) map[string]string {
	return map[string]string{
		"IMAGE_URL": image.Context().String() + ":" + commit, "IMAGE_DIGEST": image.DigestStr(),
		"CHAINS-GIT_URL": source(component), "CHAINS-GIT_COMMIT": commit,
	}
}

// check is the one task of a test run, which found nothing wrong.
func check(run client.ObjectKey, now time.Time) *tektonv1.TaskRun {
	task := &tektonv1.TaskRun{ObjectMeta: meta(run.Namespace, run.Name+"-check"), Spec: tektonv1.TaskRunSpec{TaskRef: &tektonv1.TaskRef{Name: "check"}}}
	task.Labels["tekton.dev/pipelineRun"], task.Labels["tekton.dev/pipelineTask"] = run.Name, "check"
	end := metav1.NewTime(now)
	task.Status.StartTime, task.Status.CompletionTime = &end, &end
	task.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionTrue, Reason: "Succeeded", Message: "All Steps have completed executing"})
	task.Status.Results = []tektonv1.TaskRunResult{{Name: "TEST_OUTPUT", Type: tektonv1.ResultsTypeString, Value: *tektonv1.NewStructuredValues(
		`{"result":"SUCCESS","timestamp":"` + end.UTC().Format(time.RFC3339) + `","note":"all is well","namespace":"default","successes":1,"failures":0,"warnings":0}`,
	)}}
	return task
}
