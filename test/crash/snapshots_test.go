package crash_test

import (
	"slices"
	"testing"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// kinds counts Snapshots by type.
func kinds(s state) map[string]int {
	count := map[string]int{}
	for _, one := range s.Snapshots {
		count[one.Labels[snapshot.TypeLabel]]++
	}
	return count
}

func free(t *testing.T, s state) {
	t.Helper()
	for _, run := range s.Runs {
		if slices.Contains(run.Finalizers, snapshot.RunFinalizer) && run.IsDone() && run.Labels[snapshot.RunTypeLabel] == snapshot.BuildRun {
			t.Errorf("build %s is still held", run.Name)
		}
	}
}

func prLabels(number string) map[string]string {
	return map[string]string{pac + "pull-request": number, pac + "event-type": "pull_request"}
}

var feature = map[string]string{pac + "source-branch": "feature"}

// TestPush makes one Snapshot of a push, promotes it, and says what it leaves
// out.
func TestPush(t *testing.T) {
	everyWrite(t, func(w *world) {
		w.settle()
		w.start("web-1", "web", 10, nil, nil)
		w.settle()
		w.end("web-1", corev1.ConditionTrue)
		w.settle()
	}, func(t *testing.T, s state) {
		free(t, s)
		if len(s.Snapshots) != 1 || len(s.Snapshots[0].Spec.Components) != 2 || len(s.Snapshots[0].Status.Omitted) != 1 {
			t.Errorf("there are %+v", s.Snapshots)
		}
		if s.Components[2].Status.LastPromotedImage != "registry.test/web@"+digest || s.Runs[0].Annotations[snapshot.SnapshotKey] != s.Snapshots[0].Name {
			t.Errorf("promoted: %+v; the build says %v", s.Components[2].Status, s.Runs[0].Annotations)
		}
	}, func() []client.Object {
		return []client.Object{application(), built("api"), componentOf("new"), componentOf("web")}
	})
}

// TestFailedBuild says so on the build and on its component, and forgets it
// when the next one is good.
func TestFailedBuild(t *testing.T) {
	everyWrite(t, func(w *world) {
		w.start("web-1", "web", 10, nil, nil)
		w.end("web-1", corev1.ConditionFalse)
		w.settle()
		if c := w.state().Components[0]; !meta.IsStatusConditionFalse(c.Status.Conditions, snapshot.SnapshotCondition) {
			w.t.Errorf("the component says %+v", c.Status.Conditions)
		}
		w.start("web-2", "web", 5, nil, nil)
		w.end("web-2", corev1.ConditionTrue)
		w.settle()
	}, func(t *testing.T, s state) {
		free(t, s)
		if len(s.Snapshots) != 1 || !meta.IsStatusConditionTrue(s.Components[0].Status.Conditions, snapshot.SnapshotCondition) {
			t.Errorf("%d Snapshots; the component says %+v", len(s.Snapshots), s.Components[0].Status.Conditions)
		}
	}, func() []client.Object { return []client.Object{application(), componentOf("web")} })
}

// TestPullRequests makes one Snapshot of each of two pull requests and one of
// both, and cancels what a newer push makes pointless.
func TestPullRequests(t *testing.T) {
	everyWrite(t, func(w *world) {
		w.start("web-1", "web", 30, prLabels("1"), feature)
		w.start("api-1", "api", 29, prLabels("2"), feature)
		w.settle()
		w.end("web-1", corev1.ConditionTrue)
		w.settle()
		w.end("api-1", corev1.ConditionTrue)
		w.settle()
		for _, s := range w.state().Snapshots {
			run := &tektonv1.PipelineRun{ObjectMeta: at("test-of-" + s.Name)}
			run.Labels[snapshot.RunTypeLabel], run.Labels[snapshot.SnapshotKey] = snapshot.TestRun, s.Name
			w.do(w.c.Create(w.t.Context(), run))
		}
		w.start("web-2", "web", 10, prLabels("1"), feature)
		w.settle()
		w.end("web-2", corev1.ConditionTrue)
		w.settle()
	}, func(t *testing.T, s state) {
		free(t, s)
		if got := kinds(s); got["component"] != 3 || got["group"] != 2 || len(s.Snapshots) != 5 {
			t.Fatalf("there are %v", got)
		}
		cancelled := map[string]bool{}
		for _, one := range s.Snapshots {
			c := meta.FindStatusCondition(one.Status.Conditions, snapshot.IntegrationCondition)
			cancelled[one.Labels[snapshot.TypeLabel]+" of "+one.Labels[snapshot.BuildLabel]] = c != nil && c.Reason == "Canceled"
			if kind := one.Labels[snapshot.TypeLabel]; kind == "component" && one.Labels[snapshot.BuildLabel] != "web-1" && one.Annotations[snapshot.GroupReasonAnnotation] != snapshot.GroupCreated {
				t.Errorf("Snapshot %s says %q of its group", one.Name, one.Annotations[snapshot.GroupStatusAnnotation])
			}
		}
		if !cancelled["component of web-1"] || cancelled["component of web-2"] || cancelled["component of api-1"] {
			t.Errorf("cancelled: %v", cancelled)
		}
		stopped := 0
		for _, run := range s.Runs {
			if run.Spec.Status == tektonv1.PipelineRunSpecStatusCancelledRunFinally {
				stopped++
			}
		}
		if stopped != 2 {
			t.Errorf("%d test runs are cancelled, want those of the older Snapshot and of the group", stopped)
		}
		for _, c := range s.Components {
			if c.Status.LastPromotedImage != "registry.test/"+c.Name+"@"+digest || c.Status.LastBuiltCommit != "old" {
				t.Errorf("a pull request promoted %+v", c.Status)
			}
		}
	}, func() []client.Object {
		return []client.Object{application(), built("api"), built("web"), built("zoo")}
	})
}

// TestMerge tells the pull request's Snapshots that it was merged.
func TestMerge(t *testing.T) {
	everyWrite(t, func(w *world) {
		w.start("web-1", "web", 30, prLabels("1"), feature)
		w.end("web-1", corev1.ConditionTrue)
		w.settle()
		w.start("web-2", "web", 10, map[string]string{pac + "pull-request": "1", pac + "event-type": "push"}, nil)
		w.end("web-2", corev1.ConditionTrue)
		w.settle()
	}, func(t *testing.T, s state) {
		free(t, s)
		merged := map[string]string{}
		for _, one := range s.Snapshots {
			merged[one.Labels[snapshot.BuildLabel]] = one.Annotations[snapshot.PRStatusAnnotation]
		}
		if len(merged) != 2 || merged["web-1"] != "merged" || merged["web-2"] != "" {
			t.Errorf("merged: %v", merged)
		}
		for _, run := range s.Runs {
			if run.Annotations[snapshot.PRStatusAnnotation] != "merged" {
				t.Errorf("build %s is not marked", run.Name)
			}
		}
	}, func() []client.Object { return []client.Object{application(), componentOf("web")} })
}

// TestOverride replaces all candidates, once.
func TestOverride(t *testing.T) {
	everyWrite(t, func(w *world) {
		s := &v1alpha1.Snapshot{ObjectMeta: at("mine"), Spec: v1alpha1.SnapshotSpec{Application: "shop"}}
		s.Labels[snapshot.TypeLabel] = snapshot.OverrideType
		for _, name := range []string{"api", "web"} {
			s.Spec.Components = append(s.Spec.Components, v1alpha1.SnapshotComponent{
				Name: name, ContainerImage: "registry.test/mine@" + digest,
				Source: v1alpha1.ComponentSource{Git: &v1alpha1.GitSource{URL: "https://git.test/" + name, Revision: "mine"}},
			})
		}
		w.do(w.c.Create(w.t.Context(), s))
		w.settle()
	}, func(t *testing.T, s state) {
		for _, c := range s.Components {
			if c.Status.LastPromotedImage != "registry.test/mine@"+digest || c.Status.LastBuiltCommit != "mine" {
				t.Errorf("the candidate of %s is %+v", c.Name, c.Status)
			}
		}
		if snapshot.AwaitsCheck(&s.Snapshots[0]) || len(s.Snapshots[0].Status.Conditions) > 0 {
			t.Errorf("it says %+v", s.Snapshots[0])
		}
	}, func() []client.Object { return []client.Object{application(), built("api"), built("web")} })
}

// TestGroupsInGroups makes one Snapshot of each group that has what was built,
// however it has it.
func TestGroupsInGroups(t *testing.T) {
	everyWrite(t, func(w *world) {
		w.settle()
		w.start("web-1", "web", 10, nil, map[string]string{snapshot.VersionKey: "main"})
		w.settle()
		w.end("web-1", corev1.ConditionTrue)
		w.settle()
	}, func(t *testing.T, s state) {
		free(t, s)
		of := map[string]int{}
		for _, one := range s.Snapshots {
			of[one.Spec.ComponentGroup]++
			if len(one.Spec.Components) != 1 || one.Labels[snapshot.BuildLabel] != "web-1" {
				t.Errorf("Snapshot %s holds %+v", one.Name, one.Spec.Components)
			}
		}
		if len(of) != 5 || len(s.Snapshots) != 5 {
			t.Errorf("there are Snapshots of %v, want one of each", of)
		}
		names := s.Runs[0].Annotations[snapshot.SnapshotsKey]
		if names != "base-20250304-115000-000,other-20250304-115000-000" {
			t.Errorf("the build names %s", names)
		}
		if state := s.Groups[0].Status.GlobalCandidateList[0]; state.LastPromotedImage != "registry.test/web@"+digest {
			t.Errorf("promoted: %+v", state)
		}
	}, func() []client.Object {
		group := func(name string, members ...v1beta2.ComponentReference) client.Object {
			return &v1beta2.ComponentGroup{ObjectMeta: at(name), Spec: v1beta2.ComponentGroupSpec{Components: members}}
		}
		web := v1beta2.ComponentReference{Name: "web", Kind: "component", ComponentVersion: &v1beta2.ComponentVersionReference{Name: "main"}}
		in := func(name string) v1beta2.ComponentReference {
			return v1beta2.ComponentReference{Name: name, Kind: "componentGroup"}
		}
		return []client.Object{
			group("base", web), group("left", in("base")), group("other", web), group("right", in("base")), group("top", in("left"), in("right"), in("other")),
		}
	})
}

// TestRemoval makes one Snapshot of what is left, and lets the Component go.
func TestRemoval(t *testing.T) {
	everyWrite(t, func(w *world) {
		w.settle()
		gone := componentOf("web")
		w.do(w.c.Get(w.t.Context(), client.ObjectKeyFromObject(gone), gone))
		w.do(w.c.Delete(w.t.Context(), gone))
		w.settle()
	}, func(t *testing.T, s state) {
		if len(s.Components) != 2 || len(s.Snapshots) != 1 {
			t.Fatalf("%d Components, %d Snapshots", len(s.Components), len(s.Snapshots))
		}
		if one := s.Snapshots[0]; len(one.Spec.Components) != 2 || one.Labels[snapshot.AutoReleaseKey] != "false" {
			t.Errorf("it makes %+v, %v", one.Spec, one.Labels)
		}
	}, func() []client.Object {
		return []client.Object{application(), built("api"), built("web"), built("zoo")}
	})
}
