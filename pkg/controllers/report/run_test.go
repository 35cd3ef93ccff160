package report

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/report"
	"github.com/headrace-ci/headrace/pkg/snapshot"
	"github.com/headrace-ci/headrace/test/fixture/faults"
)

// TestPodFails writes down a task that could not say itself what failed, tries
// again after a pause, and keeps the task until then.
func TestPodFails(t *testing.T) {
	w := newWorld(t, &faults.Write{}, config())
	w.create(w.repository(nil), w.newSnapshot(w.line("smoke", snapshot.TestPassed, 0)))
	w.settle(report.KindSnapshot, "shop-1")
	first := w.one()
	w.end(first, corev1.ConditionFalse, "the image cannot be pulled")
	result := w.settle(report.KindSnapshot, "shop-1")
	s := w.snapshot()
	if text := s.Annotations[report.FailureAnnotation]; text != "task dev/"+first.Name+" failed: the image cannot be pulled" {
		t.Errorf("the Snapshot says %q", text)
	}
	if failure := report.ReadBooks(s).Failures["web-repo"]; failure.Attempts != 1 || failure.Permanent || result.RequeueAfter != 30*time.Second {
		t.Errorf("%+v, again %v; want it counted once", failure, result)
	}
	w.one()
	// Somebody asks for another attempt at once, which fails like the first.
	w.change(func(s *v1alpha1.Snapshot) { delete(s.Annotations, report.FailureAnnotation) })
	w.settle(report.KindSnapshot, "shop-1")
	second := w.one()
	if second.Annotations[attemptsKey] != "1" || second.IsDone() {
		t.Fatalf("the next task is %+v", second)
	}
	w.end(second, corev1.ConditionFalse, "the image still cannot be pulled")
	result = w.settle(report.KindSnapshot, "shop-1")
	if failure := report.ReadBooks(w.snapshot()).Failures["web-repo"]; failure.Attempts != 2 || result.RequeueAfter != time.Minute {
		t.Errorf("%+v, again %v; want two attempts, and a longer pause", failure, result)
	}
	w.now = w.now.Add(time.Minute)
	w.settle(report.KindSnapshot, "shop-1")
	if third := w.one(); third.Annotations[attemptsKey] != "2" || third.IsDone() {
		t.Errorf("the third task is %+v", third)
	}
	w.work()
	w.settle(report.KindSnapshot, "shop-1")
	if text, ok := w.snapshot().Annotations[report.FailureAnnotation]; ok || len(w.tasks()) != 0 || len(w.host.Statuses()) != 1 {
		t.Errorf("the Snapshot still says %q; %d tasks, statuses %+v", text, len(w.tasks()), w.host.Statuses())
	}
}

// TestTaskFails leaves alone what the task wrote down itself, does not try again
// before it is time, and at once with another login.
func TestTaskFails(t *testing.T) {
	w := newWorld(t, &faults.Write{}, config())
	repository := w.repository(nil)
	w.create(repository, w.newSnapshot(w.line("smoke", snapshot.TestPassed, 0)))
	w.settle(report.KindSnapshot, "shop-1")
	known, err := report.ReadRepository(repository.Object)
	if err != nil {
		t.Fatal(err)
	}
	books := report.ReadBooks(w.snapshot())
	books.Fail(known, "403 Forbidden", true, 0, w.now)
	s := w.snapshot()
	s.Annotations[report.BooksAnnotation], s.Annotations[report.FailureAnnotation] = books.String(), books.Text()
	if err := w.Update(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	w.end(w.one(), corev1.ConditionFalse, "exit code 1")
	for _, pass := range []time.Duration{0, 30 * time.Minute} {
		w.now = w.now.Add(pass)
		if result := w.settle(report.KindSnapshot, "shop-1"); result.RequeueAfter == 0 || !w.one().IsDone() {
			t.Errorf("after %v: again %v, the task %+v", pass, result, w.one().Status)
		}
	}
	if got := w.snapshot().Annotations[report.BooksAnnotation]; got != books.String() {
		t.Errorf("what the task wrote became %s", got)
	}
	requests := w.reconciler().failedIn(report.KindSnapshot)(t.Context(), repository)
	if diff := cmp.Diff([]reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: "dev", Name: "shop-1"}}}, requests); diff != "" {
		t.Errorf("a change of the Repository wakes (-want +got):\n%s", diff)
	}
	provider := map[string]any{"secret": map[string]any{"name": "better"}}
	if err := unstructured.SetNestedField(repository.Object, provider, "spec", "git_provider"); err != nil {
		t.Fatal(err)
	}
	if err := w.Update(t.Context(), repository); err != nil {
		t.Fatal(err)
	}
	w.settle(report.KindSnapshot, "shop-1")
	if run := w.one(); run.IsDone() || !strings.Contains(run.Spec.Params[4].Value.StringVal, "better") {
		t.Errorf("with another login the task is %+v", run.Spec.Params)
	}
}

// TestApp runs where the App's key is, may write only where the Snapshot is,
// and goes when the Snapshot is gone.
func TestApp(t *testing.T) {
	w := newWorld(t, &faults.Write{}, config())
	s := w.newSnapshot(w.line("smoke", snapshot.TestPassed, 0))
	s.Labels[pac+"git-provider"], s.Labels[pac+"installation-id"] = "github", "99"
	s.Annotations[pac+"repo-url"] = "https://github.com/shop/web"
	w.create(w.repository(map[string]any{"url": "https://github.com/shop/web"}), s)
	w.settle(report.KindSnapshot, "shop-1")
	run := w.one()
	got := map[string]string{}
	for _, p := range run.Spec.Params {
		got[p.Name] = p.Value.StringVal
	}
	if run.Namespace != "headrace-system" || len(run.OwnerReferences) != 0 || got["provider"] != "github-app" || got["secretName"] != "pipelines-as-code-secret" || got["secretKey"] != "" {
		t.Errorf("the task is in %s with %v", run.Namespace, got)
	}
	binding := &rbacv1.RoleBinding{}
	if err := w.Get(t.Context(), client.ObjectKey{Namespace: "dev", Name: "headrace-reporter-app"}, binding); err != nil || binding.Subjects[0].Namespace != "headrace-system" {
		t.Errorf("the binding is %+v, %v", binding, err)
	}
	if requests := subjectOf(run, report.KindSnapshot); len(requests) != 1 || requests[0].String() != "dev/shop-1" || len(subjectOf(run, report.KindBuild)) != 0 {
		t.Errorf("the task wakes %v", requests)
	}
	if err := w.Delete(t.Context(), w.snapshot()); err != nil {
		t.Fatal(err)
	}
	w.settle(report.KindSnapshot, "shop-1")
	if n := len(w.tasks()); n != 0 {
		t.Errorf("%d tasks of a Snapshot that is gone", n)
	}
}

func (w *world) build() *tektonv1.PipelineRun {
	run := &tektonv1.PipelineRun{ObjectMeta: at("web-1")}
	start := metav1.NewTime(w.now.Add(-time.Minute))
	run.CreationTimestamp, run.Status.StartTime = start, &start
	run.Labels = map[string]string{snapshot.RunTypeLabel: snapshot.BuildRun, snapshot.ComponentLabel: "web"}
	for k, v := range map[string]string{"git-provider": "forgejo", "event-type": "pull_request", "pull-request": "5", "sha": commit, "repo-url": w.host.URL + "/shop/web"} {
		run.Annotations["pipelinesascode.tekton.dev/"+k] = v
		run.Labels["pipelinesascode.tekton.dev/"+k] = v
	}
	return run
}

// TestBuild is pending before it ends, and its Snapshot waits for that to be
// told: "pending" must not be the last word.
func TestBuild(t *testing.T) {
	w := newWorld(t, &faults.Write{}, config())
	w.create(w.repository(nil), w.build(), w.newSnapshot(w.line("smoke", snapshot.TestPassed, 0)))
	w.settle(report.KindBuild, "web-1")
	if run := w.one(); run.OwnerReferences[0].Kind != "PipelineRun" || run.Annotations[nameKey] != "web-1" {
		t.Errorf("the task is %+v", run.ObjectMeta)
	}
	if result := w.settle(report.KindSnapshot, "shop-1"); result.RequeueAfter != busy {
		t.Errorf("the Snapshot does not wait: %v", result)
	}
	w.work()
	w.settle(report.KindBuild, "web-1")
	w.settle(report.KindSnapshot, "shop-1")
	w.work()
	w.settle(report.KindSnapshot, "shop-1")
	var told []string
	for _, s := range w.host.Statuses() {
		told = append(told, s.State)
	}
	if diff := cmp.Diff([]string{"pending", "success"}, told); diff != "" || len(w.tasks()) != 0 {
		t.Errorf("%d tasks are left; told (-want +got):\n%s", len(w.tasks()), diff)
	}
	requests := w.reconciler().failedIn(report.KindBuild)(t.Context(), w.repository(nil))
	if len(requests) != 0 {
		t.Errorf("a Repository wakes %v, which did not fail", requests)
	}
}

// TestByHand says nothing on a build that is of no pull request.
func TestByHand(t *testing.T) {
	w := newWorld(t, &faults.Write{}, config())
	run := w.build()
	run.Annotations, run.Labels = nil, map[string]string{snapshot.RunTypeLabel: snapshot.BuildRun, snapshot.ComponentLabel: "web"}
	w.create(w.repository(nil), run)
	w.settle(report.KindBuild, "web-1")
	got := &tektonv1.PipelineRun{}
	if err := w.Get(t.Context(), client.ObjectKeyFromObject(run), got); err != nil || len(got.Annotations) != 0 || len(w.tasks()) != 0 {
		t.Errorf("the build says %v, %v; %d tasks", got.Annotations, err, len(w.tasks()))
	}
}

// unknown is a cluster that has no Pipelines as Code.
type unknown struct{ client.Client }

func (u unknown) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	if l, ok := list.(*unstructured.UnstructuredList); ok {
		return &meta.NoKindMatchError{GroupKind: l.GroupVersionKind().GroupKind()}
	}
	return u.Client.List(ctx, list, opts...)
}

// TestNoPipelinesAsCode says so, and does not fail.
func TestNoPipelinesAsCode(t *testing.T) {
	w := newWorld(t, &faults.Write{}, config())
	w.create(w.newSnapshot(w.line("smoke", snapshot.TestPassed, 0)))
	w.acting = unknown{w.acting}
	w.settle(report.KindSnapshot, "shop-1")
	if text := w.snapshot().Annotations[report.FailureAnnotation]; !strings.Contains(text, "no PaC Repository in the namespace") {
		t.Errorf("the Snapshot says %q", text)
	}
}
