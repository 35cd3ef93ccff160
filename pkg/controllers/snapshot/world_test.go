package snapshot

import (
	"context"
	"encoding/base64"
	"errors"
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	resolutionv1 "github.com/tektoncd/pipeline/pkg/apis/resolution/v1beta1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"knative.dev/pkg/apis"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/snapshot"
	"github.com/headrace-ci/headrace/test/fixture/faults"
)

func at(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "dev", Name: name, UID: "0"}
}

// world is a cluster with a Snapshot, in which a test plays Tekton.
type world struct {
	client.WithWatch
	t      *testing.T
	reader client.Reader // nil for the client
	events *events.FakeRecorder
	fault  error // what a write fails with, on purpose
	now    int64
}

func newWorld(t *testing.T, funcs interceptor.Funcs, objects ...client.Object) *world {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		tektonv1.AddToScheme, resolutionv1.AddToScheme, v1alpha1.AddToScheme, v1beta2.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	plan := &v1alpha1.ReleasePlan{ObjectMeta: at("ship"), Spec: v1alpha1.ReleasePlanSpec{Application: "shop"}}
	plan.Labels = map[string]string{snapshot.AutoReleaseKey: "true"}
	objects = append(objects, &v1alpha1.Application{ObjectMeta: at("shop")}, plan,
		&v1alpha1.Snapshot{ObjectMeta: at("shop-1"), Spec: v1alpha1.SnapshotSpec{Application: "shop"}})
	w := &world{t: t, now: 1000, events: events.NewFakeRecorder(100), fault: faults.ErrKilled}
	create := funcs.Create
	funcs.Create = func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
		o.SetCreationTimestamp(metav1.Unix(w.now, 0)) // as the API server does
		if create != nil {
			return create(ctx, c, o, opts...)
		}
		return c.Create(ctx, o, opts...)
	}
	w.WithWatch = fake.NewClientBuilder().WithScheme(scheme).WithReturnManagedFields().
		WithStatusSubresource(&v1alpha1.Snapshot{}, &v1alpha1.Release{}, &v1beta2.IntegrationTestScenario{}, &tektonv1.PipelineRun{}, &resolutionv1.ResolutionRequest{}).
		WithObjects(objects...).WithInterceptorFuncs(funcs).Build()
	return w
}

func scenario(name string, change ...func(*v1beta2.IntegrationTestScenario)) *v1beta2.IntegrationTestScenario {
	s := &v1beta2.IntegrationTestScenario{ObjectMeta: at(name), Spec: v1beta2.IntegrationTestScenarioSpec{
		Application: "shop", ResolverRef: v1beta2.ResolverRef{Resolver: "bundles"}}}
	for _, c := range change {
		c(s)
	}
	return s
}

func optional(s *v1beta2.IntegrationTestScenario) {
	s.Labels = map[string]string{snapshot.OptionalLabel: "true"}
}

func runReference(s *v1beta2.IntegrationTestScenario) {
	s.Spec.ResolverRef.ResourceKind = snapshot.PipelineRunKind
}

func (w *world) reconcile() (ctrl.Result, error) {
	r := &Reconciler{Client: w, Reader: w.reader, Events: w.events, Now: func() time.Time { return time.Unix(w.now, 0).UTC() }}
	return r.Reconcile(w.t.Context(), w.snapshot())
}

// settle reconciles as a controller does that is started again when killed.
func (w *world) settle() ctrl.Result {
	w.t.Helper()
	var last ctrl.Result
	for range 4 {
		result, err := w.reconcile()
		if err != nil && !errors.Is(err, w.fault) {
			w.t.Fatal(err)
		}
		last = result
	}
	return last
}

func (w *world) snapshot() *v1alpha1.Snapshot {
	w.t.Helper()
	s := &v1alpha1.Snapshot{}
	if err := w.Get(w.t.Context(), client.ObjectKey{Namespace: "dev", Name: "shop-1"}, s); err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) runs() []tektonv1.PipelineRun {
	w.t.Helper()
	var list tektonv1.PipelineRunList
	if err := w.List(w.t.Context(), &list); err != nil {
		w.t.Fatal(err)
	}
	return list.Items
}

func (w *world) requests() []resolutionv1.ResolutionRequest {
	w.t.Helper()
	var list resolutionv1.ResolutionRequestList
	if err := w.List(w.t.Context(), &list); err != nil {
		w.t.Fatal(err)
	}
	return list.Items
}

func (w *world) releases() []v1alpha1.Release {
	w.t.Helper()
	var list v1alpha1.ReleaseList
	if err := w.List(w.t.Context(), &list); err != nil {
		w.t.Fatal(err)
	}
	return list.Items
}

// play is a write of somebody else's, which a fault is not meant for.
func (w *world) play(write func() error) {
	w.t.Helper()
	for {
		err := write()
		if err == nil {
			return
		}
		if !errors.Is(err, w.fault) {
			w.t.Fatal(err)
		}
	}
}

// finish ends every run that is not done, behind the controller's back.
func (w *world) finish(status corev1.ConditionStatus) {
	w.end(status, "Completed", "Tasks Completed: 1")
}

func (w *world) end(status corev1.ConditionStatus, reason, message string, scenarios ...string) {
	w.t.Helper()
	for _, run := range w.runs() {
		if run.IsDone() || len(scenarios) > 0 && run.Labels[snapshot.ScenarioLabel] != scenarios[0] {
			continue
		}
		end := metav1.Unix(w.now, 0)
		run.Status.CompletionTime = &end
		run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: status, Reason: reason, Message: message})
		w.play(func() error { return w.Status().Update(w.t.Context(), &run) })
	}
}

// answer plays the resolvers: every request that is open gets the document or,
// for an empty one, the failure.
func (w *world) answer(document, reason, message string) {
	w.t.Helper()
	for _, request := range w.requests() {
		if request.Status.GetCondition(apis.ConditionSucceeded) != nil {
			continue
		}
		c := apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionTrue}
		if document == "" {
			c.Status, c.Reason, c.Message = corev1.ConditionFalse, reason, message
		}
		c.LastTransitionTime = apis.VolatileTime{Inner: metav1.Unix(w.now, 0)}
		request.Status.Conditions = []apis.Condition{c}
		request.Status.Data = base64.StdEncoding.EncodeToString([]byte(document))
		w.play(func() error { return w.Status().Update(w.t.Context(), &request) })
	}
}

// ask sets the label by which to run again.
func (w *world) ask(scenario string) {
	w.t.Helper()
	w.play(func() error {
		s := w.snapshot()
		metav1.SetMetaDataLabel(&s.ObjectMeta, snapshot.RerunLabel, scenario)
		return w.Update(w.t.Context(), s)
	})
}

func (w *world) tests() snapshot.Tests {
	w.t.Helper()
	s := w.snapshot()
	copied, err := snapshot.ParseTests(s.Annotations[snapshot.StatusAnnotation])
	if err != nil {
		w.t.Fatal(err)
	}
	truth := snapshot.TestsOf(s)
	if copied.String() != truth.String() {
		w.t.Errorf("the annotation is %s\nthe status is %s", copied, truth)
	}
	return truth
}

func (w *world) test(scenario string) snapshot.Test {
	w.t.Helper()
	test := w.tests().Find(scenario)
	if test == nil {
		return snapshot.Test{}
	}
	return *test
}

func (w *world) statuses() map[string]string {
	w.t.Helper()
	got := map[string]string{}
	for _, test := range w.tests() {
		got[test.Scenario] = test.Status
	}
	return got
}

// conditions are the Snapshot's, as type=reason.
func (w *world) conditions() map[string]string {
	w.t.Helper()
	got := map[string]string{}
	for _, c := range w.snapshot().Status.Conditions {
		got[c.Type] = string(c.Status) + "/" + c.Reason
	}
	return got
}

// mark sets the condition of a Snapshot that another controller ended.
func (w *world) mark(reason string) {
	w.t.Helper()
	s := w.snapshot()
	(&Reconciler{Now: func() time.Time { return time.Unix(w.now, 0) }}).set(s, snapshot.IntegrationCondition, metav1.ConditionTrue, reason, "why")
	w.play(func() error { return w.Status().Update(w.t.Context(), s) })
}
