package snapshot_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

const shouldRelease = "test.appstudio.openshift.io/result-should-release"

// pushed is a Snapshot of component web's build that started then, in
// milliseconds.
func pushed(name, start string) v1alpha1.Snapshot {
	s := labelled(map[string]string{snapshot.TypeLabel: "component", snapshot.ComponentLabel: "web", pacEvent: "push"}, map[string]string{})
	s.Name = name
	if start != "" {
		s.Annotations[snapshot.StartTimeKey] = start
	}
	return *s
}

func releasePlan(name, label, expression string) v1alpha1.ReleasePlan {
	p := v1alpha1.ReleasePlan{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.ReleasePlanSpec{Application: "shop"}}
	if label != "" {
		p.Labels = map[string]string{snapshot.AutoReleaseKey: label}
	}
	if expression != "" {
		p.Annotations = map[string]string{snapshot.AutoReleaseKey: expression}
	}
	return p
}

func TestDecideRelease(t *testing.T) {
	const (
		released = "The Snapshot was auto-released"
		noPlan   = "Skipping auto-release of the Snapshot because no ReleasePlans have the 'auto-release' label set to 'true'"
		unwanted = "Skipping auto-release because the build pipeline's SHOULD_RELEASE result is 'false'"
		newer    = "Released in newer Snapshot"
	)
	foreign, group := releasePlan("foreign", "true", ""), releasePlan("group", "true", "")
	foreign.Spec.Application = "bank"
	group.Spec = v1alpha1.ReleasePlanSpec{ComponentGroup: "shop"}
	leaving := releasePlan("leaving", "true", "")
	leaving.DeletionTimestamp = &metav1.Time{}
	other, pull, version := pushed("other", "9999999999999"), pushed("pull", "9999999999999"), pushed("version", "9999999999999")
	other.Labels[snapshot.ComponentLabel] = "api"
	pull.Labels[pacEvent], pull.Labels[pacPR] = "pull_request", "1"
	version.Annotations[snapshot.VersionKey] = "v2"
	later := []v1alpha1.Snapshot{pushed("later", "1741064768000")}
	yes := []v1alpha1.ReleasePlan{releasePlan("a", "true", "")}
	release := func(plan string, automated, ours bool) v1alpha1.Release {
		r := v1alpha1.Release{Spec: v1alpha1.ReleaseSpec{Snapshot: "shop-1", ReleasePlan: plan}}
		if automated {
			r.Labels = map[string]string{snapshot.AutomatedLabel: "true"}
		}
		r.Status.Automated = ours
		return r
	}
	set := func(key, value string) func(*v1alpha1.Snapshot) {
		return func(s *v1alpha1.Snapshot) { s.Annotations[key] = value }
	}
	cases := map[string]struct {
		change   func(*v1alpha1.Snapshot)
		plans    []v1alpha1.ReleasePlan
		releases []v1alpha1.Release
		others   []v1alpha1.Snapshot
		want     []string
		open     bool // the decision is not final
		says     string
	}{
		"plans by label, one that does not want it, others'": {
			plans: []v1alpha1.ReleasePlan{releasePlan("c", "", ""), releasePlan("b", "false", ""), releasePlan("a", "true", ""), foreign, group, leaving},
			want:  []string{"a", "c"}, says: released},
		"no plan":                {says: noPlan},
		"no plan of ours":        {plans: []v1alpha1.ReleasePlan{foreign, group, leaving}, says: noPlan},
		"no plan that wants it":  {plans: []v1alpha1.ReleasePlan{releasePlan("a", "false", "")}, says: noPlan},
		"a group's":              {change: func(s *v1alpha1.Snapshot) { s.Spec = group0() }, plans: []v1alpha1.ReleasePlan{foreign, group, yes[0]}, want: []string{"group"}, says: released},
		"blocked by its label":   {plans: yes, change: func(s *v1alpha1.Snapshot) { s.Labels[snapshot.AutoReleaseKey] = "false" }, open: true, says: "label " + snapshot.AutoReleaseKey},
		"not signed":             {plans: yes, change: set(snapshot.SignedAnnotation, "failed"), open: true, says: "Chains could not sign"},
		"a pull request":         {plans: yes, change: func(s *v1alpha1.Snapshot) { s.Labels[pacEvent], s.Labels[pacPR] = "pull_request", "1" }, open: true, says: "not of a push"},
		"a merge queue":          {plans: yes, change: set("pac.test.appstudio.openshift.io/source-branch", "gh-readonly-queue/main/pr-7-abc"), open: true, says: "not of a push"},
		"a group of PRs":         {plans: yes, change: func(s *v1alpha1.Snapshot) { s.Labels[snapshot.TypeLabel] = "group" }, open: true, says: "not of a push"},
		"the build says no":      {plans: yes, change: set(shouldRelease, "false"), says: unwanted},
		"the build says yes":     {plans: yes, change: set(shouldRelease, "true"), want: []string{"a"}, says: released},
		"a later build":          {plans: yes, others: later, says: newer},
		"a later one in seconds": {plans: yes, others: []v1alpha1.Snapshot{pushed("later", "1741064768")}, says: newer},
		"an earlier build":       {plans: yes, others: []v1alpha1.Snapshot{pushed("earlier", "1741064766000"), pushed("unknown", ""), pushed("wrong", "soon")}, want: []string{"a"}, says: released},
		"others that are later":  {plans: yes, others: []v1alpha1.Snapshot{other, pull, version}, want: []string{"a"}, says: released},
		"later, but ignored":     {plans: yes, others: later, want: []string{"a"}, says: released, change: set(snapshot.IgnoreSupersession, "true")},
		"later, of an override":  {plans: yes, others: later, want: []string{"a"}, says: released, change: func(s *v1alpha1.Snapshot) { s.Labels[snapshot.TypeLabel] = "override" }},
		"released by hand":       {plans: yes, releases: []v1alpha1.Release{release("a", false, false)}, says: released},
		"released by us":         {plans: yes, releases: []v1alpha1.Release{release("a", true, true)}, says: released},
		"made, and not marked":   {plans: yes, releases: []v1alpha1.Release{release("a", true, false)}, want: []string{"a"}, says: released},
		"released by another":    {plans: yes, releases: []v1alpha1.Release{release("b", false, false)}, want: []string{"a"}, says: released},

		"an expression, true":                 {plans: []v1alpha1.ReleasePlan{releasePlan("a", "false", `updatedComponentIs("web")`)}, want: []string{"a"}, says: released},
		"an expression, false":                {plans: []v1alpha1.ReleasePlan{releasePlan("a", "true", `updatedComponentIs("api")`)}, says: noPlan},
		"an expression past what builds say":  {plans: []v1alpha1.ReleasePlan{releasePlan("a", "", "true")}, change: set(shouldRelease, "false"), want: []string{"a"}, says: released},
		"an expression that asks the build":   {plans: []v1alpha1.ReleasePlan{releasePlan("a", "", "shouldRelease()")}, change: set(shouldRelease, "false"), says: unwanted},
		"an expression, superseded":           {plans: []v1alpha1.ReleasePlan{releasePlan("a", "", "true")}, others: later, says: newer},
		"a wrong one":                         {plans: []v1alpha1.ReleasePlan{releasePlan("a", "true", "updatedComponent(")}, open: true, says: `Not released yet: annotation release.appstudio.openshift.io/auto-release of ReleasePlan "a": it cannot be read: line 1`},
		"a wrong one does not keep the other": {plans: []v1alpha1.ReleasePlan{releasePlan("a", "", "1"), releasePlan("b", "", "")}, want: []string{"b"}, open: true, says: `of ReleasePlan "a": it yields a value of type int`},
		"a wrong one of another application": {plans: []v1alpha1.ReleasePlan{func() v1alpha1.ReleasePlan {
			p := foreign
			p.Annotations = map[string]string{snapshot.AutoReleaseKey: "("}
			return p
		}(), yes[0]}, want: []string{"a"}, says: released},
		"blank is no expression": {plans: []v1alpha1.ReleasePlan{releasePlan("a", "true", " ")}, want: []string{"a"}, says: released},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := pushed("shop-1", "1741064767000")
			if tc.change != nil {
				tc.change(&s)
			}
			got := snapshot.DecideRelease(&s, tc.plans, tc.releases, append(tc.others, s), time.Unix(1741064767, 0))
			if len(got.Plans) == 0 {
				got.Plans = nil
			}
			if diff := cmp.Diff(tc.want, got.Plans); diff != "" || !strings.Contains(got.Message, tc.says) || got.Done == tc.open {
				t.Errorf("it says %q, final %t, plans (-want +got):\n%s", got.Message, got.Done, diff)
			}
			if got.Done && (got.Message != tc.says || got.Reason != "AutoReleased") {
				t.Errorf("condition %s: %q, which others parse as %q", got.Reason, got.Message, tc.says)
			}
		})
	}
}

func group0() v1alpha1.SnapshotSpec { return v1alpha1.SnapshotSpec{ComponentGroup: "shop"} }

func TestSupersededBy(t *testing.T) {
	s := pushed("shop-1", "1741064767000")
	latest := snapshot.SupersededBy(&s, []v1alpha1.Snapshot{pushed("b", "1741064768"), pushed("c", "1741064769000"), pushed("d", "1741064768500")})
	if latest != "c" {
		t.Errorf("superseded by %q, want the latest", latest)
	}
}

func TestReleaseDeadline(t *testing.T) {
	s := pushed("shop-1", "")
	s.CreationTimestamp = metav1.Unix(1000, 0)
	if got := snapshot.ReleaseDeadline(&s); got.Unix() != 1000+3*3600 {
		t.Errorf("deadline %v", got)
	}
	s.Status.Conditions = []metav1.Condition{{Type: snapshot.TestsSucceededCondition, LastTransitionTime: metav1.Unix(5000, 0)}}
	if got := snapshot.ReleaseDeadline(&s); got.Unix() != 5000+3*3600 {
		t.Errorf("deadline %v after long tests", got)
	}
}

func TestNewRelease(t *testing.T) {
	s := labelled(map[string]string{snapshot.ComponentLabel: "web"}, map[string]string{"tekton.dev/pipelinerunSpanContext": "trace"})
	s.Name = "shop-20250304-050607-000"
	s.Spec.Components = []v1alpha1.SnapshotComponent{{Name: "web", Source: v1alpha1.ComponentSource{Git: &v1alpha1.GitSource{Revision: "ABCDEF0123456789"}}}}
	got := snapshot.NewRelease(s, "ship")
	if !strings.HasPrefix(got.Name, s.Name+"-abcdef0-") || got.Name != snapshot.NewRelease(s, "ship").Name || got.Name == snapshot.NewRelease(s, "other").Name {
		t.Errorf("name %s", got.Name)
	}
	wantLabels := map[string]string{
		"release.appstudio.openshift.io/automated": "true", "release.appstudio.openshift.io/snapshot": s.Name,
		"release.appstudio.openshift.io/releasePlan": "ship", "appstudio.openshift.io/application": "shop",
	}
	if diff := cmp.Diff(wantLabels, got.Labels); diff != "" || got.Spec.Snapshot != s.Name || got.Spec.ReleasePlan != "ship" || got.Annotations["tekton.dev/pipelinerunSpanContext"] != "trace" {
		t.Errorf("%+v, labels (-want +got):\n%s", got, diff)
	}
	s.Spec.Components[0].Source.Git.Revision = "feature/x"
	if got := snapshot.NewRelease(s, "ship"); strings.ContainsAny(got.Name, "/") {
		t.Errorf("name %s of a branch", got.Name)
	}
	s.Name = strings.Repeat("a", 63)
	if got := snapshot.NewRelease(s, "ship"); len(got.Name) > 63 {
		t.Errorf("name %s is too long", got.Name)
	}
	s.Spec = group0()
	if got := snapshot.NewRelease(s, "ship"); got.Labels["appstudio.openshift.io/component-group"] != "shop" {
		t.Errorf("labels of a group's %v", got.Labels)
	}
}

// TestCheckRelease takes no Release for ours that holds more than ours would.
func TestCheckRelease(t *testing.T) {
	s := pushed("shop-1", "")
	wanted := snapshot.NewRelease(&s, "ship")
	if err := snapshot.CheckRelease(wanted.DeepCopy(), wanted); err != nil {
		t.Errorf("its own is refused: %v", err)
	}
	for name, change := range map[string]func(*v1alpha1.Release){
		"data":             func(r *v1alpha1.Release) { r.Spec.Data = &runtime.RawExtension{Raw: []byte(`{"to":"me"}`)} },
		"another snapshot": func(r *v1alpha1.Release) { r.Spec.Snapshot = "shop-2" },
		"another plan":     func(r *v1alpha1.Release) { r.Spec.ReleasePlan = "other" },
		"made by hand":     func(r *v1alpha1.Release) { delete(r.Labels, snapshot.AutomatedLabel) },
	} {
		found := wanted.DeepCopy()
		change(found)
		var taken *snapshot.TakenError
		if err := snapshot.CheckRelease(found, wanted); !errors.As(err, &taken) || !strings.Contains(taken.Hint(), wanted.Name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
