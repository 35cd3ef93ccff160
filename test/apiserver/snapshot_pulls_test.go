//go:build apiserver

package apiserver_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	domain "github.com/headrace-ci/headrace/pkg/snapshot"
)

// pullRun is a build as Pipelines as Code starts it for a pull request.
func pullRun(ns, name, component, number, event, branch string) *tektonv1.PipelineRun {
	run := buildRun(ns, name, component)
	maps.Copy(run.Labels, map[string]string{
		pac + "pull-request": number, pac + "event-type": event, pac + "url-org": "shop", pac + "url-repository": component,
		"custom.appstudio.openshift.io/team": "a",
	})
	run.Annotations = map[string]string{
		pac + "source-branch": branch, pac + "sha": commit, pac + "repo-url": "https://git.example.com/shop/" + component, pac + "git-provider": "github",
	}
	return run
}

// builtOf are the results of a build of a component.
func builtOf(component, digest string) map[string]string {
	results := built()
	results["IMAGE_URL"] = "registry.example.com:5000/shop/" + component + ":" + commit
	results["IMAGE_DIGEST"] = digest
	results["CHAINS-GIT_URL"] = "https://git.example.com/shop/" + component
	return results
}

func sum(digit string) string { return "sha256:" + strings.Repeat(digit, 64) }

// snapshotOfBuild waits for the Snapshot that a build gets.
func snapshotOfBuild(t *testing.T, c client.Client, run *tektonv1.PipelineRun) *v1alpha1.Snapshot {
	t.Helper()
	var found *v1alpha1.Snapshot
	eventually(t, "the Snapshot of build "+run.Name, func() error {
		found = nil
		for _, s := range snapshots(t, c, run.Namespace) {
			if s.Labels[domain.BuildLabel] == run.Name && found != nil {
				t.Fatalf("build %s has Snapshots %s and %s", run.Name, s.Name, found.Name)
			}
			if s.Labels[domain.BuildLabel] == run.Name {
				found = s.DeepCopy()
			}
		}
		if found == nil {
			return fmt.Errorf("there is none")
		}
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(run), run); err != nil {
			return err
		}
		if run.Annotations[domain.SnapshotKey] != found.Name || len(run.Finalizers) > 0 {
			return fmt.Errorf("the build names %q, held by %v", run.Annotations[domain.SnapshotKey], run.Finalizers)
		}
		return nil
	})
	return found
}

// testRunOf waits for the run that tests a Snapshot.
func testRunOf(t *testing.T, c client.Client, s *v1alpha1.Snapshot) *tektonv1.PipelineRun {
	t.Helper()
	var found tektonv1.PipelineRun
	eventually(t, "the test run of Snapshot "+s.Name, func() error {
		for _, run := range runs(t, c, s.Namespace) {
			if run.Labels[domain.SnapshotKey] == s.Name && run.Labels[domain.RunTypeLabel] == domain.TestRun {
				found = run
				return nil
			}
		}
		return fmt.Errorf("there is none")
	})
	return &found
}

func images(s *v1alpha1.Snapshot) map[string]string {
	found := map[string]string{}
	for _, c := range s.Spec.Components {
		found[c.Name] = c.ContainerImage
	}
	return found
}

// TestPullRequestBuild holds a build until its Snapshot is there, and says on
// both what belongs to the other. A comment that builds again gets another
// Snapshot, and ends the tests of the first.
func TestPullRequestBuild(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	create(t, c, application(ns), component(ns, "web"), testScenario(ns))
	var p controllers
	p.proofs.there.Store(true)
	p.start(t)

	run := pullRun(ns, "web-1", "web", "7", "pull_request", "feature")
	create(t, c, run)
	eventually(t, "the build is held, and in its group", func() error {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(run), run); err != nil {
			return err
		}
		if !slices.Contains(run.Finalizers, domain.RunFinalizer) || run.Annotations[domain.PRGroupAnnotation] != "feature" || len(run.Labels[domain.PRGroupLabel]) != 62 {
			return fmt.Errorf("it has %v, %v, %v", run.Finalizers, run.Annotations, run.Labels)
		}
		return nil
	})
	if name, is := run.Annotations[domain.SnapshotKey]; is {
		t.Errorf("before it ended it named Snapshot %q", name)
	}
	finish(t, c, run, corev1.ConditionTrue, builtOf("web", sum("a")))
	s := snapshotOfBuild(t, c, run)
	if outcome, _ := domain.ParseOutcome(run.Annotations[domain.CreatedAnnotation]); outcome.Status != "success" || !strings.Contains(outcome.Message, s.Name) {
		t.Errorf("the build says %+v", outcome)
	}
	if got := images(s)["web"]; got != "registry.example.com:5000/shop/web@"+sum("a") {
		t.Errorf("the Snapshot holds %s", got)
	}
	for key, want := range map[string]string{
		"pac.test.appstudio.openshift.io/event-type": "pull_request", "pac.test.appstudio.openshift.io/pull-request": "7",
		"custom.appstudio.openshift.io/team": "a", "appstudio.openshift.io/component": "web", "appstudio.openshift.io/application": app,
		"test.appstudio.openshift.io/type": "component", "test.appstudio.openshift.io/pr-group-sha": run.Labels[domain.PRGroupLabel],
	} {
		if s.Labels[key] != want {
			t.Errorf("label %s of the Snapshot is %q, want %q", key, s.Labels[key], want)
		}
	}
	for key, want := range map[string]string{
		"pac.test.appstudio.openshift.io/sha": commit, "test.appstudio.openshift.io/pr-group": "feature",
		"test.appstudio.openshift.io/integration-workflow": "pull-request", "test.appstudio.openshift.io/result-chains-git-commit": commit,
	} {
		if s.Annotations[key] != want {
			t.Errorf("annotation %s of the Snapshot is %q, want %q", key, s.Annotations[key], want)
		}
	}
	first := testRunOf(t, c, s)

	time.Sleep(time.Until(run.CreationTimestamp.Add(1100 * time.Millisecond))) // starts are told apart by the second
	again := pullRun(ns, "web-2", "web", "7", "retest-comment", "feature")
	create(t, c, again)
	cancelled(t, c, s, first)
	finish(t, c, again, corev1.ConditionTrue, builtOf("web", sum("b")))
	second := snapshotOfBuild(t, c, again)
	testRunOf(t, c, second)
	if err := conditionIs(t, c, second, "AppStudioIntegrationStatus", metav1.ConditionTrue, "Canceled"); err == nil {
		t.Error("the newer Snapshot is cancelled")
	}
	web := component(ns, "web")
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(web), web); err != nil || web.Status.LastPromotedImage != "" {
		t.Errorf("a pull request promoted %s, error %v", web.Status.LastPromotedImage, err)
	}
}

// cancelled waits until a Snapshot and its test are.
func cancelled(t *testing.T, c client.Client, s *v1alpha1.Snapshot, test *tektonv1.PipelineRun) {
	t.Helper()
	eventually(t, "Snapshot "+s.Name+" is cancelled", func() error {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(test), test); err != nil {
			return err
		}
		if test.Spec.Status != tektonv1.PipelineRunSpecStatusCancelledRunFinally || test.Labels[domain.CancelledKey] != "true" || test.Annotations[domain.CancelledKey] != "true" {
			return fmt.Errorf("test run %s has %q, %v", test.Name, test.Spec.Status, test.Labels)
		}
		return conditionIs(t, c, s, "AppStudioIntegrationStatus", metav1.ConditionTrue, "Canceled")
	})
}

// TestGroupSnapshot makes one Snapshot of two components in one repository and
// one in another, whose pull requests come from branches of one name; and
// another one, in its place, when one of them is built again.
func TestGroupSnapshot(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	create(t, c, application(ns), component(ns, "api"), component(ns, "web"), component(ns, "operator"), component(ns, "docs"), testScenario(ns))
	var p controllers
	p.proofs.there.Store(true)
	p.start(t)
	docs := buildRun(ns, "docs-1", "docs")
	create(t, c, docs)
	finish(t, c, docs, corev1.ConditionTrue, builtOf("docs", sum("d")))
	snapshotOfBuild(t, c, docs)

	var builds []*tektonv1.PipelineRun
	for i, name := range []string{"api", "web", "operator"} {
		run := pullRun(ns, name+"-1", name, fmt.Sprint(min(i, 1)+1), "pull_request", "feature")
		create(t, c, run)
		builds = append(builds, run)
	}
	finish(t, c, builds[0], corev1.ConditionTrue, builtOf("api", sum("1")))
	api := snapshotOfBuild(t, c, builds[0])
	says(t, c, api, domain.GroupWaiting, "build operator-1 of component operator is running; build web-1 of component web is running")
	p.restart(t)
	finish(t, c, builds[1], corev1.ConditionTrue, builtOf("web", sum("2")))
	web := snapshotOfBuild(t, c, builds[1])
	finish(t, c, builds[2], corev1.ConditionTrue, builtOf("operator", sum("3")))
	operator := snapshotOfBuild(t, c, builds[2])

	group := groupSnapshot(t, c, ns, 1)
	want := map[string]string{
		"api": "registry.example.com:5000/shop/api@" + sum("1"), "web": "registry.example.com:5000/shop/web@" + sum("2"),
		"operator": "registry.example.com:5000/shop/operator@" + sum("3"), "docs": "registry.example.com:5000/shop/docs@" + sum("d"),
	}
	if got := images(group); !maps.Equal(got, want) {
		t.Errorf("the group holds %v, want %v", got, want)
	}
	var info []map[string]string
	if err := json.Unmarshal([]byte(group.Annotations["test.appstudio.openshift.io/group-test-info"]), &info); err != nil || len(info) != 3 {
		t.Fatalf("group-test-info has %v, error %v", info, err)
	}
	if got := info[0]; got["component"] != "api" || got["buildPipelineRun"] != "api-1" || got["snapshot"] != api.Name || got["namespace"] != ns ||
		got["repoUrl"] != "https://git.example.com/shop/api" || got["pullRequestNumber"] != "1" {
		t.Errorf("the first member is %v", got)
	}
	for _, member := range []*v1alpha1.Snapshot{api, web, operator} {
		says(t, c, member, domain.GroupCreated, group.Name)
	}
	groupTest, webTest := testRunOf(t, c, group), testRunOf(t, c, web)

	time.Sleep(time.Until(builds[1].CreationTimestamp.Add(1100 * time.Millisecond)))
	again := pullRun(ns, "web-2", "web", "2", "pull_request", "feature")
	create(t, c, again)
	cancelled(t, c, group, groupTest)
	cancelled(t, c, web, webTest)
	says(t, c, api, domain.GroupWaiting, "build web-2 of component web is running")
	finish(t, c, again, corev1.ConditionTrue, builtOf("web", sum("4")))
	next := groupSnapshot(t, c, ns, 2)
	if got := images(next)["web"]; next.Name == group.Name || got != "registry.example.com:5000/shop/web@"+sum("4") {
		t.Errorf("the next group, %s, holds %s", next.Name, got)
	}
	says(t, c, api, domain.GroupCreated, next.Name)
	for _, s := range []*v1alpha1.Snapshot{api, operator, next} {
		if err := conditionIs(t, c, s, "AppStudioIntegrationStatus", metav1.ConditionTrue, "Canceled"); err == nil {
			t.Errorf("Snapshot %s is cancelled, and nothing of it is newer", s.Name)
		}
	}
}

// groupSnapshot waits until there are so many Snapshots of the group, and
// returns the newest.
func groupSnapshot(t *testing.T, c client.Client, ns string, count int) *v1alpha1.Snapshot {
	t.Helper()
	var groups []v1alpha1.Snapshot
	eventually(t, "the Snapshot of the group", func() error {
		groups = slices.DeleteFunc(snapshots(t, c, ns), func(s v1alpha1.Snapshot) bool { return s.Labels[domain.TypeLabel] != domain.GroupType })
		if len(groups) != count {
			return fmt.Errorf("there are %d", len(groups))
		}
		return nil
	})
	slices.SortFunc(groups, func(a, b v1alpha1.Snapshot) int {
		if order := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); order != 0 {
			return order
		}
		return strings.Compare(a.Name, b.Name)
	})
	return &groups[count-1]
}

// says waits until a Snapshot tells about its group.
func says(t *testing.T, c client.Client, s *v1alpha1.Snapshot, reason, text string) {
	t.Helper()
	eventually(t, "Snapshot "+s.Name+" tells about its group", func() error {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(s), s); err != nil {
			return err
		}
		got := s.Annotations["test.appstudio.openshift.io/create-groupsnapshot-status"]
		if s.Annotations[domain.GroupReasonAnnotation] != reason || !strings.Contains(got, text) {
			return fmt.Errorf("it says %s: %s; want %s: %s", s.Annotations[domain.GroupReasonAnnotation], got, reason, text)
		}
		return nil
	})
}

// TestFailedPullRequest tells on the build what failed, and the rest of its
// group whom it waits for.
func TestFailedPullRequest(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	create(t, c, application(ns), component(ns, "api"), component(ns, "web"))
	var p controllers
	p.proofs.there.Store(true)
	p.start(t)
	api, web := pullRun(ns, "api-1", "api", "1", "pull_request", "feature"), pullRun(ns, "web-1", "web", "2", "pull_request", "feature")
	create(t, c, api, web)
	finish(t, c, api, corev1.ConditionTrue, builtOf("api", sum("1")))
	finish(t, c, web, corev1.ConditionFalse, nil)
	eventually(t, "the build says that it failed", func() error {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(web), web); err != nil {
			return err
		}
		outcome, _ := domain.ParseOutcome(web.Annotations["test.appstudio.openshift.io/create-snapshot-status"])
		if outcome.Status != "failed" || outcome.Reason != domain.BuildFailed || !strings.Contains(outcome.Message, "build PipelineRun web-1 failed: Tasks Completed: 1") || len(web.Finalizers) > 0 {
			return fmt.Errorf("it says %+v, held by %v", outcome, web.Finalizers)
		}
		return nil
	})
	says(t, c, snapshotOfBuild(t, c, api), domain.GroupWaiting, "build web-1 of component web failed: push to its pull request, or comment /retest")

	again := pullRun(ns, "web-2", "web", "2", "retest-all-comment", "feature")
	time.Sleep(time.Until(web.CreationTimestamp.Add(1100 * time.Millisecond)))
	create(t, c, again)
	finish(t, c, again, corev1.ConditionTrue, builtOf("web", sum("2")))
	groupSnapshot(t, c, ns, 1)
}

// TestMergeQueue takes what is in a merge queue for a pull request, though it
// arrives as a push.
func TestMergeQueue(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	create(t, c, application(ns), component(ns, "web"))
	var p controllers
	p.proofs.there.Store(true)
	p.start(t)
	run := buildRun(ns, "web-1", "web")
	run.Labels[pac+"event-type"] = "push"
	run.Annotations = map[string]string{pac + "source-branch": "gh-readonly-queue/main/pr-7-" + commit}
	create(t, c, run)
	finish(t, c, run, corev1.ConditionTrue, built())
	s := snapshotOfBuild(t, c, run)
	if s.Labels["pac.test.appstudio.openshift.io/pull-request"] != "7" || s.Annotations["pac.test.appstudio.openshift.io/pull-request"] != "7" || domain.Push(s) {
		t.Errorf("the Snapshot has %v", s.Labels)
	}
	web := component(ns, "web")
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(web), web); err != nil || web.Status.LastPromotedImage != "" {
		t.Errorf("it promoted %q, error %v", web.Status.LastPromotedImage, err)
	}
}
