package report

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"knative.dev/pkg/apis"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/report"
	"github.com/headrace-ci/headrace/pkg/snapshot"
	"github.com/headrace-ci/headrace/pkg/task/reportstatus"
	"github.com/headrace-ci/headrace/test/fixture/faults"
	"github.com/headrace-ci/headrace/test/fixture/scm"
)

const (
	commit = "0123456789abcdef0123456789abcdef01234567"
	pac    = "pac.test.appstudio.openshift.io/"
	bundle = "registry.test/catalog/task-report-status:0.1.0@sha256:0123"
)

// world is a cluster with a git host, in which a test plays Tekton.
type world struct {
	client.Client
	acting client.Client // the controller's and the task's, which a fault is for

	refusal error // what the fault is, where nobody is killed
	host    *scm.Server
	t       *testing.T
	now     time.Time
	most    int
}

func at(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "dev", Name: name, UID: "0", Labels: map[string]string{}, Annotations: map[string]string{}}
}

func newWorld(t *testing.T, fault *faults.Write, objects ...client.Object) *world {
	t.Helper()
	w := &world{t: t, refusal: fault.Err, host: scm.Forgejo(t), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	w.host.Tokens["t0ken"] = scm.Token{User: 7, Writes: []string{"shop/web"}}
	w.host.Commits["shop/web"] = []string{commit}
	scheme := reportstatus.Scheme()
	for _, add := range []func() error{func() error { return corev1.AddToScheme(scheme) }, func() error { return rbacv1.AddToScheme(scheme) }} {
		if err := add(); err != nil {
			t.Fatal(err)
		}
	}
	scheme.AddKnownTypeWithName(repositoryObject().GroupVersionKind(), &unstructured.Unstructured{})
	scheme.AddKnownTypeWithName(repositoryObject().GroupVersionKind().GroupVersion().WithKind("RepositoryList"), &unstructured.UnstructuredList{})
	component := &v1alpha1.Component{ObjectMeta: at("web"), Spec: v1alpha1.ComponentSpec{Application: "shop"}}
	scenario := &v1beta2.IntegrationTestScenario{ObjectMeta: at("smoke"), Spec: v1beta2.IntegrationTestScenarioSpec{Application: "shop"}}
	base := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&tektonv1.TaskRun{}).
		WithObjects(append(objects, component, scenario)...).Build()
	w.Client, w.acting = base, interceptor.NewClient(base, fault.Funcs())
	return w
}

func config() *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "headrace-system", Name: "reporting"}, Data: map[string]string{"bundle": bundle}}
}

func (w *world) create(objects ...client.Object) {
	w.t.Helper()
	for _, o := range objects {
		if err := w.Create(w.t.Context(), o); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) repository(spec map[string]any) *unstructured.Unstructured {
	u := repositoryObject()
	u.SetNamespace("dev")
	u.SetName("web-repo")
	if spec == nil {
		spec = map[string]any{"url": w.host.URL + "/shop/web", "git_provider": map[string]any{"secret": map[string]any{"name": "login"}}}
	}
	u.Object["spec"] = spec
	return u
}

func (w *world) line(scenario, status string, ago time.Duration) snapshot.Test {
	return snapshot.Test{Scenario: scenario, Status: status, LastUpdateTime: w.now.Add(-ago)}
}

func (w *world) newSnapshot(lines ...snapshot.Test) *v1alpha1.Snapshot {
	s := &v1alpha1.Snapshot{ObjectMeta: at("shop-1"), Spec: v1alpha1.SnapshotSpec{Application: "shop"}}
	s.CreationTimestamp = metav1.NewTime(w.now.Add(-time.Hour))
	s.Labels = map[string]string{
		snapshot.TypeLabel: snapshot.ComponentType, snapshot.ComponentLabel: "web", snapshot.BuildLabel: "web-1",
		pac + "git-provider": "forgejo", pac + "event-type": "pull_request", pac + "pull-request": "5", pac + "sha": commit,
	}
	s.Annotations = map[string]string{pac + "repo-url": w.host.URL + "/shop/web", snapshot.StatusAnnotation: snapshot.Tests(lines).String()}
	return s
}

func (w *world) set(lines ...snapshot.Test) {
	w.t.Helper()
	w.change(func(s *v1alpha1.Snapshot) { s.Annotations[snapshot.StatusAnnotation] = snapshot.Tests(lines).String() })
}

func (w *world) change(f func(*v1alpha1.Snapshot)) {
	w.t.Helper()
	s := w.snapshot()
	f(s)
	if err := w.Update(w.t.Context(), s); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) snapshot() *v1alpha1.Snapshot {
	w.t.Helper()
	s := &v1alpha1.Snapshot{}
	if err := w.Get(w.t.Context(), client.ObjectKey{Namespace: "dev", Name: "shop-1"}, s); err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) reconciler() *Reconciler {
	return &Reconciler{Client: w.acting, Tasks: w.acting, Config: w.acting, Now: func() time.Time { return w.now }, Settings: Settings{
		Namespace: "headrace-system", AppNamespace: "headrace-system", AppSecret: "pipelines-as-code-secret", Most: w.most,
		ConsoleName: "Integration Service", RunURL: "https://console.example.com/{{PIPELINE_RUN_NAME}}",
	}}
}

// settle reconciles as a controller does that is started again when killed.
func (w *world) settle(kind, name string) ctrl.Result {
	w.t.Helper()
	var last ctrl.Result
	for range 4 {
		result, err := w.reconciler().Reconcile(w.t.Context(), kind, client.ObjectKey{Namespace: "dev", Name: name})
		if err != nil && !errors.Is(err, faults.ErrKilled) && !errors.Is(err, w.refusal) {
			w.t.Fatal(err)
		}
		last = result
	}
	return last
}

func (w *world) tasks() []tektonv1.TaskRun {
	w.t.Helper()
	var list tektonv1.TaskRunList
	if err := w.List(w.t.Context(), &list); err != nil {
		w.t.Fatal(err)
	}
	return list.Items
}

func (w *world) one() *tektonv1.TaskRun {
	w.t.Helper()
	all := w.tasks()
	if len(all) != 1 {
		w.t.Fatalf("%d tasks, want one", len(all))
	}
	return &all[0]
}

// end ends a task as Tekton does.
func (w *world) end(run *tektonv1.TaskRun, status corev1.ConditionStatus, message string) {
	w.t.Helper()
	run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: status, Message: message})
	if err := w.Status().Update(w.t.Context(), run); err != nil {
		w.t.Fatal(err)
	}
}

// work runs the real task with the params that a TaskRun gives it, and ends it.
func (w *world) work() {
	w.t.Helper()
	run := w.one()
	opts := reportstatus.Options{Client: w.acting, HTTP: w.host.HTTP, Now: func() time.Time { return w.now }, SecretDir: w.t.TempDir()}
	if err := os.WriteFile(filepath.Join(opts.SecretDir, "token"), []byte("t0ken"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	fields := map[string]*string{
		"resource": &opts.Resource, "resourceType": &opts.ResourceType, "repository": &opts.Repository, "provider": &opts.Provider,
		"secretName": &opts.SecretName, "secretKey": &opts.SecretKey, "consoleName": &opts.Links.ConsoleName, "consoleUrl": &opts.Links.Run,
	}
	for _, p := range run.Spec.Params {
		field, ok := fields[p.Name]
		if !ok {
			w.t.Fatalf("param %s is not known", p.Name)
		}
		*field = p.Value.StringVal
	}
	for err := reportstatus.Run(w.t.Context(), opts); err != nil; err = reportstatus.Run(w.t.Context(), opts) {
		if !errors.Is(err, faults.ErrKilled) && !errors.Is(err, w.refusal) {
			w.t.Fatal(err)
		}
	}
	w.end(run, corev1.ConditionTrue, "")
}

// TestTaskRun is all that a task is given, and that is no secret.
func TestTaskRun(t *testing.T) {
	w := newWorld(t, &faults.Write{}, config())
	w.create(w.repository(nil), w.newSnapshot(w.line("smoke", snapshot.TestPassed, 0)))
	w.settle(report.KindSnapshot, "shop-1")
	run := w.one()
	want := tektonv1.TaskRunSpec{
		ServiceAccountName: "headrace-reporter", Timeout: &metav1.Duration{Duration: timeout},
		TaskRef: &tektonv1.TaskRef{ResolverRef: tektonv1.ResolverRef{Resolver: "bundles", Params: params("name", "report-status", "bundle", bundle, "kind", "task")}},
		Params: params("resource", "dev/shop-1", "resourceType", "snapshot", "repository", "web-repo", "provider", "forgejo", "secretName", "login",
			"secretKey", "provider.token", "consoleName", "Integration Service", "consoleUrl", "https://console.example.com/{{PIPELINE_RUN_NAME}}"),
	}
	if diff := cmp.Diff(want, run.Spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	if run.Namespace != "dev" || len(run.Name) > 63 || len(run.OwnerReferences) != 1 || run.OwnerReferences[0].Kind != "Snapshot" {
		t.Errorf("it is %s/%s, owned by %+v", run.Namespace, run.Name, run.OwnerReferences)
	}
	binding := &rbacv1.RoleBinding{}
	if err := w.Get(t.Context(), client.ObjectKey{Namespace: "dev", Name: "headrace-reporter"}, binding); err != nil || binding.RoleRef.Name != "headrace-reporter" ||
		len(binding.Subjects) != 1 || binding.Subjects[0].Namespace != "dev" {
		t.Errorf("the binding is %+v, %v", binding, err)
	}
}

type end struct {
	Snapshot *v1alpha1.Snapshot
	Tasks    int
	Told     []string
	Comments int
}

// TestDisturbedAtEveryWrite ends the same wherever the controller or the task was
// killed, before the write arrived or after, or was refused: told once, with no
// task left.
func TestDisturbedAtEveryWrite(t *testing.T) {
	journey := func(t *testing.T, fault *faults.Write) end {
		w := newWorld(t, fault, config())
		s := w.newSnapshot(w.line("smoke", snapshot.Pending, time.Minute))
		w.create(w.repository(nil), s)
		w.settle(report.KindSnapshot, "shop-1")
		w.work()
		w.set(w.line("smoke", snapshot.TestPassed, 0))
		w.settle(report.KindSnapshot, "shop-1")
		w.settle(report.KindSnapshot, "shop-1")
		w.work()
		w.settle(report.KindSnapshot, "shop-1")
		e := end{Snapshot: w.snapshot(), Tasks: len(w.tasks()), Comments: len(w.host.Comments("shop/web", 5))}
		delete(e.Snapshot.Annotations, pac+"repo-url")
		for _, s := range w.host.Statuses() {
			e.Told = append(e.Told, s.State)
		}
		return e
	}
	whole := &faults.Write{}
	want := journey(t, whole)
	if diff := cmp.Diff([]string{"pending", "success"}, want.Told); diff != "" || want.Tasks != 0 || want.Comments != 1 {
		t.Fatalf("undisturbed it ends in %+v", want)
	}
	for i := range whole.Seen() {
		all := map[string]faults.Write{"killed before": {}, "killed after": {Late: true}}
		for name, err := range faults.Refusals() {
			all[name] = faults.Write{Err: err}
		}
		for name, fault := range all {
			t.Run(fmt.Sprintf("write %d, %s", i+1, name), func(t *testing.T) {
				fault.At = i + 1
				fault := &fault
				got := journey(t, fault)
				if !fault.Happened() {
					t.Fatal("the write was not reached")
				}
				if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(metav1.ObjectMeta{}, "ResourceVersion")); diff != "" {
					t.Errorf("it ended otherwise (-undisturbed +disturbed):\n%s", diff)
				}
			})
		}
	}
}

// TestOneAtATime starts no second task while one runs, whatever happens.
func TestOneAtATime(t *testing.T) {
	w := newWorld(t, &faults.Write{}, config())
	w.create(w.repository(nil), w.newSnapshot(w.line("smoke", snapshot.TestPassed, 0)))
	w.settle(report.KindSnapshot, "shop-1")
	w.set(w.line("smoke", snapshot.TestPassed, 0), w.line("soak", snapshot.TestFail, 0))
	w.settle(report.KindSnapshot, "shop-1")
	first := w.one()
	// A cache that does not know it yet.
	r := w.reconciler()
	r.Tasks = newWorld(t, &faults.Write{})
	if result, err := r.Reconcile(t.Context(), report.KindSnapshot, client.ObjectKey{Namespace: "dev", Name: "shop-1"}); err != nil || result.RequeueAfter != busy {
		t.Errorf("with a cache that lags: %v, %v", result, err)
	}
	if second := w.one(); second.Name != first.Name || second.ResourceVersion != first.ResourceVersion {
		t.Errorf("the task changed")
	}
	w.work()
	w.settle(report.KindSnapshot, "shop-1")
	if n, told := len(w.tasks()), w.host.Statuses(); n != 0 || len(told) != 2 {
		t.Errorf("%d tasks left, told %+v; want none, and both tests by the one", n, told)
	}
}

// TestMost holds up tasks while too many run.
func TestMost(t *testing.T) {
	w := newWorld(t, &faults.Write{}, config())
	w.most = 1
	other := &tektonv1.TaskRun{ObjectMeta: at("another")}
	other.Labels[Label] = "another"
	w.create(w.repository(nil), w.newSnapshot(w.line("smoke", snapshot.TestPassed, 0)), other)
	if result := w.settle(report.KindSnapshot, "shop-1"); result.RequeueAfter != busy || len(w.tasks()) != 1 {
		t.Errorf("with one running: %v and %d tasks", result, len(w.tasks()))
	}
	w.end(other, corev1.ConditionTrue, "")
	w.settle(report.KindSnapshot, "shop-1")
	if n := len(w.tasks()); n != 2 {
		t.Errorf("%d tasks after the other's end, want two", n)
	}
}

// TestSaid writes on the Snapshot why nothing is told, and starts nothing.
func TestSaid(t *testing.T) {
	passed := func(w *world) *v1alpha1.Snapshot { return w.newSnapshot(w.line("smoke", snapshot.TestPassed, 0)) }
	for name, tc := range map[string]struct {
		objects func(w *world) []client.Object
		want    string
		after   time.Duration
	}{
		"reporting is off": {
			objects: func(w *world) []client.Object { return []client.Object{passed(w), w.repository(nil)} },
			want:    "reporting is off: ConfigMap headrace-system/reporting names no bundle", after: switchedOff,
		},
		"no provider": {
			objects: func(w *world) []client.Object {
				s := passed(w)
				delete(s.Labels, pac+"git-provider")
				return []client.Object{s, w.repository(nil), config()}
			},
			want: "shop-1 has no label or annotation pac.test.appstudio.openshift.io/git-provider",
		},
		"made by hand": {
			objects: func(w *world) []client.Object {
				return []client.Object{&v1alpha1.Snapshot{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: "shop-1", CreationTimestamp: metav1.NewTime(w.now)}}, config()}
			},
			want: "a Snapshot of type manual is of no commit",
		},
		"no Repository": {
			objects: func(w *world) []client.Object { return []client.Object{passed(w), config()} },
			want:    "no PaC Repository in the namespace is for https://127.0.0.1", after: time.Hour,
		},
		"no Secret": {
			objects: func(w *world) []client.Object {
				return []client.Object{passed(w), w.repository(map[string]any{"url": w.host.URL + "/shop/web"}), config()}
			},
			want: "PaC Repository web-repo names no Secret", after: time.Hour,
		},
	} {
		t.Run(name, func(t *testing.T) {
			writes := &faults.Write{}
			w := newWorld(t, writes)
			w.create(tc.objects(w)...)
			result := w.settle(report.KindSnapshot, "shop-1")
			if got := w.snapshot().Annotations[report.FailureAnnotation]; !strings.Contains(got, tc.want) {
				t.Errorf("the Snapshot says %q, want %q", got, tc.want)
			}
			if n := writes.Seen(); n != 1 || len(w.tasks()) != 0 || result.RequeueAfter != tc.after {
				t.Errorf("%d writes, %d tasks, again %v; want one, none, %v", n, len(w.tasks()), result, tc.after)
			}
		})
	}
}
