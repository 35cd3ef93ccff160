package snapshot_test

import (
	"strings"
	"testing"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

func TestOutdated(t *testing.T) {
	w := shop("api", "web")
	of := func(run *tektonv1.PipelineRun) *v1alpha1.Snapshot {
		_, s := ends(run, corev1.ConditionTrue, w)
		return s
	}
	queued := func(run *tektonv1.PipelineRun) *tektonv1.PipelineRun {
		delete(run.Labels, pac+"pull-request")
		run.Labels[pac+"event-type"], run.Annotations[pac+"source-branch"] = "push", "gh-readonly-queue/main/pr-1-abc"
		return run
	}
	ignoring := func(run *tektonv1.PipelineRun) *tektonv1.PipelineRun {
		run.Annotations[snapshot.IgnoreSupersession] = "true"
		return run
	}
	push := prBuild("web", "1", 120)
	push.Labels[pac+"event-type"] = "push"
	versioned := prBuild("web", "1", 120)
	versioned.Annotations[snapshot.VersionKey] = "v2"
	web, api := of(prBuild("web", "1", 60)), of(prBuild("api", "2", 61))
	groupAt := func(at int64, name string) *v1alpha1.Snapshot {
		d := snapshot.DecideGroup(w, snapshot.PRGroup{Name: "feature"}, nil, []v1alpha1.Snapshot{*web, *api})
		d.Snapshot.Name, d.Snapshot.CreationTimestamp = name, metav1.Unix(at, 0)
		return d.Snapshot
	}
	cases := map[string]struct {
		s         *v1alpha1.Snapshot
		builds    []*tektonv1.PipelineRun
		snapshots []*v1alpha1.Snapshot
		want      string
	}{
		"nothing else":                     {s: web, builds: []*tektonv1.PipelineRun{prBuild("web", "1", 60)}, snapshots: []*v1alpha1.Snapshot{web}},
		"a newer build, which runs":        {s: web, builds: []*tektonv1.PipelineRun{prBuild("web", "1", 120)}, want: "build web-1-0200"},
		"an older build":                   {s: web, builds: []*tektonv1.PipelineRun{prBuild("web", "1", 30)}},
		"of another component":             {s: web, builds: []*tektonv1.PipelineRun{prBuild("api", "1", 120)}},
		"of another pull request":          {s: web, builds: []*tektonv1.PipelineRun{prBuild("web", "2", 120)}},
		"of another version":               {s: web, builds: []*tektonv1.PipelineRun{versioned}},
		"its merge":                        {s: web, builds: []*tektonv1.PipelineRun{push}},
		"its way through the queue":        {s: web, builds: []*tektonv1.PipelineRun{queued(prBuild("web", "1", 120))}},
		"queued again":                     {s: of(queued(prBuild("web", "1", 60))), builds: []*tektonv1.PipelineRun{queued(prBuild("web", "1", 120))}, want: "build web-1-0200"},
		"a newer build that lets it be":    {s: web, builds: []*tektonv1.PipelineRun{ignoring(prBuild("web", "1", 120))}},
		"one that wants to be let be":      {s: of(ignoring(prBuild("web", "1", 60))), builds: []*tektonv1.PipelineRun{prBuild("web", "1", 120)}},
		"a newer Snapshot, its build gone": {s: web, snapshots: []*v1alpha1.Snapshot{of(prBuild("web", "1", 120))}, want: "build web-1-0200 of Snapshot of-web-1-0200"},
		"a push":                           {s: of(push), builds: []*tektonv1.PipelineRun{prBuild("web", "1", 180)}},
		"by hand":                          {s: labelled(nil, nil), builds: []*tektonv1.PipelineRun{prBuild("web", "1", 180)}},

		"a group, alone":                      {s: groupAt(100, "g1"), builds: []*tektonv1.PipelineRun{prBuild("web", "1", 60)}, snapshots: []*v1alpha1.Snapshot{web, api}},
		"a group with a newer one":            {s: groupAt(100, "g1"), snapshots: []*v1alpha1.Snapshot{groupAt(200, "g2")}, want: "Snapshot g2"},
		"a group with an older one":           {s: groupAt(100, "g1"), snapshots: []*v1alpha1.Snapshot{groupAt(50, "g2")}},
		"a group, a member of which is built": {s: groupAt(100, "g1"), builds: []*tektonv1.PipelineRun{prBuild("api", "2", 120)}, snapshots: []*v1alpha1.Snapshot{web, api}, want: "build api-2-0200"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var builds []tektonv1.PipelineRun
			for _, b := range tc.builds {
				builds = append(builds, *b)
			}
			var snapshots []v1alpha1.Snapshot
			for _, s := range tc.snapshots {
				snapshots = append(snapshots, *s)
			}
			if got := snapshot.Outdated(tc.s, builds, snapshots); got != tc.want {
				t.Errorf("Outdated() = %q, want %q", got, tc.want)
			}
		})
	}
}

func TestMergedBy(t *testing.T) {
	of := func(change func(*v1alpha1.Snapshot)) *v1alpha1.Snapshot {
		run := prBuild("web", "7", 60)
		run.Labels[pac+"url-org"], run.Labels[pac+"url-repository"] = "shop", "mono"
		_, s := ends(run, corev1.ConditionTrue, shop("web"))
		if change != nil {
			change(s)
		}
		return s
	}
	merge := func(component, event string) *tektonv1.PipelineRun {
		run := prBuild(component, "7", 120)
		run.Labels[pac+"event-type"], run.Labels[pac+"url-org"], run.Labels[pac+"url-repository"] = event, "shop", "mono"
		return run
	}
	cases := map[string]struct {
		s    *v1alpha1.Snapshot
		run  *tektonv1.PipelineRun
		want bool
	}{
		"its component":              {of(nil), merge("web", "push"), true},
		"as GitLab spells it":        {of(nil), merge("web", "Push"), true},
		"another one in its source":  {of(nil), merge("api", "push"), true},
		"another repository":         {of(func(s *v1alpha1.Snapshot) { s.Labels["pac.test.appstudio.openshift.io/url-repository"] = "x" }), merge("api", "push"), false},
		"another pull request":       {of(func(s *v1alpha1.Snapshot) { s.Labels[pacPR] = "8" }), merge("web", "push"), false},
		"not a merge":                {of(nil), merge("web", "pull_request"), false},
		"what was said already":      {of(func(s *v1alpha1.Snapshot) { s.Annotations[snapshot.PRStatusAnnotation] = "closed" }), merge("web", "push"), false},
		"the Snapshot of the push":   {of(func(s *v1alpha1.Snapshot) { s.Labels[pacEvent] = "push" }), merge("web", "push"), false},
		"the Snapshot of a PR group": {of(func(s *v1alpha1.Snapshot) { s.Labels[snapshot.TypeLabel] = "group" }), merge("web", "push"), false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := snapshot.MergedBy(tc.s, tc.run); got != tc.want {
				t.Errorf("MergedBy() = %t", got)
			}
		})
	}
}

func TestMergedBuild(t *testing.T) {
	in := func(run *tektonv1.PipelineRun, repository string) *tektonv1.PipelineRun {
		run.Labels[pac+"url-org"], run.Labels[pac+"url-repository"] = "shop", repository
		return run
	}
	push := in(prBuild("web", "7", 120), "mono")
	push.Labels[pac+"event-type"] = "push"
	told := in(prBuild("web", "7", 60), "mono")
	told.Annotations[snapshot.PRStatusAnnotation] = "closed"
	cases := map[string]struct {
		of   *tektonv1.PipelineRun
		want bool
	}{
		"its component":             {in(prBuild("web", "7", 60), "other"), true},
		"another one in its source": {in(prBuild("api", "7", 60), "mono"), true},
		"another repository":        {in(prBuild("api", "7", 60), "other"), false},
		"another pull request":      {in(prBuild("web", "8", 60), "mono"), false},
		"itself":                    {push, false},
		"what was said already":     {told, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := snapshot.MergedBuild(tc.of, push); got != tc.want {
				t.Errorf("MergedBuild() = %t", got)
			}
		})
	}
}

// FuzzQueue reads the number of a pull request out of any branch's name: what
// is found is a number, and a label's value.
func FuzzQueue(f *testing.F) {
	f.Add("gh-readonly-queue/main/pr-7-0123456")
	f.Add("refs/heads/gh-readonly-queue/release/pr-1/pr-+23-abc")
	f.Fuzz(func(t *testing.T, branch string) {
		run := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{pac + "source-branch": branch}}}
		got := snapshot.PullRequestLabels(run)[pacPR]
		if len(got) > 63 || strings.Trim(got, "0123456789") != "" {
			t.Errorf("the number of %q is %q", branch, got)
		}
	})
}

func TestQueueNumber(t *testing.T) {
	for branch, want := range map[string]string{
		"gh-readonly-queue/main/pr-7-0123456":                     "7",
		"refs/heads/gh-readonly-queue/main/pr-7-0123456":          "7",
		"gh-readonly-queue/release/pr-1-fix/pr-23-0123456789abcd": "23",
		"gh-readonly-queue/main":                                  "",
		"gh-readonly-queue/main/pr-x-0123456":                     "",
		"feature/pr-7-0123456":                                    "",
	} {
		run := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{pac + "source-branch": branch}}}
		if got := snapshot.PullRequestLabels(run)[pacPR]; got != want {
			t.Errorf("the number of %q is %q, want %q", branch, got, want)
		}
	}
}
