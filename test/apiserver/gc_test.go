//go:build apiserver

package apiserver_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/controllers/manager"
	"github.com/headrace-ci/headrace/pkg/snapshot"
	"github.com/headrace-ci/headrace/pkg/snapshotgc"
)

// as is a client that has the rights of a service account.
func as(t *testing.T, namespace, name string) client.WithWatch {
	t.Helper()
	theirs := rest.CopyConfig(config)
	theirs.Impersonate = rest.ImpersonationConfig{UserName: account(namespace, name), Groups: []string{"system:serviceaccounts", "system:authenticated"}}
	c, err := client.NewWithWatch(theirs, client.Options{Scheme: manager.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func tenantNamespace(t *testing.T, c client.Client) string {
	t.Helper()
	ns := &corev1.Namespace{}
	ns.GenerateName, ns.Labels = "gc-", map[string]string{"konflux-ci.dev/type": "tenant"}
	create(t, c, ns)
	return ns.Name
}

// collectable is a Snapshot that a person made.
func collectable(ns, name string, annotations map[string]string) *v1alpha1.Snapshot {
	s := &v1alpha1.Snapshot{ObjectMeta: meta(ns, name), Spec: v1alpha1.SnapshotSpec{Application: app}}
	s.Annotations = annotations
	return s
}

// remaining are the names of the Snapshots that are left.
func remaining(t *testing.T, c client.Client, ns string) []string {
	t.Helper()
	names := []string{}
	for _, s := range snapshots(t, c, ns) {
		names = append(names, s.Name)
	}
	return names
}

// TestCollectSnapshots collects two tenants' Snapshots with the rights that
// install gives to the collector, and no other namespace's.
func TestCollectSnapshots(t *testing.T) {
	c := newClient(t)
	applyRoles(t, c)
	gc := as(t, serviceNamespace, "snapshot-gc")
	one, two, other := tenantNamespace(t, c), tenantNamespace(t, c), namespace(t, c)
	// Of one second the later name is the newer; more than a page of them.
	for i := range 120 {
		create(t, c, collectable(one, fmt.Sprintf("s-%03d", i), nil))
	}
	create(t, c, collectable(two, "a", nil), collectable(two, "b", map[string]string{snapshot.KeepSnapshot: "30d"}),
		collectable(two, "c", map[string]string{snapshot.KeepSnapshot: "a month"}), collectable(two, "d", nil), collectable(other, "e", nil))
	create(t, c, &v1alpha1.Release{ObjectMeta: meta(one, "r"), Spec: v1alpha1.ReleaseSpec{Snapshot: "s-000", ReleasePlan: app}})
	test := &tektonv1.PipelineRun{ObjectMeta: meta(one, "orphan"), Spec: tektonv1.PipelineRunSpec{PipelineRef: &tektonv1.PipelineRef{Name: "x"}}}
	test.Finalizers = []string{snapshot.RunFinalizer}
	test.Labels[snapshot.RunTypeLabel], test.Labels[snapshot.SnapshotKey] = snapshot.TestRun, "gone"
	create(t, c, test)

	if err := snapshotgc.Run(t.Context(), snapshotgc.Options{Limits: snapshot.Limits{Other: 3}, Client: gc}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"s-000", "s-118", "s-119"}, remaining(t, c, one)); diff != "" {
		t.Errorf("left in the first (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"b", "c", "d"}, remaining(t, c, two)); diff != "" {
		t.Errorf("left in the second (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"e"}, remaining(t, c, other)); diff != "" {
		t.Errorf("left where no tenant is (-want +got):\n%s", diff)
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(test), test); err != nil || len(test.Finalizers) != 0 {
		t.Errorf("a test of no Snapshot is held by %v, %v", test.Finalizers, err)
	}
	var events corev1.EventList
	if err := c.List(t.Context(), &events, client.InNamespace(two)); err != nil || len(events.Items) != 1 || events.Items[0].InvolvedObject.Name != "c" {
		t.Errorf("events %+v, %v, want one about the Snapshot whose annotation cannot be read", events.Items, err)
	}
	if err := gc.Get(t.Context(), client.ObjectKey{Namespace: one, Name: "x"}, &corev1.Secret{}); !apierrors.IsForbidden(err) {
		t.Errorf("the collector reads Secrets: %v", err)
	}
}

// TestCollectWhatChanges deletes no Snapshot that somebody changed since it
// was chosen, nor one of the same name that is new.
func TestCollectWhatChanges(t *testing.T) {
	c := newClient(t)
	applyRoles(t, c)
	ns := tenantNamespace(t, c)
	create(t, c, collectable(ns, "kept", nil), collectable(ns, "made-again", nil), collectable(ns, "old", nil))
	meanwhile := interceptor.NewClient(as(t, serviceNamespace, "snapshot-gc"), interceptor.Funcs{
		Delete: func(ctx context.Context, gc client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			switch o.GetName() {
			case "kept":
				s := &v1alpha1.Snapshot{}
				if err := c.Get(ctx, client.ObjectKeyFromObject(o), s); err != nil {
					return err
				}
				s.Annotations = map[string]string{snapshot.KeepSnapshot: "true"}
				if err := c.Update(ctx, s); err != nil {
					return err
				}
			case "made-again":
				s := collectable(ns, o.GetName(), nil)
				if err := c.Delete(ctx, s.DeepCopy()); err != nil {
					return err
				}
				if err := c.Create(ctx, s); err != nil {
					return err
				}
			}
			return gc.Delete(ctx, o, opts...)
		},
	})
	if err := snapshotgc.Run(t.Context(), snapshotgc.Options{Namespace: ns, Client: meanwhile}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"kept", "made-again"}, remaining(t, c, ns)); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

// TestCollectTakesTests deletes with a Snapshot its test runs, although a
// finalizer of ours keeps them.
func TestCollectTakesTests(t *testing.T) {
	c := newClient(t)
	applyRoles(t, c)
	controllerManager(t, "garbage-collector-controller")
	ns := tenantNamespace(t, c)
	create(t, c, application(ns), component(ns, "web"), testScenario(ns))
	var p controllers
	p.start(t)
	s := pushed(ns, "shop-1", "web", "1741064767000")
	create(t, c, s)
	test := testOf(t, c, s)
	if len(test.Finalizers) == 0 {
		t.Fatal("nothing keeps the run")
	}
	if err := snapshotgc.Run(t.Context(), snapshotgc.Options{Namespace: ns, Client: as(t, serviceNamespace, "snapshot-gc")}); err != nil {
		t.Fatal(err)
	}
	for _, o := range []client.Object{s, test} {
		eventually(t, o.GetName()+" goes", func() error {
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(o), o); !apierrors.IsNotFound(err) {
				return fmt.Errorf("it is there, held by %v: %w", o.GetFinalizers(), err)
			}
			return nil
		})
	}
}
