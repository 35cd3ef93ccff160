package release

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"knative.dev/pkg/apis"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
)

func pipeline() v1alpha1.Pipeline {
	return v1alpha1.Pipeline{ServiceAccountName: "releaser", PipelineRef: v1alpha1.PipelineRef{Resolver: "bundles"}}
}

// world is a cluster with a Release that may run, in which a test plays Tekton.
type world struct {
	client.Client
	t        *testing.T
	r        *Reconciler
	crash    string // verb at which the process ends, once
	admitted *v1alpha1.ReleasePlanAdmission
}

func newWorld(t *testing.T, change func(*v1alpha1.ReleasePlan)) *world {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{tektonv1.AddToScheme, v1alpha1.AddToScheme, rbacv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	at := func(ns, name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: ns, Name: name, CreationTimestamp: metav1.Unix(1000, 0)}
	}
	managed, w := pipeline(), &world{t: t}
	plan := &v1alpha1.ReleasePlan{ObjectMeta: at("dev", "ship"), Spec: v1alpha1.ReleasePlanSpec{Application: "shop", Target: "managed"}}
	if change != nil {
		change(plan)
	}
	rel := &v1alpha1.Release{ObjectMeta: at("dev", "one"), Spec: v1alpha1.ReleaseSpec{Snapshot: "shop-1", ReleasePlan: "ship"}}
	rel.Labels = map[string]string{"release.appstudio.openshift.io/author": "ada"}
	w.admitted = &v1alpha1.ReleasePlanAdmission{ObjectMeta: at("managed", "shop"), Spec: v1alpha1.ReleasePlanAdmissionSpec{
		Applications: []string{"shop"}, Origin: "dev", Policy: "standard", Pipeline: &managed}}
	w.Client = fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.Release{}, &tektonv1.PipelineRun{}).
		WithObjects(rel, plan, w.admitted,
			&v1alpha1.EnterpriseContractPolicy{ObjectMeta: at("managed", "standard")},
			&v1alpha1.Snapshot{ObjectMeta: at("dev", "shop-1"), Spec: v1alpha1.SnapshotSpec{Application: "shop", Components: []v1alpha1.SnapshotComponent{{Name: "web"}}}},
		).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			o.SetCreationTimestamp(metav1.Unix(1500, 0)) // which the fake leaves out
			return c.Create(ctx, o, opts...)
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			if w.crash != "" {
				err := fmt.Errorf("%s", w.crash)
				w.crash = ""
				return err
			}
			return c.SubResource(sub).Patch(ctx, o, p, opts...)
		},
	}).Build()
	w.r = &Reconciler{Client: w, Reader: w, Logs: w.logs, ConfigNamespace: "system", Now: func() time.Time { return time.Unix(2000, 0) }}
	return w
}

// logs are those of every pod.
func (w *world) logs(_ context.Context, pod client.ObjectKey, container string) (string, error) {
	return fmt.Sprintf("the log of %s in %s", container, pod), nil
}

// settle reconciles until the Release does not change any more.
func (w *world) settle() *v1alpha1.Release {
	w.t.Helper()
	last := ""
	for range 20 {
		rel := w.release()
		if rel.ResourceVersion == last {
			return rel
		}
		last = rel.ResourceVersion
		if _, err := w.r.Reconcile(w.t.Context(), rel); err != nil && !strings.Contains(err.Error(), "crash") {
			w.t.Fatal(err)
		} else if err != nil {
			last = ""
		}
	}
	w.t.Fatal("the Release does not settle")
	return nil
}

func (w *world) release() *v1alpha1.Release {
	w.t.Helper()
	rel := &v1alpha1.Release{}
	if err := w.Get(w.t.Context(), client.ObjectKey{Namespace: "dev", Name: "one"}, rel); err != nil {
		w.t.Fatal(err)
	}
	return rel
}

// run returns the one run of a stage, nil when there is none.
func (w *world) run(stage string) *tektonv1.PipelineRun {
	w.t.Helper()
	var runs tektonv1.PipelineRunList
	if err := w.List(w.t.Context(), &runs, client.MatchingLabels{"pipelines.appstudio.openshift.io/type": stage}); err != nil {
		w.t.Fatal(err)
	}
	if len(runs.Items) > 1 {
		w.t.Fatalf("%d runs of stage %s", len(runs.Items), stage)
	}
	if len(runs.Items) == 0 {
		return nil
	}
	return &runs.Items[0]
}

func (w *world) finish(stage string, status corev1.ConditionStatus) {
	w.t.Helper()
	run := w.run(stage)
	if run == nil {
		w.t.Fatalf("no run of stage %s", stage)
	}
	run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: status, Message: "Tasks Completed: 3"})
	if err := w.Status().Update(w.t.Context(), run); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) bindings() int {
	w.t.Helper()
	var all rbacv1.RoleBindingList
	if err := w.List(w.t.Context(), &all); err != nil {
		w.t.Fatal(err)
	}
	return len(all.Items)
}

func (w *world) expect(rel *v1alpha1.Release, kind, reason, message string) {
	w.t.Helper()
	c := condition(rel, kind)
	if c == nil || c.Reason != reason || !strings.Contains(c.Message, message) {
		w.t.Errorf("condition %s is %+v, want reason %s and a message that says %q", kind, c, reason, message)
	}
}

func TestReleased(t *testing.T) {
	w := newWorld(t, nil)
	rel := w.settle()
	w.expect(rel, managedProcessed, progressing, "is running")
	w.expect(rel, tenantProcessed, skipped, "")
	if w.bindings() != 1 || w.run("managed").Namespace != "managed" {
		t.Errorf("%d RoleBindings, run in %s", w.bindings(), w.run("managed").Namespace)
	}
	// As a task of the run does.
	base := rel.DeepCopy()
	rel.Status.Artifacts = &runtime.RawExtension{Raw: []byte(`{"images":["a"]}`)}
	if err := w.Status().Patch(t.Context(), rel, client.MergeFrom(base)); err != nil {
		t.Fatal(err)
	}
	w.finish("managed", corev1.ConditionTrue)
	rel = w.settle()
	w.expect(rel, released, succeeded, "")
	if rel.Status.Artifacts == nil || !strings.Contains(string(rel.Status.Artifacts.Raw), "images") {
		t.Errorf("the artifacts are %v", rel.Status.Artifacts)
	}
	if rel.Labels["release.appstudio.openshift.io/snapshot"] != "shop-1" || rel.Labels["release.appstudio.openshift.io/releasePlan"] != "ship" {
		t.Errorf("the labels are %v", rel.Labels)
	}
	if len(rel.Status.ManagedPipelineAttempts) != 1 || rel.Status.CompletionTime == nil || rel.Status.Attribution.Author != "ada" {
		t.Errorf("got status %+v", rel.Status)
	}
	if w.bindings() != 0 || len(w.run("managed").Finalizers) != 0 {
		t.Errorf("%d RoleBindings and finalizers %v are left", w.bindings(), w.run("managed").Finalizers)
	}
}

// TestFinalRunsAfterFailure is also of the order of the stages.
func TestFinalRunsAfterFailure(t *testing.T) {
	w := newWorld(t, func(p *v1alpha1.ReleasePlan) {
		p.Spec.TenantPipeline = &v1alpha1.ParameterizedPipeline{Pipeline: pipeline()}
		p.Spec.FinalPipeline = &v1alpha1.ParameterizedPipeline{Pipeline: pipeline()}
	})
	w.settle()
	if w.run("managed") != nil || w.run("final") != nil {
		t.Error("a later stage began before the tenant's ended")
	}
	w.finish("tenant", corev1.ConditionFalse)
	rel := w.settle()
	w.expect(rel, tenantProcessed, failed, "Tasks Completed: 3")
	w.expect(rel, managedProcessed, skipped, "")
	if w.run("managed") != nil {
		t.Error("the managed pipeline runs although the tenant's failed")
	}
	w.finish("final", corev1.ConditionTrue)
	w.expect(w.settle(), released, failed, "TenantPipelineProcessed: Tasks Completed: 3")
}

func TestAdmissionGoesWhileTenantPipelineRuns(t *testing.T) {
	w := newWorld(t, func(p *v1alpha1.ReleasePlan) {
		p.Spec.TenantPipeline = &v1alpha1.ParameterizedPipeline{Pipeline: pipeline()}
	})
	w.settle()
	if err := w.Delete(t.Context(), w.admitted); err != nil {
		t.Fatal(err)
	}
	w.finish("tenant", corev1.ConditionTrue)
	rel := w.settle()
	w.expect(rel, managedProcessed, failed, "no ReleasePlanAdmission there")
	w.expect(rel, released, failed, "ManagedPipelineProcessed")
}

func TestAdmissionGoesWhileManagedPipelineRuns(t *testing.T) {
	w := newWorld(t, nil)
	w.settle()
	if err := w.Delete(t.Context(), w.admitted); err != nil {
		t.Fatal(err)
	}
	w.finish("managed", corev1.ConditionTrue)
	w.expect(w.settle(), released, succeeded, "")
	if w.bindings() != 0 {
		t.Error("the RoleBinding is left")
	}
}

// TestRunDeleted does not run the pipeline again: what it did is not known.
func TestRunDeleted(t *testing.T) {
	for name, letGo := range map[string]bool{"and held": false, "and gone": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.settle()
			run := w.run("managed")
			if letGo {
				run.Finalizers = nil
				if err := w.Update(t.Context(), run); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Delete(t.Context(), run); err != nil {
				t.Fatal(err)
			}
			w.expect(w.settle(), released, failed, "was deleted before it ended")
			if w.run("managed") != nil || w.bindings() != 0 {
				t.Error("the run or its RoleBinding is there")
			}
		})
	}
}

// TestCrash loses the status after the run was made, and after it ended.
func TestCrash(t *testing.T) {
	w := newWorld(t, nil)
	w.crash = "crash"
	w.settle()
	name := w.run("managed").Name
	w.finish("managed", corev1.ConditionTrue)
	w.crash = "crash"
	w.expect(w.settle(), released, succeeded, "")
	if got := w.run("managed").Name; got != name {
		t.Errorf("the run is %s, was %s", got, name)
	}
}

// TestFailedTask says what the step said.
func TestFailedTask(t *testing.T) {
	w := newWorld(t, nil)
	w.settle()
	run := w.run("managed")
	task := &tektonv1.TaskRun{ObjectMeta: metav1.ObjectMeta{Namespace: "managed", Name: "verify",
		Labels: map[string]string{"tekton.dev/pipelineRun": run.Name, "tekton.dev/pipelineTask": "verify-conforma"}}}
	task.Status.PodName = "verify-pod"
	task.Status.Steps = []tektonv1.StepState{{Container: "step-assert", ContainerState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1}}}}
	task.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionFalse, Message: "it failed"})
	if err := w.Create(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	w.finish("managed", corev1.ConditionFalse)
	rel := w.settle()
	w.expect(rel, released, failed, "task verify-conforma failed: it failed (kubectl -n managed logs verify-pod -c step-assert):\nthe log of step-assert in managed/verify-pod")
	if a := rel.Status.ManagedPipelineAttempts; len(a) != 1 || a[0].FailureReason != "Error" {
		t.Errorf("got attempts %+v", a)
	}
}

func TestInvalid(t *testing.T) {
	w := newWorld(t, func(p *v1alpha1.ReleasePlan) { p.Spec.Target = "elsewhere" })
	rel := w.settle()
	w.expect(rel, validated, failed, "targets namespace elsewhere")
	w.expect(rel, released, failed, "Release validation failed: ReleasePlan ship targets namespace elsewhere")
	if w.run("managed") != nil || !rel.Status.Validation.FailedPostValidation {
		t.Error("an invalid Release runs")
	}
}

// TestForgedAutomated has the label that only the integration service's mark
// in status makes true.
func TestForgedAutomated(t *testing.T) {
	w := newWorld(t, nil)
	rel := w.release()
	rel.Labels["release.appstudio.openshift.io/automated"] = "true"
	if err := w.Update(t.Context(), rel); err != nil {
		t.Fatal(err)
	}
	w.expect(w.settle(), validated, failed, "status.automated says that it did not")
}

func TestDeleted(t *testing.T) {
	w := newWorld(t, nil)
	rel := w.settle()
	if err := w.Delete(t.Context(), rel); err != nil {
		t.Fatal(err)
	}
	if _, err := w.r.Reconcile(t.Context(), w.release()); err != nil {
		t.Fatal(err)
	}
	if w.run("managed") != nil || w.bindings() != 0 {
		t.Error("the Release's run or RoleBinding outlives it")
	}
	if err := w.Get(t.Context(), client.ObjectKeyFromObject(rel), rel); !apierrors.IsNotFound(err) {
		t.Errorf("the Release is still there: %v", err)
	}
}
