package snapshot_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

const pac = "pipelinesascode.tekton.dev/"

// prBuild is a build of a pull request that began some seconds after an hour,
// which its name says.
func prBuild(component, number string, seconds int64) *tektonv1.PipelineRun {
	at := time.Date(2025, 3, 4, 5, 0, 0, 0, time.UTC).Unix() + seconds
	name := component + "-" + number + "-" + time.Unix(at, 0).UTC().Format("0405")
	run := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{
		Namespace: "dev", Name: name, CreationTimestamp: metav1.Unix(at, 0),
		Labels:      map[string]string{snapshot.ComponentLabel: component, pac + "pull-request": number, pac + "event-type": "pull_request"},
		Annotations: map[string]string{pac + "source-branch": "feature", pac + "repo-url": "https://git.test/" + component},
	}}
	start := metav1.Unix(at, 0)
	run.Status.StartTime = &start
	return run
}

// ends ends a build, and gives it a Snapshot if it succeeded.
func ends(run *tektonv1.PipelineRun, status corev1.ConditionStatus, w snapshot.Whole) (*tektonv1.PipelineRun, *v1alpha1.Snapshot) {
	end := metav1.Time{Time: run.CreationTimestamp.Add(time.Minute)}
	run.Status.CompletionTime = &end
	run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: status})
	if status != corev1.ConditionTrue {
		return run, nil
	}
	s, _ := snapshot.NewComponentSnapshot(run, snapshot.Built{Image: "quay.test/" + run.Name + "@" + digest, URL: "https://git.test", Commit: "c"}, w, "")
	s.Name, s.CreationTimestamp = "of-"+run.Name, end
	run.Annotations[snapshot.CreatedAnnotation] = snapshot.Outcome{Status: snapshot.Success}.String()
	return run, s
}

func shop(components ...string) snapshot.Whole {
	w := snapshot.Whole{Application: "shop"}
	for _, c := range components {
		w.Parts = append(w.Parts, snapshot.Part{Name: c, Image: "quay.test/" + c + "@" + digest, Commit: "old",
			Source: v1alpha1.ComponentSource{Git: &v1alpha1.GitSource{URL: "https://git.test/" + c}}})
	}
	return w
}

func TestPRGroupOf(t *testing.T) {
	cases := map[string]struct {
		branch, event, number string
		want                  string
	}{
		"a branch":               {branch: "feature", event: "pull_request", number: "1", want: "feature"},
		"a retest":               {branch: "feature", event: "retest-all-comment", number: "1", want: "feature"},
		"a branch with a suffix": {branch: "feature@shop", event: "Merge Request", number: "1", want: "feature"},
		"main of a fork":         {branch: "main", event: "pull_request", number: "1", want: "main-ada"},
		"master of a fork":       {branch: "master", event: "pull_request", number: "1", want: "master-ada"},
		"a push":                 {branch: "main", event: "push"},
		"a push of a merge":      {branch: "main", event: "push", number: "1"},
		"a merge queue":          {branch: "gh-readonly-queue/main/pr-7-abc", event: "push", want: "gh-readonly-queue/main/pr-7-abc"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			run := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{
				Labels:      map[string]string{pac + "event-type": tc.event, pac + "url-org": "ada"},
				Annotations: map[string]string{pac + "source-branch": tc.branch},
			}}
			if tc.number != "" {
				run.Labels[pac+"pull-request"] = tc.number
			}
			if got := snapshot.PRGroupOf(run); got.Name != tc.want {
				t.Errorf("PRGroupOf() = %q, want %q", got.Name, tc.want)
			}
			if changed := snapshot.JoinGroup(run); changed != (tc.want != "") || run.Annotations[snapshot.PRGroupAnnotation] != tc.want {
				t.Errorf("JoinGroup() = %t, and the run says %q", changed, run.Annotations[snapshot.PRGroupAnnotation])
			}
			if snapshot.JoinGroup(run) {
				t.Error("it joins twice")
			}
		})
	}
	// The sum of "feature", cut to what fits a label.
	if got, want := (snapshot.PRGroup{Name: "feature"}).Sum(), "2ad562319767157087dda0dec6391f4479f8a04869ab0cc8d3a9c3637dae73"; got != want {
		t.Errorf("Sum() = %s, want %s", got, want)
	}
}

func TestDecideGroup(t *testing.T) {
	w := shop("api", "web", "zoo")
	type builds []*tektonv1.PipelineRun
	cases := map[string]struct {
		builds []*tektonv1.PipelineRun
		ended  map[string]corev1.ConditionStatus // by name; the others run
		change func([]tektonv1.PipelineRun, []v1alpha1.Snapshot)
		reason string
		note   []string
		images map[string]string // of the Snapshot, by component
	}{
		"two of three": {
			builds: builds{prBuild("web", "1", 60), prBuild("api", "2", 120)}, ended: map[string]corev1.ConditionStatus{"web-1-0100": "True", "api-2-0200": "True"},
			reason: snapshot.GroupCreated,
			images: map[string]string{"web": "quay.test/web-1-0100@" + digest, "api": "quay.test/api-2-0200@" + digest, "zoo": "quay.test/zoo@" + digest},
		},
		"one of three": {
			builds: builds{prBuild("web", "1", 60)}, ended: map[string]corev1.ConditionStatus{"web-1-0100": "True"},
			reason: snapshot.GroupNotNeeded, note: []string{"at least two components of Application shop", "there are 1"},
		},
		"one that still runs": {
			builds: builds{prBuild("web", "1", 60), prBuild("api", "2", 120)}, ended: map[string]corev1.ConditionStatus{"web-1-0100": "True"},
			reason: snapshot.GroupWaiting, note: []string{"waits: build api-2-0200 of component api is running"},
		},
		"one that failed": {
			builds: builds{prBuild("web", "1", 60), prBuild("api", "2", 120)}, ended: map[string]corev1.ConditionStatus{"web-1-0100": "True", "api-2-0200": "False"},
			reason: snapshot.GroupWaiting, note: []string{"build api-2-0200 of component api failed", "comment /retest"},
		},
		"one that failed and was built again": {
			builds: builds{prBuild("web", "1", 60), prBuild("api", "2", 120), prBuild("api", "2", 180)},
			ended:  map[string]corev1.ConditionStatus{"web-1-0100": "True", "api-2-0200": "False", "api-2-0300": "True"},
			reason: snapshot.GroupCreated,
			images: map[string]string{"web": "quay.test/web-1-0100@" + digest, "api": "quay.test/api-2-0300@" + digest, "zoo": "quay.test/zoo@" + digest},
		},
		"one without a Snapshot yet": {
			builds: builds{prBuild("web", "1", 60), prBuild("api", "2", 120)}, ended: map[string]corev1.ConditionStatus{"web-1-0100": "True", "api-2-0200": "True"},
			change: func(runs []tektonv1.PipelineRun, all []v1alpha1.Snapshot) {
				delete(runs[1].Annotations, snapshot.CreatedAnnotation)
				all[1] = v1alpha1.Snapshot{}
			},
			reason: snapshot.GroupWaiting, note: []string{"build api-2-0200 of component api has no Snapshot yet"},
		},
		"one that will have no Snapshot": {
			builds: builds{prBuild("web", "1", 60), prBuild("api", "2", 120)}, ended: map[string]corev1.ConditionStatus{"web-1-0100": "True", "api-2-0200": "True"},
			change: func(runs []tektonv1.PipelineRun, all []v1alpha1.Snapshot) {
				runs[1].Annotations[snapshot.CreatedAnnotation] = snapshot.Outcome{Status: snapshot.Failure, Message: "no digest"}.String()
				all[1] = v1alpha1.Snapshot{}
			},
			reason: snapshot.GroupWaiting, note: []string{"build api-2-0200 of component api has no Snapshot: no digest"},
		},
		"one that was merged": {
			builds: builds{prBuild("web", "1", 60), prBuild("api", "2", 120), prBuild("zoo", "3", 180)},
			ended:  map[string]corev1.ConditionStatus{"web-1-0100": "True", "api-2-0200": "True", "zoo-3-0300": "True"},
			change: func(_ []tektonv1.PipelineRun, all []v1alpha1.Snapshot) {
				all[2].Annotations[snapshot.PRStatusAnnotation] = snapshot.PRMerged
			},
			reason: snapshot.GroupCreated,
			images: map[string]string{"web": "quay.test/web-1-0100@" + digest, "api": "quay.test/api-2-0200@" + digest, "zoo": "quay.test/zoo@" + digest},
		},
		"one that belongs to another application": {
			builds: builds{prBuild("web", "1", 60), prBuild("bank", "2", 120)}, ended: map[string]corev1.ConditionStatus{"web-1-0100": "True"},
			reason: snapshot.GroupNotNeeded,
		},
		"a build that is newer than a push": {
			builds: builds{prBuild("web", "1", 60), prBuild("api", "2", 120), prBuild("web", "1", 240)},
			ended:  map[string]corev1.ConditionStatus{"web-1-0100": "True", "api-2-0200": "True"},
			reason: snapshot.GroupWaiting, note: []string{"build web-1-0400 of component web is running"},
		},
		"nothing yet": {builds: builds{prBuild("web", "1", 60)}, reason: snapshot.GroupWaiting},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var runs []tektonv1.PipelineRun
			var all []v1alpha1.Snapshot
			for _, run := range tc.builds {
				if status, is := tc.ended[run.Name]; is {
					run, s := ends(run, status, w)
					if s != nil {
						all = append(all, *s)
					}
					runs = append(runs, *run)
					continue
				}
				runs = append(runs, *run)
			}
			if tc.change != nil {
				tc.change(runs, all)
			}
			d := snapshot.DecideGroup(w, snapshot.PRGroup{Name: "feature"}, runs, all)
			if d.Reason != tc.reason || (d.Snapshot != nil) != (tc.images != nil) {
				t.Fatalf("DecideGroup() = %s: %s, with a Snapshot: %t", d.Reason, d.Note, d.Snapshot != nil)
			}
			for _, want := range tc.note {
				if !strings.Contains(d.Note, want) {
					t.Errorf("it says %q, want %q in it", d.Note, want)
				}
			}
			if d.Snapshot == nil {
				return
			}
			got := map[string]string{}
			for _, c := range d.Snapshot.Spec.Components {
				got[c.Name] = c.ContainerImage
			}
			if diff := cmp.Diff(tc.images, got); diff != "" {
				t.Errorf("images (-want +got):\n%s", diff)
			}
			if !d.Same(d.Snapshot) || snapshot.Push(d.Snapshot) {
				t.Error("it is another one, or a push")
			}
			var members []string
			for _, m := range snapshot.ParseGroupInfo(d.Snapshot.Annotations[snapshot.GroupInfoAnnotation]) {
				members = append(members, m.Component+" "+m.PullRequest+" "+m.RepoURL+" "+m.Build+" "+m.Snapshot)
			}
			if len(members) != 2 || !strings.HasPrefix(members[0], "api 2 https://git.test/api api-2-0") || !strings.HasSuffix(members[1], " web-1-0100 of-web-1-0100") {
				t.Errorf("it has %q", members)
			}
		})
	}
}
