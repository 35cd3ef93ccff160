//go:build apiserver

package apiserver_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
)

// TestJourney goes from a finished build to a finished Release, and kills the
// controllers between any two steps: nothing is lost, and nothing made twice.
func TestJourney(t *testing.T) {
	c := newClient(t)
	tenant, managed := namespace(t, c), namespace(t, c)
	create(t, c, application(tenant), component(tenant, "web"), component(tenant, "new"), testScenario(tenant),
		plan(tenant, managed), admission(t, managed, tenant), policy(managed))
	var p controllers
	p.start(t)

	run := buildRun(tenant, "web-build", "web")
	create(t, c, run)
	p.restart(t)
	finish(t, c, run, corev1.ConditionTrue, built())
	time.Sleep(time.Second)
	if all := snapshots(t, c, tenant); len(all) != 0 {
		t.Fatalf("a build without signature got Snapshot %s", all[0].Name)
	}
	p.restart(t)
	p.proofs.there.Store(true)
	snapshot := oneSnapshot(t, c, tenant)
	if parts := snapshot.Spec.Components; len(parts) != 1 || parts[0].Name != "web" || parts[0].ContainerImage != image+"@"+digest {
		t.Errorf("the Snapshot holds %+v, want the one component that has an image", parts)
	}
	p.restart(t)

	test := oneRun(t, c, tenant, "test")
	p.stop()
	finish(t, c, test, corev1.ConditionTrue, nil)
	p.start(t)
	release := oneRelease(t, c, tenant)
	p.restart(t)

	push := oneRun(t, c, managed, "managed")
	p.stop()
	finish(t, c, push, corev1.ConditionTrue, nil)
	p.start(t)
	eventually(t, "the Release ends", func() error {
		return conditionIs(t, c, release, "Released", metav1.ConditionTrue, "Succeeded")
	})
	p.restart(t)
	time.Sleep(time.Second)

	if n := len(snapshots(t, c, tenant)); n != 1 {
		t.Errorf("%d Snapshots, want one", n)
	}
	if n := len(releases(t, c, tenant)); n != 1 {
		t.Errorf("%d Releases, want one", n)
	}
	if n := len(runs(t, c, managed)); n != 1 {
		t.Errorf("%d managed runs, want one", n)
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(run), run); err != nil || len(run.Finalizers) != 0 {
		t.Errorf("the build is still held by %v, error %v", run.Finalizers, err)
	}
}

// TestFailedTestReleasesNothing ends before a Release.
func TestFailedTestReleasesNothing(t *testing.T) {
	c := newClient(t)
	tenant, managed := namespace(t, c), namespace(t, c)
	create(t, c, application(tenant), component(tenant, "web"), testScenario(tenant),
		plan(tenant, managed), admission(t, managed, tenant), policy(managed))
	var p controllers
	p.proofs.there.Store(true)
	p.start(t)
	run := buildRun(tenant, "web-build", "web")
	create(t, c, run)
	finish(t, c, run, corev1.ConditionTrue, built())
	finish(t, c, oneRun(t, c, tenant, "test"), corev1.ConditionFalse, nil)

	snapshot := oneSnapshot(t, c, tenant)
	eventually(t, "the Snapshot fails", func() error {
		return conditionIs(t, c, snapshot, "AppStudioTestSucceeded", metav1.ConditionFalse, "Failed")
	})
	time.Sleep(time.Second)
	if all := releases(t, c, tenant); len(all) != 0 {
		t.Errorf("Release %s was made of a Snapshot that failed", all[0].Name)
	}
}

// TestFailedBuildMakesNoSnapshot says why on the build.
func TestFailedBuildMakesNoSnapshot(t *testing.T) {
	c := newClient(t)
	tenant := namespace(t, c)
	create(t, c, application(tenant), component(tenant, "web"))
	var p controllers
	p.proofs.there.Store(true)
	p.start(t)
	run := buildRun(tenant, "web-build", "web")
	create(t, c, run)
	finish(t, c, run, corev1.ConditionFalse, nil)

	eventually(t, "the build says why it has no Snapshot", func() error {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(run), run); err != nil {
			return err
		}
		text := run.Annotations["test.appstudio.openshift.io/create-snapshot-status"]
		if !strings.Contains(text, "build PipelineRun web-build failed") {
			return fmt.Errorf("it says %q", text)
		}
		return nil
	})
	if all := snapshots(t, c, tenant); len(all) != 0 {
		t.Errorf("a failed build got Snapshot %s", all[0].Name)
	}
}

func snapshots(t *testing.T, c client.Client, ns string) []v1alpha1.Snapshot {
	t.Helper()
	var list v1alpha1.SnapshotList
	if err := c.List(t.Context(), &list, client.InNamespace(ns)); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func releases(t *testing.T, c client.Client, ns string) []v1alpha1.Release {
	t.Helper()
	var list v1alpha1.ReleaseList
	if err := c.List(t.Context(), &list, client.InNamespace(ns)); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func runs(t *testing.T, c client.Client, ns string) []tektonv1.PipelineRun {
	t.Helper()
	var list tektonv1.PipelineRunList
	if err := c.List(t.Context(), &list, client.InNamespace(ns)); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func oneSnapshot(t *testing.T, c client.Client, ns string) *v1alpha1.Snapshot {
	t.Helper()
	var found *v1alpha1.Snapshot
	eventually(t, "waiting for a Snapshot", func() error {
		all := snapshots(t, c, ns)
		if len(all) != 1 {
			return fmt.Errorf("there are %d", len(all))
		}
		found = &all[0]
		return nil
	})
	return found
}

func oneRelease(t *testing.T, c client.Client, ns string) *v1alpha1.Release {
	t.Helper()
	var found *v1alpha1.Release
	eventually(t, "waiting for a Release", func() error {
		all := releases(t, c, ns)
		if len(all) != 1 {
			return fmt.Errorf("there are %d", len(all))
		}
		found = &all[0]
		return nil
	})
	return found
}

// oneRun waits for the one run of a type.
func oneRun(t *testing.T, c client.Client, ns, kind string) *tektonv1.PipelineRun {
	t.Helper()
	var found *tektonv1.PipelineRun
	eventually(t, "waiting for a run of type "+kind, func() error {
		found = nil
		for _, run := range runs(t, c, ns) {
			if run.Labels["pipelines.appstudio.openshift.io/type"] != kind {
				continue
			}
			if found != nil {
				return fmt.Errorf("there are %s and %s", found.Name, run.Name)
			}
			found = &run
		}
		if found == nil {
			return fmt.Errorf("there is none")
		}
		return nil
	})
	return found
}

// conditionIs reads the object anew and compares one of its conditions.
func conditionIs(t *testing.T, c client.Client, o client.Object, kind string, status metav1.ConditionStatus, reason string) error {
	t.Helper()
	got, err := readCondition(t, c, o, kind)
	if err != nil {
		return err
	}
	if got.Status != status || got.Reason != reason {
		return fmt.Errorf("condition %s is %s, %s: %s; want %s, %s", kind, got.Status, got.Reason, got.Message, status, reason)
	}
	return nil
}

func readCondition(t *testing.T, c client.Client, o client.Object, kind string) (metav1.Condition, error) {
	t.Helper()
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
		return metav1.Condition{}, err
	}
	var conditions []metav1.Condition
	switch o := o.(type) {
	case *v1alpha1.Snapshot:
		conditions = o.Status.Conditions
	case *v1alpha1.Release:
		conditions = o.Status.Conditions
	case *v1alpha1.ReleasePlan:
		conditions = o.Status.Conditions
	}
	for _, c := range conditions {
		if c.Type == kind {
			return c, nil
		}
	}
	return metav1.Condition{}, fmt.Errorf("%s has no condition %s", o.GetName(), kind)
}
