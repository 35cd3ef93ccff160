package report_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/report"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

const (
	commit = "0123456789abcdef0123456789abcdef01234567"
	pac    = "pac.test.appstudio.openshift.io/"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func line(scenario, status string, ago time.Duration) snapshot.Test {
	return snapshot.Test{Scenario: scenario, Status: status, LastUpdateTime: now.Add(-ago)}
}

// pull is the Snapshot of a pull request.
func pull(name string, lines ...snapshot.Test) *v1alpha1.Snapshot {
	return &v1alpha1.Snapshot{ObjectMeta: metav1.ObjectMeta{
		Namespace: "dev", Name: name, CreationTimestamp: metav1.NewTime(now.Add(-time.Hour)),
		Labels: map[string]string{
			snapshot.TypeLabel: snapshot.ComponentType, snapshot.ComponentLabel: "web",
			pac + "git-provider": "github", pac + "event-type": "pull_request", pac + "pull-request": "5", pac + "sha": commit,
		},
		Annotations: map[string]string{
			snapshot.StatusAnnotation: snapshot.Tests(lines).String(), snapshot.StartTimeKey: "1700000000000",
			pac + "repo-url": "https://github.com/shop/web", pac + "source-repo-url": "https://github.com/ada/web",
		},
	}}
}

func none(string) *v1alpha1.Snapshot { return nil }

func TestOfSnapshot(t *testing.T) {
	want := report.Target{
		Key: "shop-1", Component: "web", Provider: "github", URL: "https://github.com/shop/web", SourceURL: "https://github.com/ada/web", Commit: commit, Pull: 5,
	}
	change := func(f func(*report.Target)) []report.Target {
		t := want
		f(&t)
		return []report.Target{t}
	}
	cases := map[string]struct {
		change  func(*v1alpha1.Snapshot)
		targets []report.Target
		problem string
	}{
		"a pull request": {change: func(*v1alpha1.Snapshot) {}, targets: []report.Target{want}},
		"a push": {
			change:  func(s *v1alpha1.Snapshot) { s.Labels[pac+"event-type"] = "push" },
			targets: change(func(t *report.Target) { t.Push = true }),
		},
		"by the App": {
			change:  func(s *v1alpha1.Snapshot) { s.Labels[pac+"installation-id"] = "9" },
			targets: change(func(t *report.Target) { t.Install = "9" }),
		},
		"metadata in annotations is whole": {
			change: func(s *v1alpha1.Snapshot) {
				s.Labels[pac+"repo-url"] = "cut-off"
				s.Annotations[pac+"git-provider"] = "Forgejo"
			},
			targets: change(func(t *report.Target) { t.Provider = "forgejo" }),
		},
		"no address but that of the source": {
			change: func(s *v1alpha1.Snapshot) {
				delete(s.Annotations, pac+"repo-url")
				s.Annotations[snapshot.SourceRepoKey] = "https://github.com/shop/other"
			},
			targets: change(func(t *report.Target) { t.URL = "https://github.com/shop/other" }),
		},
		"no provider": {
			change:  func(s *v1alpha1.Snapshot) { delete(s.Labels, pac+"git-provider") },
			problem: "shop-1 has no label or annotation pac.test.appstudio.openshift.io/git-provider",
		},
		"no commit": {
			change:  func(s *v1alpha1.Snapshot) { delete(s.Labels, pac+"sha") },
			problem: "pac.test.appstudio.openshift.io/sha",
		},
		"GitLab without projects": {
			change:  func(s *v1alpha1.Snapshot) { s.Labels[pac+"git-provider"] = "gitlab" },
			problem: "target-project-id and source-project-id",
		},
		"by hand": {
			change:  func(s *v1alpha1.Snapshot) { delete(s.Labels, snapshot.TypeLabel) },
			problem: "a Snapshot of type manual is of no commit",
		},
		"an override": {
			change:  func(s *v1alpha1.Snapshot) { s.Labels[snapshot.TypeLabel] = snapshot.OverrideType },
			problem: "a Snapshot of type override is of no commit",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := pull("shop-1", line("smoke", snapshot.TestPassed, 0))
			tc.change(s)
			got := report.OfSnapshot(s, none)
			if diff := cmp.Diff(tc.targets, got.Targets); diff != "" {
				t.Errorf("targets (-want +got):\n%s", diff)
			}
			if tc.problem == "" && got.Problem != "" || !strings.Contains(got.Problem, tc.problem) {
				t.Errorf("problem is %q, want %q", got.Problem, tc.problem)
			}
			if got.Component != "web" || got.Comment != "web" || got.Order != 1_700_000_000_000 || len(got.Lines) != 1 {
				t.Errorf("subject is %+v", got)
			}
		})
	}
}

// TestGroup is reported to the pull request of every member that is there.
func TestGroup(t *testing.T) {
	group := pull("group-1", line("smoke", snapshot.TestPassed, 0))
	group.Labels[snapshot.TypeLabel] = snapshot.GroupType
	group.Annotations["test.appstudio.openshift.io/group-test-info"] = `[{"snapshot":"a","component":"web"},{"snapshot":"gone","component":"x"},{"snapshot":"b","component":"api"}]`
	find := func(name string) *v1alpha1.Snapshot {
		if name == "gone" {
			return nil
		}
		return pull(name)
	}
	got := report.OfSnapshot(group, find)
	var keys []string
	for _, target := range got.Targets {
		keys = append(keys, target.Key+" "+target.Component)
	}
	if diff := cmp.Diff([]string{"a web", "b api"}, keys); diff != "" || got.Component != report.GroupName || got.Problem != "" {
		t.Errorf("a group of %q, problem %q (-want +got):\n%s", got.Component, got.Problem, diff)
	}
	for text, want := range map[string]string{"": "does not say whose tests", `[{"snapshot":"gone"}]`: "none is there"} {
		group.Annotations["test.appstudio.openshift.io/group-test-info"] = text
		if got := report.OfSnapshot(group, func(string) *v1alpha1.Snapshot { return nil }); !strings.Contains(got.Problem, want) {
			t.Errorf("with %q the problem is %q, want %q", text, got.Problem, want)
		}
	}
}

// TestCanceled takes back what was said to go on, and says nothing new.
func TestCanceled(t *testing.T) {
	s := pull("shop-1", line("smoke", snapshot.InProgress, time.Hour), line("soak", snapshot.Pending, time.Hour), line("done", snapshot.TestPassed, time.Minute))
	meta.SetStatusCondition(&s.Status.Conditions, metav1.Condition{
		Type: "AppStudioIntegrationStatus", Status: metav1.ConditionTrue, Reason: "Canceled", LastTransitionTime: metav1.NewTime(now),
	})
	books := report.ReadBooks(s)
	target := report.Target{Key: "shop-1"}
	books.Note(target, snapshot.Tests{line("smoke", snapshot.InProgress, time.Hour)})
	due := report.OfSnapshot(s, none).Due(books, target, now)
	if len(due) != 1 || due[0].Scenario != "smoke" || due[0].Status != report.Canceled {
		t.Errorf("due are %+v, want that smoke was cancelled", due)
	}
	books.Note(target, due)
	if due := report.OfSnapshot(s, none).Due(books, target, now.Add(time.Second)); len(due) != 0 {
		t.Errorf("due are %+v again", due)
	}
}

func build(change func(*tektonv1.PipelineRun)) *tektonv1.PipelineRun {
	run := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{
		Namespace: "dev", Name: "web-1", CreationTimestamp: metav1.NewTime(now),
		Labels: map[string]string{
			snapshot.ComponentLabel:                   "web",
			"pipelinesascode.tekton.dev/git-provider": "github", "pipelinesascode.tekton.dev/event-type": "pull_request",
			"pipelinesascode.tekton.dev/pull-request": "5", "pipelinesascode.tekton.dev/sha": commit,
		},
		Annotations: map[string]string{"pipelinesascode.tekton.dev/repo-url": "https://github.com/shop/web"},
	}}
	start, end := metav1.NewTime(now), metav1.NewTime(now.Add(time.Minute))
	run.Status.StartTime = &start
	if change != nil {
		run.Status.CompletionTime = &end
		change(run)
	}
	return run
}

func ended(status corev1.ConditionStatus, message string) func(*tektonv1.PipelineRun) {
	return func(run *tektonv1.PipelineRun) {
		run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: status, Message: message})
	}
}

func annotated(key, value string) func(*tektonv1.PipelineRun) {
	return func(run *tektonv1.PipelineRun) {
		ended(corev1.ConditionTrue, "")(run)
		run.Annotations[key] = value
	}
}

// TestOfBuild says for every scenario that will test it that it waits, or waits
// in vain.
func TestOfBuild(t *testing.T) {
	scenario := func(name, context string) v1beta2.IntegrationTestScenario {
		s := v1beta2.IntegrationTestScenario{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: name}}
		s.Spec.Application = "shop"
		if context != "" {
			s.Spec.Contexts = []v1beta2.TestContext{{Name: context}}
		}
		return s
	}
	optional := scenario("a-optional", "")
	optional.Labels = map[string]string{snapshot.OptionalLabel: "true"}
	elsewhere := scenario("elsewhere", "")
	elsewhere.Spec.Application = "other"
	scenarios := []v1beta2.IntegrationTestScenario{
		scenario("smoke", "pull_request"), scenario("pushed", "push"), scenario("never", "disabled"), scenario("web", "component_web"), optional, elsewhere,
	}
	for name, tc := range map[string]struct {
		run     *tektonv1.PipelineRun
		status  string
		details string
		at      time.Time
	}{
		"running":          {build(nil), report.BuildInProgress, "build web-1 is in progress", now},
		"not signed yet":   {build(ended(corev1.ConditionTrue, "")), report.BuildInProgress, "in progress", now},
		"failed":           {build(ended(corev1.ConditionFalse, "task x failed")), report.BuildFailed, "build web-1 failed: task x failed", now.Add(time.Minute)},
		"no Snapshot":      {build(annotated(snapshot.CreatedAnnotation, `{"status":"failed","message":"no digest"}`)), report.SnapshotCreationFailed, "no digest", now.Add(time.Minute)},
		"a Snapshot":       {run: build(annotated(snapshot.SnapshotKey, "shop-1"))},
		"several":          {run: build(annotated(snapshot.SnapshotKey+"s", "shop-1,group-1"))},
		"an edited remark": {build(annotated(snapshot.CreatedAnnotation, `failed`)), report.BuildInProgress, "in progress", now},
	} {
		t.Run(name, func(t *testing.T) {
			got := report.OfBuild(tc.run, "shop", nil, scenarios)
			if tc.status == "" {
				if len(got.Lines) != 0 {
					t.Errorf("lines are %+v, want none: the Snapshot has them", got.Lines)
				}
				return
			}
			want := snapshot.Tests{
				{Scenario: "a-optional", Status: tc.status, LastUpdateTime: tc.at, Optional: true},
				{Scenario: "smoke", Status: tc.status, LastUpdateTime: tc.at}, {Scenario: "web", Status: tc.status, LastUpdateTime: tc.at},
			}
			if diff := cmp.Diff(want, got.Lines, cmpopts.IgnoreFields(snapshot.Test{}, "Details")); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
			if !strings.Contains(got.Lines[0].Details, tc.details) {
				t.Errorf("details are %q, want %q", got.Lines[0].Details, tc.details)
			}
			if len(got.Targets) != 1 || got.Targets[0].Key != "web-1" || got.Targets[0].Pull != 5 || got.Targets[0].Commit != commit {
				t.Errorf("targets are %+v", got.Targets)
			}
		})
	}
}

// TestOfVersion is of the groups that hold the version which was built.
func TestOfVersion(t *testing.T) {
	member := func(version string) v1beta2.ComponentReference {
		return v1beta2.ComponentReference{Name: "web", ComponentVersion: &v1beta2.ComponentVersionReference{Name: version}}
	}
	group := func(name string, members ...v1beta2.ComponentReference) v1beta2.ComponentGroup {
		return v1beta2.ComponentGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: name}, Spec: v1beta2.ComponentGroupSpec{Components: members}}
	}
	var scenarios []v1beta2.IntegrationTestScenario
	for _, name := range []string{"all", "old"} {
		s := v1beta2.IntegrationTestScenario{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: "of-" + name}}
		s.Spec.ComponentGroup = name
		scenarios = append(scenarios, s)
	}
	groups := []v1beta2.ComponentGroup{group("all", member("v1"), member("v2")), group("old", member("v1"))}
	comments := map[string]string{"v2": "web in all"} // of v1 each Snapshot comments
	for version, want := range map[string]string{"v1": "of-all of-old", "v2": "of-all", "v3": ""} {
		run := build(nil)
		run.Annotations[snapshot.VersionKey] = version
		got := report.OfBuild(run, "shop", groups, scenarios)
		var names []string
		for _, l := range got.Lines {
			names = append(names, l.Scenario)
		}
		if strings.Join(names, " ") != want || (len(got.Targets) == 1) != (want != "") {
			t.Errorf("%s is tested by %v for %+v, want %q", version, names, got.Targets, want)
		}
		if got.Comment != comments[version] {
			t.Errorf("%s comments as %q", version, got.Comment)
		}
	}
}

// TestAwaitedGroup is told when it changes, and taken back when it is settled.
func TestAwaitedGroup(t *testing.T) {
	s := pull("shop-1")
	s.CreationTimestamp = metav1.NewTime(now)
	target := report.Target{Key: "shop-1"}
	books := report.ReadBooks(s)
	for _, step := range []struct{ reason, note, want string }{
		{snapshot.GroupNotNeeded, "one pull request", ""}, // never said, never taken back
		{snapshot.GroupWaiting, "api is building", "GroupAwaited: api is building"},
		{snapshot.GroupWaiting, "api is building", ""},
		{snapshot.GroupWaiting, "api failed", "GroupAwaited: api failed"},
		{snapshot.GroupFailed, "quota", "GroupSnapshotCreationFailed: quota"},
		{snapshot.GroupCreated, "Snapshot g", "GroupSettled: Snapshot g"},
		{snapshot.GroupCreated, "Snapshot g", ""},
	} {
		s.Annotations[snapshot.GroupReasonAnnotation], s.Annotations[snapshot.GroupStatusAnnotation] = step.reason, step.note
		due := report.OfSnapshot(s, none).Due(books, target, now.Add(time.Minute))
		got := ""
		for _, l := range due {
			got += l.Status + ": " + l.Details
		}
		if got != step.want {
			t.Errorf("%s, %q: due is %q, want %q", step.reason, step.note, got, step.want)
		}
		books.Note(target, due)
		s.Annotations[report.BooksAnnotation] = books.String()
		books = report.ReadBooks(s)
	}
}
