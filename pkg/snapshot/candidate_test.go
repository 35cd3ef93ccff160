package snapshot_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

func TestPromote(t *testing.T) {
	cases := map[string]struct {
		last, image string // what is promoted, "" for nothing
		byHand      bool
		want        snapshot.Candidacy
		wantImage   string
	}{
		"the first":                         {want: snapshot.Promoted, wantImage: "new"},
		"a later one":                       {last: "999", image: "old", want: snapshot.Promoted, wantImage: "new"},
		"an earlier one":                    {last: "1001", image: "old", want: snapshot.Older, wantImage: "old"},
		"an earlier one, by hand":           {last: "1001", image: "old", byHand: true, want: snapshot.Promoted, wantImage: "new"},
		"the same once more":                {last: "1000", image: "new", want: snapshot.Unchanged, wantImage: "new"},
		"the second half of a broken write": {last: "1000", image: "old", want: snapshot.Promoted, wantImage: "new"},
		"a time that nobody can read":       {last: "yesterday", image: "old", want: snapshot.Promoted, wantImage: "new"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := &v1alpha1.Component{Status: v1alpha1.ComponentStatus{LastPromotedImage: tc.image}}
			g := group("shop", "web/main")
			g.Status.GlobalCandidateList = []v1beta2.ComponentState{{Name: "web", Version: "main", LastPromotedImage: tc.image}}
			if tc.last != "" {
				c.Annotations = map[string]string{snapshot.LastBuiltTime: tc.last}
				if d, err := time.ParseDuration(tc.last + "s"); err == nil {
					at := metav1.Unix(int64(d.Seconds()), 0)
					g.Status.GlobalCandidateList[0].LastPromotedBuildTime = &at
				}
			}
			n := snapshot.Nominee{Image: "new", Built: time.Unix(1000, 5)}
			if got := snapshot.Promote(c, n, tc.byHand); got != tc.want || c.Status.LastPromotedImage != tc.wantImage {
				t.Errorf("Promote() = %q, the component has %s", got, c.Status.LastPromotedImage)
			}
			if got := snapshot.PromoteInGroup(&g, "web", "main", n, tc.byHand); got != tc.want || g.Status.GlobalCandidateList[0].LastPromotedImage != tc.wantImage {
				t.Errorf("PromoteInGroup() = %q, the group has %+v", got, g.Status.GlobalCandidateList)
			}
			if tc.want == snapshot.Promoted && c.Annotations[snapshot.LastBuiltTime] != "1000" {
				t.Errorf("the component was built at %s", c.Annotations[snapshot.LastBuiltTime])
			}
		})
	}
	g := group("shop", "web/main")
	if got := snapshot.PromoteInGroup(&g, "web", "main", snapshot.Nominee{}, true); got != snapshot.Unlisted {
		t.Errorf("without an entry it is %q", got)
	}
}

func TestMark(t *testing.T) {
	now := time.Unix(0, 0)
	cases := map[string]struct {
		all  []snapshot.Candidacy
		want string
	}{
		"all promoted":    {[]snapshot.Candidacy{snapshot.Promoted, snapshot.Unchanged}, `{"result":true,"reason":"Success","lastupdatedtime":"1970-01-01T00:00:00Z"}`},
		"one is older":    {[]snapshot.Candidacy{snapshot.Promoted, snapshot.Older, snapshot.Deferred}, `{"result":false,"reason":"Skipped: a later build of the component is promoted already","lastupdatedtime":"1970-01-01T00:00:00Z"}`},
		"one is deferred": {[]snapshot.Candidacy{snapshot.Deferred, snapshot.Promoted}, `{"result":false,"reason":"Deferred: the ComponentGroup promotes what passed its tests","lastupdatedtime":"1970-01-01T00:00:00Z"}`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, snapshot.Mark(tc.all, now)); diff != "" {
				t.Errorf("Mark() (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCheckOverride(t *testing.T) {
	whole := snapshot.Whole{Application: "shop", Parts: []snapshot.Part{{Name: "api"}, {Name: "web"}}}
	good := func(name string) v1alpha1.SnapshotComponent {
		return v1alpha1.SnapshotComponent{Name: name, ContainerImage: "quay.test/dev/web@" + digest,
			Source: v1alpha1.ComponentSource{Git: &v1alpha1.GitSource{URL: "https://git.test/web", Revision: "abc"}}}
	}
	cases := map[string]struct {
		change func(*v1alpha1.Snapshot)
		want   []string
	}{
		"good":            {},
		"nothing":         {func(s *v1alpha1.Snapshot) { s.Spec.Components = nil }, []string{"spec.components is empty"}},
		"a stranger":      {func(s *v1alpha1.Snapshot) { s.Spec.Components[0].Name = "zoo" }, []string{"component zoo does not belong to Application shop"}},
		"a tag":           {func(s *v1alpha1.Snapshot) { s.Spec.Components[0].ContainerImage = "quay.test/web:1" }, []string{"has no valid sha256 digest"}},
		"no source":       {func(s *v1alpha1.Snapshot) { s.Spec.Components[0].Source.Git = nil }, []string{"source.git.url and source.git.revision"}},
		"no revision":     {func(s *v1alpha1.Snapshot) { s.Spec.Components[0].Source.Git.Revision = "" }, []string{"source.git.url and source.git.revision"}},
		"one twice":       {func(s *v1alpha1.Snapshot) { s.Spec.Components[1].Name = "web" }, []string{"component web is there twice"}},
		"another version": {func(s *v1alpha1.Snapshot) { s.Spec.Components[0].Version = "v1" }, []string{"component web version v1 does not belong"}},
		"all of it": {func(s *v1alpha1.Snapshot) {
			s.Spec.Components[0].ContainerImage, s.Spec.Components[1].Name = "web", "zoo"
		}, []string{"component web: containerImage", "component zoo does not belong"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := &v1alpha1.Snapshot{Spec: v1alpha1.SnapshotSpec{Components: []v1alpha1.SnapshotComponent{good("web"), good("api")}}}
			if tc.change != nil {
				tc.change(s)
			}
			err := snapshot.CheckOverride(s, whole)
			if tc.want == nil && err != nil {
				t.Errorf("CheckOverride() = %v", err)
			}
			for _, want := range tc.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("CheckOverride() = %v, want %q in it", err, want)
				}
			}
		})
	}
}

func TestPromotes(t *testing.T) {
	override := map[string]string{snapshot.TypeLabel: "override"}
	push := map[string]string{snapshot.TypeLabel: "component", snapshot.ComponentLabel: "web"}
	cases := map[string]struct {
		labels, annotations map[string]string
		passed              bool
		policy              string
		want                int // components
		byHand              bool
	}{
		"an override":                              {labels: override, want: 2, byHand: true},
		"an override that did":                     {labels: override, annotations: map[string]string{snapshot.CandidateKey: "{}"}},
		"what follows from an override":            {labels: override, annotations: map[string]string{snapshot.ChildAnnotation: "shop-1"}},
		"an override from a backup":                {labels: map[string]string{snapshot.TypeLabel: "override", "velero.io/restore-name": "r"}},
		"a build that passed":                      {labels: push, passed: true},
		"a build that passed where that counts":    {labels: push, passed: true, policy: "AfterTests", want: 1},
		"a build that did not":                     {labels: push, policy: "AfterTests"},
		"a build that passed and is not signed":    {labels: push, annotations: map[string]string{snapshot.SignedAnnotation: "failed"}, passed: true, policy: "AfterTests"},
		"a pull request that passed":               {labels: map[string]string{snapshot.TypeLabel: "component", snapshot.ComponentLabel: "web", pacPR: "1", pacEvent: "pull_request"}, passed: true, policy: "AfterTests"},
		"what a person made by hand, which passed": {passed: true, policy: "AfterTests"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := labelled(tc.labels, tc.annotations)
			s.Spec = v1alpha1.SnapshotSpec{ComponentGroup: "shop", Components: []v1alpha1.SnapshotComponent{{Name: "api"}, {Name: "web"}}}
			if tc.passed {
				s.Status.Conditions = []metav1.Condition{{Type: snapshot.TestsSucceededCondition, Status: metav1.ConditionTrue}}
			}
			components, byHand := snapshot.Promotes(s, tc.policy)
			if len(components) != tc.want || byHand != tc.byHand {
				t.Errorf("Promotes() = %v, %t", components, byHand)
			}
		})
	}
}
