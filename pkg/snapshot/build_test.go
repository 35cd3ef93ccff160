package snapshot_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

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
	run.Annotations = map[string]string{snapshot.CandidateKey: "{}", snapshot.ContextKey: "lib", "custom.appstudio.openshift.io/x": "y", "pipelinesascode.tekton.dev/sha": "abc"}

	run.Labels[snapshot.ComponentLabel] = "web"
	built := snapshot.Built{Image: "quay.test/dev/web@" + digest, URL: "https://fork.test/web", Commit: "abc", Context: "lib"}
	got, omitted := snapshot.NewComponentSnapshot(run, built, snapshot.OfApplication("shop", all), "")
	left := map[string]string{}
	for _, o := range omitted {
		left[o.Name] = o.Reason
	}
	if diff := cmp.Diff(map[string]string{"tagged": "ImageWithoutDigest", "zoo": "NeverBuilt"}, left); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
	source := func(url, commit string) v1alpha1.ComponentSource {
		return v1alpha1.ComponentSource{Git: &v1alpha1.GitSource{URL: url, Revision: commit, Context: "src"}}
	}
	want := v1alpha1.SnapshotSpec{Application: "shop", Components: []v1alpha1.SnapshotComponent{
		{Name: "api", ContainerImage: "quay.test/dev/api@" + digest, Source: source("https://git.test/api", "def")},
		{Name: "web", ContainerImage: "quay.test/dev/web@" + digest, Source: v1alpha1.ComponentSource{
			Git: &v1alpha1.GitSource{URL: "https://fork.test/web", Revision: "abc", Context: "lib"}}},
	}}
	if diff := cmp.Diff(want, got.Spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	wantMeta := metav1.ObjectMeta{
		Namespace: "dev",
		Labels: map[string]string{
			"appstudio.openshift.io/application": "shop", "appstudio.openshift.io/component": "web",
			"appstudio.openshift.io/build-pipelinerun":          "web-1",
			"test.appstudio.openshift.io/type":                  "component",
			"test.appstudio.openshift.io/pipelinerunfinishtime": "1741064880",
			"pac.test.appstudio.openshift.io/event-type":        "push",
			"build.appstudio.redhat.com/target":                 "main",
		},
		Annotations: map[string]string{
			"test.appstudio.openshift.io/pipelinerunstarttime":      "1741064767000",
			"test.appstudio.openshift.io/integration-workflow":      "push",
			"test.appstudio.openshift.io/source-repo-url":           "https://fork.test/web",
			"test.appstudio.openshift.io/result-image-url":          "x",
			"test.appstudio.openshift.io/result-should-release":     "false",
			"custom.appstudio.openshift.io/x":                       "y",
			"pac.test.appstudio.openshift.io/sha":                   "abc",
			"test.appstudio.openshift.io/missing-componentversions": `["tagged","zoo"]`,
			"test.appstudio.openshift.io/create-snapshot-status": `left out: tagged (its image "quay.test/dev/tagged:1" is not named by digest, as repository@sha256:…: build it again), ` +
				"zoo (it has no image yet: its first push build brings one)",
		},
	}
	if diff := cmp.Diff(wantMeta, got.ObjectMeta); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
}

func TestNames(t *testing.T) {
	long := strings.Repeat("a", 42) + "-" + strings.Repeat("b", 60)
	at := time.Date(2025, 3, 4, 6, 6, 7, 8_900_000, time.FixedZone("", 3600))
	names := snapshot.Names(long, at, "1")
	if want := strings.Repeat("a", 42) + "-20250304-050607-008"; names[0] != want {
		t.Errorf("the first name is %s, want %s", names[0], want)
	}
	for _, name := range names {
		if len(name) > 63 || strings.Contains(name, "--") {
			t.Errorf("%s is no name of a Snapshot", name)
		}
	}
	if diff := cmp.Diff(names, snapshot.Names(long, at, "1")); diff != "" {
		t.Errorf("the names change:\n%s", diff)
	}
	if cmp.Equal(names[1:], snapshot.Names(long, at, "2")[1:]) {
		t.Error("another build has the same names")
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
