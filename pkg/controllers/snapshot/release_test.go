package snapshot

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	resolutionv1 "github.com/tektoncd/pipeline/pkg/apis/resolution/v1beta1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/snapshot"
	"github.com/headrace-ci/headrace/test/fixture/faults"
)

// market is a cluster with a pushed Snapshot that no scenario tests, and plans
// to release it by.
type market struct {
	client.WithWatch
	t   *testing.T
	now time.Time
}

func wish(name, expression string) *v1alpha1.ReleasePlan {
	plan := &v1alpha1.ReleasePlan{ObjectMeta: at(name), Spec: v1alpha1.ReleasePlanSpec{Application: "shop"}}
	if expression != "" {
		plan.Annotations = map[string]string{snapshot.AutoReleaseKey: expression}
	}
	return plan
}

func newMarket(t *testing.T, funcs interceptor.Funcs, objects ...client.Object) *market {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{tektonv1.AddToScheme, resolutionv1.AddToScheme, v1alpha1.AddToScheme, v1beta2.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	m := &market{t: t, now: time.Unix(1_000_000, 0)}
	s := &v1alpha1.Snapshot{ObjectMeta: at("shop-1"), Spec: v1alpha1.SnapshotSpec{Application: "shop"}}
	s.UID, s.CreationTimestamp = types.UID("s"), metav1.NewTime(m.now)
	s.Labels = map[string]string{snapshot.TypeLabel: snapshot.ComponentType, snapshot.ComponentLabel: "web"}
	s.Annotations = map[string]string{snapshot.StartTimeKey: "999000000"}
	m.WithWatch = fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.Snapshot{}, &v1alpha1.Release{}).
		WithObjects(append(objects, &v1alpha1.Application{ObjectMeta: at("shop")}, s)...).WithInterceptorFuncs(funcs).Build()
	return m
}

func (m *market) reconcile() (ctrl.Result, error) {
	m.t.Helper()
	r := &Reconciler{Client: m, Now: func() time.Time { return m.now }}
	return r.Reconcile(m.t.Context(), m.snapshot())
}

func (m *market) snapshot() *v1alpha1.Snapshot {
	m.t.Helper()
	s := &v1alpha1.Snapshot{}
	if err := m.Get(m.t.Context(), client.ObjectKey{Namespace: "dev", Name: "shop-1"}, s); err != nil {
		m.t.Fatal(err)
	}
	return s
}

func (m *market) condition(kind string) string {
	m.t.Helper()
	c := meta.FindStatusCondition(m.snapshot().Status.Conditions, kind)
	if c == nil {
		return "none"
	}
	return fmt.Sprintf("%s/%s: %s", c.Status, c.Reason, c.Message)
}

func (m *market) releases() []v1alpha1.Release {
	m.t.Helper()
	var list v1alpha1.ReleaseList
	if err := m.List(m.t.Context(), &list); err != nil {
		m.t.Fatal(err)
	}
	return list.Items
}

// TestReleasesDisturbedAtEveryWrite makes one Release a plan, marked, wherever
// the controller is killed or the API server refuses a write.
func TestReleasesDisturbedAtEveryWrite(t *testing.T) {
	type end struct {
		Releases  []v1alpha1.Release
		Condition string
	}
	journey := func(t *testing.T, w *faults.Write) end {
		m := newMarket(t, w.Funcs(), wish("a", ""), wish("b", `updatedComponentIs("web")`), wish("c", `updatedComponentIs("api")`))
		for range 4 { // it starts again, and once more with nothing to do
			if _, err := m.reconcile(); err != nil && !errors.Is(err, faults.ErrKilled) && (w.Err == nil || !errors.Is(err, w.Err)) {
				t.Fatal(err)
			}
		}
		return end{m.releases(), m.condition(snapshot.AutoReleasedCondition)}
	}
	whole := &faults.Write{}
	want := journey(t, whole)
	if len(want.Releases) != 2 || want.Condition != "True/AutoReleased: The Snapshot was auto-released" {
		t.Fatalf("undisturbed it ends in %+v", want)
	}
	for _, r := range want.Releases {
		if !r.Status.Automated {
			t.Errorf("Release %s is not marked", r.Name)
		}
	}
	disturb := func(t *testing.T, w *faults.Write) {
		got := journey(t, w)
		if !w.Happened() {
			t.Fatal("the write was not reached")
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(metav1.ObjectMeta{}, "ResourceVersion")); diff != "" {
			t.Errorf("it ended otherwise (-undisturbed +disturbed):\n%s", diff)
		}
	}
	for i := range whole.Seen() {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprintf("killed at write %d, late %t", i+1, late), func(t *testing.T) {
				disturb(t, &faults.Write{At: i + 1, Late: late})
			})
		}
		for name, refusal := range faults.Refusals() {
			t.Run(fmt.Sprintf("%s at write %d", name, i+1), func(t *testing.T) {
				disturb(t, &faults.Write{At: i + 1, Err: refusal})
			})
		}
	}
}

// TestWrongExpression releases nothing by the plan until it is mended, and
// gives up after three hours.
func TestWrongExpression(t *testing.T) {
	m := newMarket(t, interceptor.Funcs{}, wish("good", ""), wish("wrong", "updated("))
	result, err := m.reconcile()
	if err != nil || result.RequeueAfter != time.Minute {
		t.Errorf("it is looked at again %v, %v", result, err)
	}
	if got := m.releases(); len(got) != 1 || got[0].Spec.ReleasePlan != "good" {
		t.Errorf("Releases %+v, want that of the other plan", got)
	}
	says := m.condition(snapshot.AutoReleasedCondition)
	for _, part := range []string{"False/ErrorOccured: Not released yet: ", `ReleasePlan "wrong": it cannot be read: line 1`, "delete the annotation"} {
		if !strings.Contains(says, part) {
			t.Errorf("it says %q, want %q in it", says, part)
		}
	}

	t.Run("mended", func(t *testing.T) {
		plan := &v1alpha1.ReleasePlan{}
		if err := m.Get(t.Context(), client.ObjectKey{Namespace: "dev", Name: "wrong"}, plan); err != nil {
			t.Fatal(err)
		}
		plan.Annotations[snapshot.AutoReleaseKey] = "true"
		if err := m.Update(t.Context(), plan); err != nil {
			t.Fatal(err)
		}
		if _, err := m.reconcile(); err != nil || len(m.releases()) != 2 || m.condition(snapshot.AutoReleasedCondition) != "True/AutoReleased: The Snapshot was auto-released" {
			t.Errorf("%d Releases, %s, %v", len(m.releases()), m.condition(snapshot.AutoReleasedCondition), err)
		}
	})
	t.Run("given up", func(t *testing.T) {
		m := newMarket(t, interceptor.Funcs{}, wish("wrong", "updated("))
		if _, err := m.reconcile(); err != nil {
			t.Fatal(err)
		}
		m.now = m.now.Add(3*time.Hour - time.Second)
		if result, err := m.reconcile(); err != nil || result.RequeueAfter == 0 {
			t.Errorf("it gave up early: %v, %v", result, err)
		}
		m.now = m.now.Add(time.Second)
		for range 2 {
			if result, err := m.reconcile(); err != nil || result.RequeueAfter != 0 {
				t.Errorf("it goes on: %v, %v", result, err)
			}
		}
		if got := m.condition(snapshot.IntegrationCondition); !strings.HasPrefix(got, "False/Invalid: giving up to release the Snapshot: ") {
			t.Errorf("it says %q", got)
		}
		if len(m.releases()) != 0 {
			t.Errorf("%d Releases", len(m.releases()))
		}
	})
}

// TestReleaseRefused tries again, tells why not, and makes the Release when it
// may.
func TestReleaseRefused(t *testing.T) {
	full := true
	m := newMarket(t, interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
		if _, ok := o.(*v1alpha1.Release); ok && full {
			return apierrors.NewForbidden(v1alpha1.GroupVersion.WithResource("releases").GroupResource(), o.GetName(), errors.New("exceeded quota"))
		}
		return c.Create(ctx, o, opts...)
	}}, wish("a", ""))
	if _, err := m.reconcile(); !apierrors.IsForbidden(err) {
		t.Errorf("it is not tried again: %v", err)
	}
	if says := m.condition(snapshot.AutoReleasedCondition); !strings.Contains(says, `releasing by ReleasePlan "a"`) || !strings.Contains(says, "exceeded quota") {
		t.Errorf("it says %q", says)
	}
	full = false
	if _, err := m.reconcile(); err != nil || len(m.releases()) != 1 {
		t.Errorf("%d Releases, %v", len(m.releases()), err)
	}
}

// TestPlanNotInCache releases by a plan that the cache does not know yet, for
// not to release is final.
func TestPlanNotInCache(t *testing.T) {
	m := newMarket(t, interceptor.Funcs{}, wish("a", ""))
	behind := interceptor.NewClient(m.WithWatch, interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if _, ok := list.(*v1alpha1.ReleasePlanList); ok {
				return nil
			}
			return c.List(ctx, list, opts...)
		},
	})
	r := &Reconciler{Client: behind, Reader: m, Now: func() time.Time { return m.now }}
	if _, err := r.Reconcile(t.Context(), m.snapshot()); err != nil || len(m.releases()) != 1 {
		t.Errorf("%d Releases, %s, %v", len(m.releases()), m.condition(snapshot.AutoReleasedCondition), err)
	}
}

// TestForgedRelease marks nothing that somebody else prepared under the name
// of the Release to come.
func TestForgedRelease(t *testing.T) {
	m := newMarket(t, interceptor.Funcs{}, wish("a", ""))
	forged := snapshot.NewRelease(m.snapshot(), "a")
	forged.Spec.Data = &runtime.RawExtension{Raw: []byte(`{"to":"elsewhere"}`)}
	if err := m.Create(t.Context(), forged); err != nil {
		t.Fatal(err)
	}
	if result, err := m.reconcile(); err != nil || result.RequeueAfter == 0 {
		t.Errorf("it is looked at again %v, %v", result, err)
	}
	if got := m.releases(); len(got) != 1 || got[0].Status.Automated {
		t.Errorf("Releases %+v, want the forged one as it was", got)
	}
	if says := m.condition(snapshot.AutoReleasedCondition); !strings.Contains(says, "delete the Release") {
		t.Errorf("it says %q", says)
	}
	if err := m.Delete(t.Context(), forged); err != nil {
		t.Fatal(err)
	}
	if _, err := m.reconcile(); err != nil || len(m.releases()) != 1 || !m.releases()[0].Status.Automated || m.releases()[0].Spec.Data != nil {
		t.Errorf("Releases %+v, %v", m.releases(), err)
	}
}

// TestBlockedThenReleased waits while a label says so.
func TestBlockedThenReleased(t *testing.T) {
	m := newMarket(t, interceptor.Funcs{}, wish("a", ""))
	s := m.snapshot()
	s.Labels[snapshot.AutoReleaseKey] = "false"
	if err := m.Update(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if _, err := m.reconcile(); err != nil || len(m.releases()) != 0 || !strings.HasPrefix(m.condition(snapshot.AutoReleasedCondition), "False/Blocked: ") {
		t.Errorf("%d Releases, %s, %v", len(m.releases()), m.condition(snapshot.AutoReleasedCondition), err)
	}
	s = m.snapshot()
	delete(s.Labels, snapshot.AutoReleaseKey)
	if err := m.Update(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if _, err := m.reconcile(); err != nil || len(m.releases()) != 1 {
		t.Errorf("%d Releases, %v", len(m.releases()), err)
	}
}
