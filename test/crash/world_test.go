// Package crash_test kills the controllers at every write to the API server in
// turn, before it arrives and after: every journey must end in the same objects
// as the one that nothing disturbed.
package crash_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"knative.dev/pkg/apis"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/controllers/build"
	"github.com/headrace-ci/headrace/pkg/controllers/cancel"
	"github.com/headrace-ci/headrace/pkg/controllers/candidate"
	"github.com/headrace-ci/headrace/pkg/controllers/component"
	"github.com/headrace-ci/headrace/pkg/controllers/componentgroup"
	"github.com/headrace-ci/headrace/pkg/controllers/manager"
	"github.com/headrace-ci/headrace/pkg/controllers/nesting"
	"github.com/headrace-ci/headrace/pkg/controllers/prgroup"
	"github.com/headrace-ci/headrace/pkg/snapshot"
	"github.com/headrace-ci/headrace/test/fixture/faults"
)

const (
	ns     = "dev"
	digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	pac    = "pipelinesascode.tekton.dev/"
)

// noon is when every journey happens.
var noon = time.Date(2025, 3, 4, 12, 0, 0, 0, time.UTC)

type proven struct{}

func (proven) Prove(context.Context, string) error { return nil }

// world is an API server, and controllers whose writes may fail.
type world struct {
	t     *testing.T
	c     client.WithWatch // of people, and of Tekton: it never fails
	ours  client.Client    // of the controllers
	write *faults.Write
}

func newWorld(t *testing.T, write *faults.Write, objects ...client.Object) *world {
	t.Helper()
	api := fake.NewClientBuilder().WithScheme(manager.Scheme()).WithObjects(objects...).WithStatusSubresource(
		&v1alpha1.Component{}, &v1alpha1.Snapshot{}, &v1beta2.ComponentGroup{}, &tektonv1.PipelineRun{},
	).Build()
	// The real one says when it made something.
	c := interceptor.NewClient(api, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			if o.GetCreationTimestamp() == (metav1.Time{}) {
				o.SetCreationTimestamp(metav1.NewTime(noon))
			}
			return c.Create(ctx, o, opts...)
		},
	})
	return &world{t: t, c: c, ours: interceptor.NewClient(c, write.Funcs()), write: write}
}

// settle runs the controllers over all there is, as after a start, until they
// have nothing to write any more. One that is killed starts again.
func (w *world) settle() {
	w.t.Helper()
	for range 40 {
		before := w.write.Seen()
		err := w.round()
		if err != nil && !errors.Is(err, faults.ErrKilled) {
			w.t.Fatal(err)
		}
		if err == nil && w.write.Seen() == before {
			return
		}
	}
	w.t.Fatal("the controllers do not come to rest")
}

func (w *world) round() error {
	now := func() time.Time { return noon }
	c := w.ours
	reconcilers := []struct {
		list client.ObjectList
		r    reconcile.Reconciler
	}{
		{&v1beta2.ComponentGroupList{}, reconcile.AsReconciler(c, &componentgroup.Reconciler{Client: c, Now: now})},
		{&v1alpha1.ComponentList{}, reconcile.AsReconciler(c, &component.Reconciler{Client: c, Now: now})},
		{&tektonv1.PipelineRunList{}, reconcile.AsReconciler(c, &build.Reconciler{Client: c, Reader: c, Logs: noLogs, Prover: proven{}, Now: now})},
		{&v1alpha1.SnapshotList{}, reconcile.AsReconciler(c, &candidate.Reconciler{Client: c, Now: now})},
		{&v1alpha1.SnapshotList{}, reconcile.AsReconciler(c, &nesting.Reconciler{Client: c, Now: now})},
		{&v1alpha1.SnapshotList{}, reconcile.AsReconciler(c, &cancel.Reconciler{Client: c, Now: now})},
		{&v1alpha1.SnapshotList{}, byGroup{c, &prgroup.Reconciler{Client: c}}},
	}
	for _, one := range reconcilers {
		if err := w.c.List(w.t.Context(), one.list); err != nil {
			return err
		}
		for _, name := range names(one.list) {
			if _, err := one.r.Reconcile(w.t.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Namespace: ns, Name: name}}); err != nil {
				return err
			}
		}
	}
	return nil
}

func noLogs(context.Context, client.ObjectKey, string) (string, error) { return "", nil }

// byGroup reconciles a Snapshot's PR group.
type byGroup struct {
	client.Client
	r *prgroup.Reconciler
}

func (b byGroup) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	var s v1alpha1.Snapshot
	if err := b.Get(ctx, request.NamespacedName, &s); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if request.Name = s.Labels[snapshot.PRGroupLabel]; request.Name == "" {
		return reconcile.Result{}, nil
	}
	return b.r.Reconcile(ctx, request)
}

func names(list client.ObjectList) []string {
	var found []string
	switch list := list.(type) {
	case *v1beta2.ComponentGroupList:
		for _, o := range list.Items {
			found = append(found, o.Name)
		}
	case *v1alpha1.ComponentList:
		for _, o := range list.Items {
			found = append(found, o.Name)
		}
	case *v1alpha1.SnapshotList:
		for _, o := range list.Items {
			found = append(found, o.Name)
		}
	case *tektonv1.PipelineRunList:
		for _, o := range list.Items {
			if o.Labels[snapshot.RunTypeLabel] == snapshot.BuildRun {
				found = append(found, o.Name)
			}
		}
	}
	return found
}

// state is all there is in the end.
type state struct {
	Snapshots  []v1alpha1.Snapshot
	Components []v1alpha1.Component
	Groups     []v1beta2.ComponentGroup
	Runs       []tektonv1.PipelineRun
}

func (w *world) state() state {
	w.t.Helper()
	var snapshots v1alpha1.SnapshotList
	var components v1alpha1.ComponentList
	var groups v1beta2.ComponentGroupList
	var runs tektonv1.PipelineRunList
	for _, list := range []client.ObjectList{&snapshots, &components, &groups, &runs} {
		if err := w.c.List(w.t.Context(), list); err != nil {
			w.t.Fatal(err)
		}
	}
	return state{snapshots.Items, components.Items, groups.Items, runs.Items}
}

// everyWrite runs a journey undisturbed, checks how it ends, and then runs it
// once for each write at which the controllers can be killed.
func everyWrite(t *testing.T, journey func(*world), check func(*testing.T, state), objects func() []client.Object) {
	t.Helper()
	run := func(t *testing.T, write *faults.Write) state {
		w := newWorld(t, write, objects()...)
		journey(w)
		return w.state()
	}
	whole := &faults.Write{}
	want := run(t, whole)
	check(t, want)
	if t.Failed() {
		return
	}
	for i := range whole.Seen() {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprintf("write %d, late %t", i+1, late), func(t *testing.T) {
				write := &faults.Write{At: i + 1, Late: late}
				got := run(t, write)
				if !write.Happened() {
					t.Fatal("the write was not reached")
				}
				if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(metav1.ObjectMeta{}, "ResourceVersion"), cmpopts.IgnoreMapEntries(eitherWay)); diff != "" {
					t.Errorf("it ends otherwise (-undisturbed +killed):\n%s", diff)
				}
			})
		}
	}
}

// eitherWay are annotations that say which of two Snapshots came first, where
// another one follows from both.
func eitherWay(key, _ string) bool {
	return key == snapshot.ChildAnnotation || key == snapshot.OriginAnnotation
}

// do is what people and Tekton do.
func (w *world) do(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func at(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: ns, Name: name, UID: types.UID("uid-" + name), Labels: map[string]string{}, Annotations: map[string]string{}}
}

func application() client.Object { return &v1alpha1.Application{ObjectMeta: at("shop")} }

func componentOf(name string) *v1alpha1.Component {
	return &v1alpha1.Component{ObjectMeta: at(name), Spec: v1alpha1.ComponentSpec{
		Application: "shop", Source: v1alpha1.ComponentSource{Git: &v1alpha1.GitSource{URL: "https://git.test/" + name}},
	}}
}

func built(name string) *v1alpha1.Component {
	c := componentOf(name)
	c.Annotations[snapshot.LastBuiltTime] = "1"
	c.Status.LastPromotedImage, c.Status.LastBuiltCommit = "registry.test/"+name+"@"+digest, "old"
	return c
}

// start starts a build some minutes before noon.
func (w *world) start(name, component string, minutes int, labels, annotations map[string]string) {
	w.t.Helper()
	run := &tektonv1.PipelineRun{ObjectMeta: at(name)}
	start := metav1.NewTime(noon.Add(-time.Duration(minutes) * time.Minute))
	run.CreationTimestamp, run.Status.StartTime = start, &start
	run.Labels[snapshot.RunTypeLabel], run.Labels[snapshot.ComponentLabel] = snapshot.BuildRun, component
	for k, v := range labels {
		run.Labels[k] = v
	}
	for k, v := range annotations {
		run.Annotations[k] = v
	}
	w.do(w.c.Create(w.t.Context(), run))
}

// end ends a build one minute after it began.
func (w *world) end(name string, status corev1.ConditionStatus) {
	w.t.Helper()
	run := &tektonv1.PipelineRun{}
	w.do(w.c.Get(w.t.Context(), client.ObjectKey{Namespace: ns, Name: name}, run))
	end := metav1.NewTime(run.Status.StartTime.Add(time.Minute))
	run.Status.CompletionTime = &end
	run.Status.Conditions = []apis.Condition{{Type: apis.ConditionSucceeded, Status: status, Message: "Tasks Completed: 1",
		LastTransitionTime: apis.VolatileTime{Inner: end}}}
	for _, result := range [][2]string{
		{"IMAGE_URL", "registry.test/" + run.Labels[snapshot.ComponentLabel] + ":" + name}, {"IMAGE_DIGEST", digest},
		{"CHAINS-GIT_URL", "https://git.test/x"}, {"CHAINS-GIT_COMMIT", "0123456"},
	} {
		run.Status.Results = append(run.Status.Results, tektonv1.PipelineRunResult{Name: result[0], Value: *tektonv1.NewStructuredValues(result[1])})
	}
	w.do(w.c.Status().Update(w.t.Context(), run))
}
