package snapshot_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"knative.dev/pkg/apis"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

const (
	digest    = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	pacPR     = "pac.test.appstudio.openshift.io/pull-request"
	pacEvent  = "pac.test.appstudio.openshift.io/event-type"
	pacBranch = "pac.test.appstudio.openshift.io/source-branch"
)

func build(results map[string]string) *tektonv1.PipelineRun {
	run := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: "web-1", UID: "1"}}
	start, end := metav1.Date(2025, 3, 4, 5, 6, 7, 0, time.UTC), metav1.Date(2025, 3, 4, 5, 8, 0, 0, time.UTC)
	run.Status.StartTime, run.Status.CompletionTime = &start, &end
	for k, v := range results {
		run.Status.Results = append(run.Status.Results, tektonv1.PipelineRunResult{Name: k, Value: *tektonv1.NewStructuredValues(v)})
	}
	return run
}

func TestBuiltBy(t *testing.T) {
	cases := map[string]struct {
		change map[string]string
		image  string
		fails  string
	}{
		"a registry with a port":  {image: "registry.test:5000/dev/web@" + digest},
		"a port and no tag":       {change: map[string]string{"IMAGE_URL": "registry.test:5000/dev/web"}, image: "registry.test:5000/dev/web@" + digest},
		"a newline at the end":    {change: map[string]string{"IMAGE_URL": "quay.test/dev/web:1\n"}, image: "quay.test/dev/web@" + digest},
		"a tag and a digest":      {change: map[string]string{"IMAGE_URL": "quay.test/dev/web:1@" + digest}, image: "quay.test/dev/web@" + digest},
		"no url":                  {change: map[string]string{"IMAGE_URL": ""}, fails: "IMAGE_URL is missing"},
		"no commit":               {change: map[string]string{"CHAINS-GIT_COMMIT": ""}, fails: "CHAINS-GIT_COMMIT is missing"},
		"a digest that is short":  {change: map[string]string{"IMAGE_DIGEST": "sha256:12"}, fails: "IMAGE_DIGEST"},
		"a digest of another sum": {change: map[string]string{"IMAGE_DIGEST": "md5:" + digest[7:39]}, fails: "IMAGE_DIGEST"},
		"an url with a space":     {change: map[string]string{"IMAGE_URL": "quay.test/dev web"}, fails: "IMAGE_URL"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			results := map[string]string{
				"IMAGE_URL": "registry.test:5000/dev/web:abc", "IMAGE_DIGEST": digest,
				"CHAINS-GIT_URL": "https://git.test/web", "CHAINS-GIT_COMMIT": "abc",
			}
			for k, v := range tc.change {
				results[k] = v
			}
			got, err := snapshot.BuiltBy(build(results))
			if tc.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tc.fails) {
					t.Errorf("BuiltBy() = %v, %v, want an error with %q", got, err, tc.fails)
				}
				return
			}
			if want := (snapshot.Built{Image: tc.image, URL: "https://git.test/web", Commit: "abc"}); err != nil || got != want {
				t.Errorf("BuiltBy() = %v, %v, want %v", got, err, want)
			}
		})
	}
}

func TestNewComponentSnapshot(t *testing.T) {
	part := func(name, app, image, commit string) v1alpha1.Component {
		return v1alpha1.Component{
			ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: name},
			Spec: v1alpha1.ComponentSpec{Application: app, Source: v1alpha1.ComponentSource{
				Git: &v1alpha1.GitSource{URL: "https://git.test/" + name, Revision: "main", Context: "src"}}},
			Status: v1alpha1.ComponentStatus{LastPromotedImage: image, LastBuiltCommit: commit},
		}
	}
	all := []v1alpha1.Component{
		part("web", "shop", "quay.test/dev/web@"+digest, "old"), part("zoo", "shop", "", ""),
		part("api", "shop", "quay.test/dev/api@"+digest, "def"), part("tagged", "shop", "quay.test/dev/tagged:1", "def"),
		part("other", "bank", "quay.test/dev/other@"+digest, "def"), part("gone", "shop", "quay.test/dev/gone@"+digest, "def"),
	}
	all[5].DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	run := build(map[string]string{"IMAGE_URL": "x", "SHOULD_RELEASE": "false"})
	run.Labels = map[string]string{
		"pipelinesascode.tekton.dev/event-type": "push", "build.appstudio.redhat.com/target": "main", "tekton.dev/pipeline": "p",
		snapshot.RerunLabel: "all",
	}
	run.Annotations = map[string]string{snapshot.CandidateKey: "{}", "custom.appstudio.openshift.io/x": "y", "pipelinesascode.tekton.dev/sha": "abc"}

	got, left := snapshot.NewComponentSnapshot(run, snapshot.Built{Image: "quay.test/dev/web@" + digest, URL: "https://fork.test/web", Commit: "abc"}, &all[0], all)
	if diff := cmp.Diff([]string{"tagged", "zoo"}, left); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
	source := func(url, commit string) v1alpha1.ComponentSource {
		return v1alpha1.ComponentSource{Git: &v1alpha1.GitSource{URL: url, Revision: commit, Context: "src"}}
	}
	want := v1alpha1.SnapshotSpec{Application: "shop", Components: []v1alpha1.SnapshotComponent{
		{Name: "api", ContainerImage: "quay.test/dev/api@" + digest, Source: source("https://git.test/api", "def")},
		{Name: "web", ContainerImage: "quay.test/dev/web@" + digest, Source: source("https://fork.test/web", "abc")},
	}}
	if diff := cmp.Diff(want, got.Spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	wantMeta := metav1.ObjectMeta{
		Namespace: "dev", Name: "shop-20250304-050607-000",
		Labels: map[string]string{
			"appstudio.openshift.io/application": "shop", "appstudio.openshift.io/component": "web",
			"appstudio.openshift.io/build-pipelinerun":          "web-1",
			"test.appstudio.openshift.io/type":                  "component",
			"test.appstudio.openshift.io/pipelinerunfinishtime": "1741064880",
			"pac.test.appstudio.openshift.io/event-type":        "push",
			"build.appstudio.redhat.com/target":                 "main",
		},
		Annotations: map[string]string{
			"test.appstudio.openshift.io/pipelinerunstarttime":  "1741064767000",
			"test.appstudio.openshift.io/integration-workflow":  "push",
			"test.appstudio.openshift.io/source-repo-url":       "https://fork.test/web",
			"test.appstudio.openshift.io/result-image-url":      "x",
			"test.appstudio.openshift.io/result-should-release": "false",
			"custom.appstudio.openshift.io/x":                   "y",
			"pac.test.appstudio.openshift.io/sha":               "abc",
		},
	}
	if diff := cmp.Diff(wantMeta, got.ObjectMeta); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
}

func TestNames(t *testing.T) {
	long := strings.Repeat("a", 42) + "-" + strings.Repeat("b", 60)
	run := build(nil)
	s := &v1alpha1.Snapshot{ObjectMeta: metav1.ObjectMeta{Name: snapshot.Name(long, snapshot.Started(run))}, Spec: v1alpha1.SnapshotSpec{Application: long}}
	names := snapshot.Names(s, run)
	if names[0] != strings.Repeat("a", 42)+"-20250304-050607-000" {
		t.Errorf("the first name is %s", names[0])
	}
	for _, name := range names {
		if len(name) > 63 || strings.Contains(name, "--") {
			t.Errorf("%s is no name of a Snapshot", name)
		}
	}
	if diff := cmp.Diff(names, snapshot.Names(s, run)); diff != "" {
		t.Errorf("the names change:\n%s", diff)
	}
	other := build(nil)
	other.UID = types.UID("2")
	if cmp.Equal(names[1:], snapshot.Names(s, other)[1:]) {
		t.Error("another build has the same names")
	}
}

func labelled(labels, annotations map[string]string) *v1alpha1.Snapshot {
	return &v1alpha1.Snapshot{
		ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: "shop-1", UID: "1", Labels: labels, Annotations: annotations},
		Spec:       v1alpha1.SnapshotSpec{Application: "shop"},
	}
}

func TestPush(t *testing.T) {
	cases := map[string]struct {
		labels, annotations map[string]string
		want                bool
	}{
		"by hand":                  {want: true},
		"a push":                   {labels: map[string]string{pacEvent: "push"}, want: true},
		"a push, spelled Push":     {labels: map[string]string{pacEvent: "Push"}, want: true},
		"a merged pull request":    {labels: map[string]string{pacEvent: "push", pacPR: "3"}, want: true},
		"a pull request":           {labels: map[string]string{pacEvent: "pull_request", pacPR: "3"}},
		"a comment without number": {labels: map[string]string{pacEvent: "retest-comment"}, want: true},
		"a group":                  {labels: map[string]string{snapshot.TypeLabel: "group", pacEvent: "push"}},
		"a merge queue":            {labels: map[string]string{pacEvent: "push"}, annotations: map[string]string{pacBranch: "refs/heads/gh-readonly-queue/main/pr-3-abc"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := snapshot.Push(labelled(tc.labels, tc.annotations)); got != tc.want {
				t.Errorf("Push() = %t", got)
			}
		})
	}
}

func TestApplies(t *testing.T) {
	push := labelled(map[string]string{snapshot.TypeLabel: "component", snapshot.ComponentLabel: "web", pacEvent: "push"}, nil)
	pull := labelled(map[string]string{snapshot.TypeLabel: "component", snapshot.ComponentLabel: "web", pacEvent: "pull_request", pacPR: "1"}, nil)
	group := labelled(map[string]string{snapshot.TypeLabel: "group", pacEvent: "pull_request", pacPR: "1"}, nil)
	override := labelled(map[string]string{snapshot.TypeLabel: "override"}, nil)
	hand := labelled(nil, nil)
	all := []*v1alpha1.Snapshot{push, pull, group, override, hand}
	names := []string{"push", "pull", "group", "override", "hand"}
	cases := map[string]struct {
		contexts []string
		want     []string
	}{
		"none":          {want: names},
		"application":   {contexts: []string{"application"}, want: names},
		"all":           {contexts: []string{"all"}, want: names},
		"component":     {contexts: []string{"component"}, want: []string{"push", "pull"}},
		"component_web": {contexts: []string{"component_web"}, want: []string{"push", "pull"}},
		"component_api": {contexts: []string{"component_api"}},
		"group":         {contexts: []string{"group"}, want: []string{"group"}},
		"override":      {contexts: []string{"override"}, want: []string{"override"}},
		"push":          {contexts: []string{"push"}, want: []string{"push", "override", "hand"}},
		"pull_request":  {contexts: []string{"pull_request"}, want: []string{"pull", "group"}},
		"disabled":      {contexts: []string{"disabled"}},
		"any of them":   {contexts: []string{"disabled", "group", "override"}, want: []string{"group", "override"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			scenario := &v1beta2.IntegrationTestScenario{Spec: v1beta2.IntegrationTestScenarioSpec{Application: "shop"}}
			for _, c := range tc.contexts {
				scenario.Spec.Contexts = append(scenario.Spec.Contexts, v1beta2.TestContext{Name: c})
			}
			var got []string
			for i, s := range all {
				if snapshot.Applies(scenario, s) {
					got = append(got, names[i])
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("it tests (-want +got):\n%s", diff)
			}
			scenario.Spec.Application = "bank"
			if snapshot.Applies(scenario, push) {
				t.Error("it tests another application")
			}
		})
	}
}

func testRun(status corev1.ConditionStatus, message string, children int) *tektonv1.PipelineRun {
	run := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Name: "smoke-1"}}
	run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: status, Message: message})
	for range children {
		child := tektonv1.ChildStatusReference{}
		child.Kind = "TaskRun"
		run.Status.ChildReferences = append(run.Status.ChildReferences, child)
	}
	return run
}
