package snapshot_test

import (
	"fmt"
	"slices"
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

// noon is when the Snapshots of these tests are collected.
var noon = time.Date(2025, 3, 8, 12, 0, 0, 0, time.UTC)

// aged is a Snapshot of component web, pushed so long ago.
func aged(name string, age time.Duration, change ...func(*v1alpha1.Snapshot)) *v1alpha1.Snapshot {
	s := labelled(map[string]string{snapshot.TypeLabel: "component", snapshot.ComponentLabel: "web", pacEvent: "push"}, map[string]string{})
	s.Name, s.CreationTimestamp = name, metav1.NewTime(noon.Add(-age))
	for _, f := range change {
		f(s)
	}
	return s
}

func pull(s *v1alpha1.Snapshot) { s.Labels[pacEvent], s.Labels[pacPR] = "pull_request", "1" }
func passed(s *v1alpha1.Snapshot) {
	s.Status.Conditions = []metav1.Condition{{Type: snapshot.TestsSucceededCondition, Status: metav1.ConditionTrue}}
}
func canceled(s *v1alpha1.Snapshot) {
	s.Status.Conditions = []metav1.Condition{{Type: snapshot.IntegrationCondition, Status: metav1.ConditionTrue, Reason: "Canceled"}}
}
func of(component string) func(*v1alpha1.Snapshot) {
	return func(s *v1alpha1.Snapshot) { s.Labels[snapshot.ComponentLabel] = component }
}
func kind(kind string) func(*v1alpha1.Snapshot) {
	return func(s *v1alpha1.Snapshot) { s.Labels[snapshot.TypeLabel] = kind }
}
func noted(key, value string) func(*v1alpha1.Snapshot) {
	return func(s *v1alpha1.Snapshot) { s.Annotations[key] = value }
}

func TestCollect(t *testing.T) {
	const hour, day = time.Hour, 24 * time.Hour
	keep := func(value string) func(*v1alpha1.Snapshot) { return noted(snapshot.KeepSnapshot, value) }
	waiting := noted(snapshot.GroupReasonAnnotation, snapshot.GroupWaiting)
	cases := map[string]struct {
		all    []*v1alpha1.Snapshot
		bound  []string
		limits snapshot.Limits
		want   []string // oldest first
	}{
		"within the limits":             {all: []*v1alpha1.Snapshot{aged("a", hour), aged("b", hour, pull)}, limits: snapshot.Limits{PullRequest: 1, Other: 1}},
		"the oldest go":                 {all: []*v1alpha1.Snapshot{aged("b", 2*hour), aged("a", hour), aged("c", 3*hour), aged("d", 4*hour)}, limits: snapshot.Limits{Other: 2}, want: []string{"d", "c"}},
		"each kind has its limit":       {all: []*v1alpha1.Snapshot{aged("a", hour, pull), aged("b", 2*hour), aged("c", 3*hour, pull), aged("d", 4*hour)}, limits: snapshot.Limits{PullRequest: 2, Other: 1}, want: []string{"d"}},
		"of one second, by name":        {all: []*v1alpha1.Snapshot{aged("a", hour), aged("b", hour)}, limits: snapshot.Limits{Other: 1}, want: []string{"a"}},
		"an override is no PR":          {all: []*v1alpha1.Snapshot{aged("a", hour, pull, kind("override"))}, limits: snapshot.Limits{PullRequest: 1}, want: []string{"a"}},
		"a group is one":                {all: []*v1alpha1.Snapshot{aged("a", hour, kind("group"))}, limits: snapshot.Limits{PullRequest: 1}},
		"of a Release":                  {all: []*v1alpha1.Snapshot{aged("a", hour), aged("b", 99*day)}, bound: []string{"b"}, want: []string{"a"}},
		"a Release's counts":            {all: []*v1alpha1.Snapshot{aged("a", hour), aged("b", 99*day)}, bound: []string{"b"}, limits: snapshot.Limits{Other: 1}, want: []string{"a"}},
		"a Release's, gone, does not":   {all: []*v1alpha1.Snapshot{aged("a", hour)}, bound: []string{"gone"}, limits: snapshot.Limits{Other: 1}},
		"of a Release, of a PR":         {all: []*v1alpha1.Snapshot{aged("a", hour, pull, canceled), aged("b", 2*hour, pull)}, bound: []string{"a"}, limits: snapshot.Limits{PullRequest: 1}},
		"canceled PRs go first":         {all: []*v1alpha1.Snapshot{aged("a", hour, pull, canceled), aged("b", 2*hour, pull)}, limits: snapshot.Limits{PullRequest: 9}, want: []string{"a"}},
		"merged PRs go first":           {all: []*v1alpha1.Snapshot{aged("a", hour, pull, noted(snapshot.PRStatusAnnotation, "merged"))}, limits: snapshot.Limits{PullRequest: 9}, want: []string{"a"}},
		"a canceled push stays":         {all: []*v1alpha1.Snapshot{aged("a", hour, canceled)}, limits: snapshot.Limits{Other: 1}},
		"awaits its group":              {all: []*v1alpha1.Snapshot{aged("a", 23*hour, pull, waiting)}},
		"awaited it for a day":          {all: []*v1alpha1.Snapshot{aged("a", day, pull, waiting)}, want: []string{"a"}},
		"awaits it, but is merged":      {all: []*v1alpha1.Snapshot{aged("a", hour, pull, waiting, noted(snapshot.PRStatusAnnotation, "merged"))}, want: []string{"a"}},
		"the latest of each component":  {all: []*v1alpha1.Snapshot{aged("a", hour), aged("b", 2*hour), aged("c", 3*hour), aged("x", 9*day, of("api"))}, limits: snapshot.Limits{PerComponent: 2}, want: []string{"c"}},
		"they count":                    {all: []*v1alpha1.Snapshot{aged("a", hour), aged("x", 9*day, of("api"), kind("")), aged("y", 8*day, of("api"))}, limits: snapshot.Limits{PerComponent: 1, Other: 2}, want: []string{"x"}},
		"PRs are no latest":             {all: []*v1alpha1.Snapshot{aged("a", hour, pull)}, limits: snapshot.Limits{PerComponent: 1}, want: []string{"a"}},
		"two groups, one component":     {all: []*v1alpha1.Snapshot{aged("a", hour), aged("b", 9*day, func(s *v1alpha1.Snapshot) { s.Spec.Application, s.Spec.ComponentGroup = "", "g" })}, limits: snapshot.Limits{PerComponent: 1}},
		"the newest that passed":        {all: []*v1alpha1.Snapshot{aged("a", hour), aged("b", 2*hour), aged("c", 3*hour, passed), aged("d", 4*hour, passed)}, limits: snapshot.Limits{PerComponent: 1}, want: []string{"d", "b"}},
		"kept for good":                 {all: []*v1alpha1.Snapshot{aged("a", 999*day, keep("true")), aged("b", 999*day, pull, canceled, keep("true"))}},
		"what is kept counts":           {all: []*v1alpha1.Snapshot{aged("a", hour), aged("b", 9*day, keep("true")), aged("c", hour, pull), aged("d", 9*day, pull, keep("true"))}, limits: snapshot.Limits{PullRequest: 1, Other: 1}, want: []string{"a", "c"}},
		"kept for a time":               {all: []*v1alpha1.Snapshot{aged("a", hour, keep("1h30m")), aged("b", 2*hour, keep("1h30m")), aged("c", 29*day, pull, canceled, keep("30d")), aged("d", 30*day, keep("30d"))}, want: []string{"d", "b"}},
		"kept, past it, within limits":  {all: []*v1alpha1.Snapshot{aged("b", 2*hour, keep("1h"))}, limits: snapshot.Limits{Other: 1}},
		"kept as nobody can read":       {all: []*v1alpha1.Snapshot{aged("a", 23*hour, keep("a month")), aged("b", day, keep("a month"))}, want: []string{"b"}},
		"kept: false":                   {all: []*v1alpha1.Snapshot{aged("a", hour, keep("false"))}, want: []string{"a"}},
		"a negative limit keeps none":   {all: []*v1alpha1.Snapshot{aged("a", hour)}, limits: snapshot.Limits{Other: -1}, want: []string{"a"}},
		"without a component, too many": {all: []*v1alpha1.Snapshot{aged("a", hour, of("")), aged("b", 2*hour, of(""))}, limits: snapshot.Limits{Other: 1, PerComponent: 5}, want: []string{"b"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			bound := map[string]bool{}
			for _, name := range tc.bound {
				bound[name] = true
			}
			var all []snapshot.Candidate
			for _, s := range tc.all {
				all = append(all, snapshot.NewCandidate(s))
			}
			var got []string
			for _, c := range snapshot.Collect(all, bound, tc.limits, noon) {
				got = append(got, c.Name)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("to delete (-want +got):\n%s", diff)
			}
			// The order they are listed in decides nothing.
			slices.Reverse(all)
			for i, c := range snapshot.Collect(all, bound, tc.limits, noon) {
				if c.Name != got[i] {
					t.Errorf("in another order it deletes %s", c.Name)
				}
			}
		})
	}
}

// TestCollectAtMost keeps to the numbers, whatever there is.
func TestCollectAtMost(t *testing.T) {
	var all []snapshot.Candidate
	for i := range 2000 {
		s := aged(fmt.Sprintf("s-%04d", i), time.Duration(i)*time.Minute, of(fmt.Sprintf("c-%d", i%10)))
		if i%3 == 0 {
			pull(s)
		}
		all = append(all, snapshot.NewCandidate(s))
	}
	doomed := snapshot.Collect(all, nil, snapshot.Limits{PullRequest: 70, Other: 640, PerComponent: 5}, noon)
	if left := len(all) - len(doomed); left != 70+640 {
		t.Errorf("%d remain, want 710", left)
	}
}

func TestKeepUnread(t *testing.T) {
	for value, want := range map[string]bool{"": false, "true": false, "30d": false, "1h": false, "30 days": true, "d": true, "999999d": true, "1w": true} {
		if got := snapshot.NewCandidate(aged("a", 0, noted(snapshot.KeepSnapshot, value))).KeepUnread(); got != want {
			t.Errorf("%q cannot be read: %t", value, got)
		}
	}
}

func TestOverdue(t *testing.T) {
	const late = snapshot.HeldWithin
	mine := []string{snapshot.RunFinalizer, snapshot.NudgeFinalizer}
	cases := map[string]struct {
		kind           string
		ended, deleted time.Duration // ago, 0 for not
		gone           bool
		want           []string
	}{
		"a build that runs":                 {kind: "build"},
		"a build that just ended":           {kind: "build", ended: late - time.Second},
		"a build that ended long ago":       {kind: "build", ended: late, want: mine},
		"a build without Snapshot":          {kind: "build", gone: true},
		"a build, deleted while it runs":    {kind: "build", deleted: time.Minute},
		"a build, deleted long ago":         {kind: "build", deleted: late, want: mine},
		"a test that runs":                  {kind: "test"},
		"a test whose Snapshot is gone":     {kind: "test", gone: true, want: mine},
		"a test that ended long ago":        {kind: "test", ended: late, want: mine},
		"a test that ended, Snapshot there": {kind: "test", ended: time.Minute},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			run := &tektonv1.PipelineRun{}
			run.Labels = map[string]string{snapshot.RunTypeLabel: tc.kind}
			run.Finalizers = append([]string{"chains.tekton.dev"}, mine...)
			if tc.ended > 0 {
				end := metav1.NewTime(noon.Add(-tc.ended))
				run.Status.CompletionTime = &end
				run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionTrue})
			}
			if tc.deleted > 0 {
				at := metav1.NewTime(noon.Add(-tc.deleted))
				run.DeletionTimestamp = &at
			}
			if diff := cmp.Diff(tc.want, snapshot.Overdue(run, !tc.gone, noon)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
