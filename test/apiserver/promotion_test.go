//go:build apiserver

package apiserver_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/controllers/manager"
	"github.com/headrace-ci/headrace/pkg/explain"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// pushed is a Snapshot as a build of a component makes it that started then,
// in Unix milliseconds.
func pushed(ns, name, component, start string) *v1alpha1.Snapshot {
	s := &v1alpha1.Snapshot{ObjectMeta: meta(ns, name), Spec: v1alpha1.SnapshotSpec{Application: app, Components: []v1alpha1.SnapshotComponent{{
		Name: component, ContainerImage: image + "@" + digest, Source: v1alpha1.ComponentSource{Git: &v1alpha1.GitSource{URL: "https://git.example.com/shop/web", Revision: commit}},
	}}}}
	s.Labels[snapshot.TypeLabel], s.Labels[snapshot.ComponentLabel] = snapshot.ComponentType, component
	s.Annotations = map[string]string{snapshot.StartTimeKey: start}
	return s
}

// asks is a plan that releases when its expression says so.
func asks(ns, name, expression string) *v1alpha1.ReleasePlan {
	p := plan(ns, "")
	p.Name, p.Annotations = name, map[string]string{snapshot.AutoReleaseKey: expression}
	return p
}

// autoReleased waits until the condition is as said, and its message too.
func autoReleased(t *testing.T, c client.Client, s *v1alpha1.Snapshot, status metav1.ConditionStatus, reason, says string) {
	t.Helper()
	eventually(t, "Snapshot "+s.Name+" is promoted or not", func() error {
		if err := conditionIs(t, c, s, snapshot.AutoReleasedCondition, status, reason); err != nil {
			return err
		}
		got, err := readCondition(t, c, s, snapshot.AutoReleasedCondition)
		if err == nil && !strings.Contains(got.Message, says) {
			err = fmt.Errorf("it says %q, want %q", got.Message, says)
		}
		return err
	})
}

// by are the plans of the Releases of a Snapshot.
func by(t *testing.T, c client.Client, s *v1alpha1.Snapshot) []string {
	t.Helper()
	plans := []string{}
	for _, r := range releases(t, c, s.Namespace) {
		if r.Spec.Snapshot == s.Name {
			plans = append(plans, r.Spec.ReleasePlan)
		}
	}
	slices.Sort(plans)
	return plans
}

// TestReleaseByExpression makes one Release a plan that wants the Snapshot,
// with the controllers killed meanwhile, and tells of a plan nobody can read.
func TestReleaseByExpression(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	wrong := asks(ns, "wrong", "updatedComponentIs(web)")
	create(t, c, application(ns), component(ns, "web"), component(ns, "api"), plan(ns, ""),
		asks(ns, "web", `updatedComponentIs("web")`), asks(ns, "api", `updatedComponentIs("api")`), wrong)
	var p controllers
	p.start(t)
	web := pushed(ns, "shop-1", "web", "1741064767000")
	create(t, c, web)
	p.restart(t)
	autoReleased(t, c, web, metav1.ConditionFalse, "ErrorOccured", `of ReleasePlan "wrong": it cannot be read: line 1, column 20: undeclared reference to 'web'`)
	if diff := cmp.Diff([]string{app, "web"}, by(t, c, web)); diff != "" {
		t.Errorf("released by (-want +got):\n%s", diff)
	}
	wrong.Annotations[snapshot.AutoReleaseKey] = `now > timestamp(snapshot.metadata.creationTimestamp) - duration("1h") && size(snapshot.spec.components) == 1`
	if err := c.Update(t.Context(), wrong); err != nil {
		t.Fatal(err)
	}
	p.restart(t)
	autoReleased(t, c, web, metav1.ConditionTrue, "AutoReleased", "The Snapshot was auto-released")
	p.restart(t)
	if diff := cmp.Diff([]string{app, "web", "wrong"}, by(t, c, web)); diff != "" {
		t.Errorf("released by, once mended (-want +got):\n%s", diff)
	}
	for _, r := range releases(t, c, ns) {
		if !strings.HasPrefix(r.Name, "shop-1-"+commit[:7]+"-") || r.Labels[snapshot.AutomatedLabel] != "true" || !r.Status.Automated {
			t.Errorf("Release %s, labels %v, automated %t", r.Name, r.Labels, r.Status.Automated)
		}
	}
}

// TestNotReleased is every other end of a Snapshot that passed.
func TestNotReleased(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	create(t, c, application(ns), component(ns, "web"), component(ns, "api"), plan(ns, ""))
	var p controllers
	p.start(t)
	unwanted, blocked, pull := pushed(ns, "unwanted", "web", "1000"), pushed(ns, "blocked", "api", "1000"), pushed(ns, "pull", "web", "3000")
	unwanted.Annotations["test.appstudio.openshift.io/result-should-release"] = "false"
	blocked.Labels[snapshot.AutoReleaseKey] = "false"
	pull.Labels["pac.test.appstudio.openshift.io/event-type"], pull.Labels["pac.test.appstudio.openshift.io/pull-request"] = "pull_request", "1"
	create(t, c, unwanted, blocked, pull)
	autoReleased(t, c, unwanted, metav1.ConditionTrue, "AutoReleased", "the build pipeline's SHOULD_RELEASE result is 'false'")
	autoReleased(t, c, blocked, metav1.ConditionFalse, "Blocked", "Delete the label")
	autoReleased(t, c, pull, metav1.ConditionFalse, "NotPush", "not of a push")
	if all := releases(t, c, ns); len(all) != 0 {
		t.Errorf("Release %s was made", all[0].Name)
	}
	// The label can be taken off.
	eventually(t, "taking the label off", func() error {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(blocked), blocked); err != nil {
			return err
		}
		delete(blocked.Labels, snapshot.AutoReleaseKey)
		return c.Update(t.Context(), blocked)
	})
	autoReleased(t, c, blocked, metav1.ConditionTrue, "AutoReleased", "was auto-released")
}

// TestSuperseded releases the Snapshot of the newer build only, although that
// of the older one passes later.
func TestSuperseded(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	create(t, c, application(ns), component(ns, "web"), testScenario(ns), plan(ns, ""))
	var p controllers
	p.start(t)
	// As upstream wrote it once: seconds beside milliseconds.
	older, newer := pushed(ns, "older", "web", "1741064767"), pushed(ns, "newer", "web", "1741064767500")
	create(t, c, older, newer)
	finish(t, c, testOf(t, c, newer), corev1.ConditionTrue, nil)
	autoReleased(t, c, newer, metav1.ConditionTrue, "AutoReleased", "was auto-released")
	finish(t, c, testOf(t, c, older), corev1.ConditionTrue, nil)
	autoReleased(t, c, older, metav1.ConditionTrue, "AutoReleased", "Released in newer Snapshot")
	if got := by(t, c, older); len(got) != 0 {
		t.Errorf("the older one is released by %v", got)
	}
}

// testOf waits for the one test run of a Snapshot.
func testOf(t *testing.T, c client.Client, s *v1alpha1.Snapshot) *tektonv1.PipelineRun {
	t.Helper()
	var found *tektonv1.PipelineRun
	eventually(t, "waiting for the test of "+s.Name, func() error {
		var list tektonv1.PipelineRunList
		err := c.List(t.Context(), &list, client.InNamespace(s.Namespace), client.MatchingLabels{snapshot.SnapshotKey: s.Name, snapshot.RunTypeLabel: snapshot.TestRun})
		if err != nil || len(list.Items) != 1 {
			return fmt.Errorf("there are %d, %w", len(list.Items), err)
		}
		found = &list.Items[0]
		return nil
	})
	return found
}

// TestForgedRelease does not release another's data in the name of the plan's
// author.
func TestForgedRelease(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	create(t, c, application(ns), component(ns, "web"), testScenario(ns), plan(ns, ""))
	var p controllers
	p.start(t)
	s := pushed(ns, "shop-1", "web", "1741064767000")
	create(t, c, s)
	test := testOf(t, c, s)
	forged := snapshot.NewRelease(s, app)
	forged.Spec.Data = &runtime.RawExtension{Raw: []byte(`{"mapping":{"elsewhere":true}}`)}
	create(t, c, forged)
	finish(t, c, test, corev1.ConditionTrue, nil)
	autoReleased(t, c, s, metav1.ConditionFalse, "ErrorOccured", fmt.Sprintf("delete the Release %q", forged.Name))
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(forged), forged); err != nil || forged.Status.Automated {
		t.Errorf("the forged Release is marked as ours: %t, %v", forged.Status.Automated, err)
	}
}

// TestExplain asks, with the rights of somebody who may only look, why a
// Snapshot is not released, from its test to the admission it lacks.
func TestExplain(t *testing.T) {
	c := newClient(t)
	applyRoles(t, c)
	ns, managed := namespace(t, c), namespace(t, c)
	create(t, c, application(ns), component(ns, "web"), testScenario(ns), plan(ns, managed),
		binding(ns, "viewer", "konflux-viewer-user-actions-core", rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "viewer"}))
	var p controllers
	p.start(t)
	theirs := rest.CopyConfig(config)
	theirs.Impersonate = rest.ImpersonationConfig{UserName: "viewer"}
	viewer, err := client.New(theirs, client.Options{Scheme: manager.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	cause := func(kind, name, stage string, state explain.State, says string) {
		t.Helper()
		eventually(t, kind+" "+name+" is explained", func() error {
			chain, err := explain.Explain(t.Context(), viewer, explain.Subject{Kind: kind, Namespace: ns, Name: name})
			if err != nil {
				return err
			}
			got, _ := chain.Cause()
			if got.Stage != stage || got.State != state || !strings.Contains(got.Message+got.Fix, says) {
				return fmt.Errorf("the cause is %+v, want %s of %s with %q; the chain is\n%s", got, state, stage, says, chain)
			}
			return nil
		})
	}
	cause("component", "web", explain.Build, explain.Stopped, "never built")
	run := buildRun(ns, "web-build", "web")
	create(t, c, run)
	cause("component", "web", explain.Build, explain.Waiting, "runs")
	finish(t, c, run, corev1.ConditionTrue, built())
	cause("pipelinerun", "web-build", explain.Signature, explain.Waiting, "")
	p.proofs.there.Store(true)
	s := oneSnapshot(t, c, ns)
	// That nobody takes the release is known before the tests end.
	cause("snapshot", s.Name, explain.Admission, explain.Stopped, "ask the owner of namespace "+managed)
	create(t, c, admission(t, managed, ns), policy(managed))
	cause("snapshot", s.Name, explain.Test, explain.Waiting, "")
	finish(t, c, testOf(t, c, s), corev1.ConditionFalse, nil)
	cause("component", "web", explain.Test, explain.Stopped, "test.appstudio.openshift.io/run=smoke")
}

// TestAttribution releases in the name of the plan's author, and not at all
// where nobody stands for it.
func TestAttribution(t *testing.T) {
	c := newClient(t)
	ns, managed := namespace(t, c), namespace(t, c)
	nobody := plan(ns, managed)
	nobody.Name = "nobody"
	delete(nobody.Labels, "release.appstudio.openshift.io/standing-attribution")
	create(t, c, application(ns), component(ns, "web"), plan(ns, managed), nobody, admission(t, managed, ns), policy(managed))
	var p controllers
	p.start(t)
	s := pushed(ns, "shop-1", "web", "1741064767000")
	create(t, c, s)
	autoReleased(t, c, s, metav1.ConditionTrue, "AutoReleased", "was auto-released")
	for _, r := range releases(t, c, ns) {
		if r.Spec.ReleasePlan == "nobody" {
			eventually(t, "the Release of nobody is refused", func() error {
				return conditionIs(t, c, &r, "Validated", metav1.ConditionFalse, "Failed")
			})
			continue
		}
		eventually(t, "the Release is attributed", func() error {
			if err := conditionIs(t, c, &r, "Validated", metav1.ConditionTrue, "Succeeded"); err != nil {
				return err
			}
			want := &v1alpha1.Attribution{Author: "ada", StandingAuthorization: true}
			if diff := cmp.Diff(want, r.Status.Attribution); diff != "" || !r.Status.Automated {
				return fmt.Errorf("automated %t, attribution (-want +got):\n%s", r.Status.Automated, diff)
			}
			return nil
		})
	}
	if got := by(t, c, s); len(got) != 2 {
		t.Errorf("released by %v", got)
	}
}
