package build

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// TestNoRoom holds a build for six hours while its namespace has no room for
// another Snapshot: it has some cleared out, tries every minute, and tells of
// it once an hour.
func TestNoRoom(t *testing.T) {
	full := true
	c := newClient(t, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			if _, ok := o.(*v1alpha1.Snapshot); ok && full {
				return apierrors.NewForbidden(v1alpha1.GroupVersion.WithResource("snapshots").GroupResource(), o.GetName(), errors.New("exceeded quota: crds"))
			}
			return c.Create(ctx, o, opts...)
		},
	}, &v1alpha1.Application{ObjectMeta: at("shop")}, component("web"), ended("web-1", "web", corev1.ConditionTrue))
	recorder, collected := events.NewFakeRecorder(1000), 0
	try := func(after time.Duration) time.Duration {
		t.Helper()
		r := &Reconciler{
			Client: c, Reader: c, Prover: &proof{}, Events: recorder, Now: func() time.Time { return time.Unix(1060, 0).Add(after) },
			Collect: func(_ context.Context, namespace string) error {
				collected++
				return errors.New(namespace + " is busy")
			},
		}
		result, err := r.Reconcile(t.Context(), read(t, c, "web-1").Run)
		if err != nil {
			t.Fatal(err)
		}
		return result.RequeueAfter
	}
	tries := 0
	for after := time.Second; after < 3*time.Hour; tries++ {
		again := try(after)
		if again <= 0 || again > 2*time.Minute {
			t.Fatalf("after %v it tries again after %v", after, again)
		}
		after += again
	}
	run := read(t, c, "web-1").Run
	outcome, _ := snapshot.ParseOutcome(run.Annotations[snapshot.CreatedAnnotation])
	if outcome.Status != snapshot.Waiting || outcome.Reason != snapshot.QuotaExceeded || len(run.Finalizers) != 1 {
		t.Errorf("the build says %+v, held by %v", outcome, run.Finalizers)
	}
	if collected != tries {
		t.Errorf("%d collections in %d tries", collected, tries)
	}
	told := len(recorder.Events)
	if told != 3 {
		t.Errorf("%d events in three hours", told)
	}
	if text := <-recorder.Events; !strings.Contains(text, "exceeded quota: crds") || !strings.Contains(text, "delete some, or ask for a larger quota") {
		t.Errorf("it tells %q", text)
	}
	try(7 * time.Hour)
	if run := read(t, c, "web-1").Run; len(run.Finalizers) > 0 {
		t.Errorf("after seven hours it is held by %v", run.Finalizers)
	}
	full = false
	if again := try(8 * time.Hour); again != 0 {
		t.Errorf("with room it tries again after %v", again)
	}
	if got := read(t, c, "web-1"); len(got.Snapshots) != 1 || got.Run.Annotations[snapshot.SnapshotKey] != got.Snapshots[0].Name {
		t.Errorf("%d Snapshots; the build says %v", len(got.Snapshots), got.Run.Annotations)
	}
}

// TestHeldNoLongerThanADay lets go of a build whatever keeps its Snapshot from
// being made.
func TestHeldNoLongerThanADay(t *testing.T) {
	broken := errors.New("the API server is broken")
	c := newClient(t, interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if _, ok := list.(*v1alpha1.SnapshotList); ok {
				return broken
			}
			return c.List(ctx, list, opts...)
		},
	}, &v1alpha1.Application{ObjectMeta: at("shop")}, component("web"), ended("web-1", "web", corev1.ConditionTrue))
	for _, tc := range []struct {
		after int64
		held  bool
	}{{3600, true}, {24*3600 + 1, false}} {
		if _, err := once(t, c, &proof{}, 1060+tc.after, "web-1"); !errors.Is(err, broken) {
			t.Fatalf("it ends with %v", err)
		}
		run := ended("web-1", "web", corev1.ConditionTrue)
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(run), run); err != nil || (len(run.Finalizers) > 0) != tc.held {
			t.Errorf("after %d seconds it is held by %v, error %v", tc.after, run.Finalizers, err)
		}
	}
}
