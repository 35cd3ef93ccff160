package snapshot_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// group is a ComponentGroup of members: "web/main" is a version of a
// component, "base" a group.
func group(name string, members ...string) v1beta2.ComponentGroup {
	g := v1beta2.ComponentGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: name}}
	for _, m := range members {
		component, version, is := strings.Cut(m, "/")
		ref := v1beta2.ComponentReference{Name: component, Kind: "ComponentGroup"}
		if is {
			ref.Kind, ref.ComponentVersion = "component", &v1beta2.ComponentVersionReference{Name: version, Context: "src"}
		}
		g.Spec.Components = append(g.Spec.Components, ref)
	}
	return g
}

// promoted is a group with a candidate of a version, built at a time.
func promoted(g v1beta2.ComponentGroup, member, image string, at int64) v1beta2.ComponentGroup {
	name, version, _ := strings.Cut(member, "/")
	built := metav1.Unix(at, 0)
	g.Status.GlobalCandidateList = append(g.Status.GlobalCandidateList, v1beta2.ComponentState{
		Name: name, Version: version, URL: "https://git.test/" + name,
		LastPromotedImage: image, LastPromotedCommit: "c-" + image, LastPromotedBuildTime: &built,
	})
	return g
}

func TestOfGroup(t *testing.T) {
	chain := func(n int) []v1beta2.ComponentGroup {
		var all []v1beta2.ComponentGroup
		for i := range n {
			all = append(all, group(fmt.Sprintf("g%d", i), fmt.Sprintf("g%d", i+1)))
		}
		return append(all, promoted(group(fmt.Sprintf("g%d", n), "web/main"), "web/main", "deep", 1))
	}
	cases := map[string]struct {
		of      string
		groups  []v1beta2.ComponentGroup
		want    []string // name/version=image
		unknown []string
		fails   string
	}{
		"versions, in order": {
			of: "shop", groups: []v1beta2.ComponentGroup{promoted(group("shop", "web/v2", "web/v1", "api/main"), "web/v1", "one", 1)},
			want: []string{"api/main=", "web/v1=one", "web/v2="},
		},
		"what was nominated for a version that left": {
			of: "shop", groups: []v1beta2.ComponentGroup{promoted(group("shop", "web/main"), "api/main", "left", 1)},
			want: []string{"web/main="},
		},
		"its own before its child's, though older": {
			of: "shop", groups: []v1beta2.ComponentGroup{
				promoted(group("shop", "web/main", "base"), "web/main", "own", 1), promoted(group("base", "web/main"), "web/main", "child", 2),
			},
			want: []string{"web/main=own"},
		},
		"its child's where it has none": {
			of: "shop", groups: []v1beta2.ComponentGroup{group("shop", "web/main", "base"), promoted(group("base", "web/main"), "web/main", "child", 2)},
			want: []string{"web/main=child"},
		},
		"of two children the newer": {
			of: "shop", groups: []v1beta2.ComponentGroup{
				group("shop", "b", "a"), promoted(group("a", "web/main"), "web/main", "new", 2), promoted(group("b", "web/main"), "web/main", "old", 1),
			},
			want: []string{"web/main=new"},
		},
		"one group nested twice": {
			of: "top", groups: []v1beta2.ComponentGroup{group("top", "a", "b"), group("a", "base"), group("b", "base"), promoted(group("base", "web/main"), "web/main", "one", 1)},
			want: []string{"web/main=one"},
		},
		"a group that there is not": {
			of: "shop", groups: []v1beta2.ComponentGroup{group("shop", "web/main", "gone")},
			want: []string{"web/main="}, unknown: []string{"gone"},
		},
		"a cycle": {
			of: "a", groups: []v1beta2.ComponentGroup{group("a", "b"), group("b", "c"), group("c", "a")}, fails: "by way of a, b, c, a",
		},
		"a cycle that it is no part of": {
			of: "a", groups: []v1beta2.ComponentGroup{group("a", "b"), group("b", "b2"), group("b2", "b")}, fails: "contains itself",
		},
		"as deep as may be": {of: "g0", groups: chain(15), want: []string{"web/main=deep"}},
		"too deep":          {of: "g0", groups: chain(16), fails: "more than 15 deep"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w, err := snapshot.OfGroup(tc.of, tc.groups)
			if tc.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tc.fails) {
					t.Errorf("OfGroup() = %v, want an error with %q", err, tc.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range w.Parts {
				got = append(got, p.Name+"/"+p.Version+"="+p.Image)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("parts (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.unknown, w.Unknown); diff != "" {
				t.Errorf("unknown (-want +got):\n%s", diff)
			}
		})
	}
}

// TestOfGroupIsQuick walks each group once: 15 levels of two that nest the
// same two are 2^15 ways down.
func TestOfGroupIsQuick(t *testing.T) {
	var all []v1beta2.ComponentGroup
	for i := range 14 {
		below := []string{fmt.Sprintf("a%d", i+1), fmt.Sprintf("b%d", i+1)}
		all = append(all, group(fmt.Sprintf("a%d", i), below...), group(fmt.Sprintf("b%d", i), below...))
	}
	leaf := group("a14")
	for i := range 1000 {
		member := fmt.Sprintf("c%d/main", i)
		leaf = promoted(group("a14", append(membersOf(leaf), member)...), member, "x", 1)
	}
	all = append(all, leaf, group("b14"))
	start := time.Now()
	w, err := snapshot.OfGroup("a0", all)
	if err != nil || len(w.Parts) != 1000 {
		t.Fatalf("%d parts, %v", len(w.Parts), err)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
}

func membersOf(g v1beta2.ComponentGroup) []string {
	var members []string
	for _, c := range g.Spec.Components {
		members = append(members, c.Name+"/"+c.ComponentVersion.Name)
	}
	return members
}

func TestContainingAndParents(t *testing.T) {
	leaving := group("leaving", "web/main", "base")
	leaving.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	all := []v1beta2.ComponentGroup{group("z", "web/main"), group("a", "web/main", "base"), group("other", "web/v2"), group("base"), leaving}
	if diff := cmp.Diff([]string{"a", "z"}, snapshot.Containing(all, "web", "main")); diff != "" {
		t.Errorf("Containing() (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"a"}, snapshot.Parents(all, "base")); diff != "" {
		t.Errorf("Parents() (-want +got):\n%s", diff)
	}
}

func TestAlign(t *testing.T) {
	g := promoted(promoted(group("shop", "web/v2", "api/main", "web/v1", "base"), "web/v1", "kept", 1), "gone/main", "dropped", 1)
	want := []v1beta2.ComponentState{{Name: "api", Version: "main"}, g.Status.GlobalCandidateList[0], {Name: "web", Version: "v2"}}
	if diff := cmp.Diff(want, snapshot.Align(&g)); diff != "" {
		t.Errorf("Align() (-want +got):\n%s", diff)
	}
}

func TestGroupCondition(t *testing.T) {
	_, cycle := snapshot.OfGroup("a", []v1beta2.ComponentGroup{group("a", "a")})
	cases := map[string]struct {
		whole           snapshot.Whole
		err             error
		reason, message string
	}{
		"good":             {reason: "Valid", message: "it holds 0 versions"},
		"a cycle":          {err: cycle, reason: "NestingInvalid", message: "remove one of them from spec.components"},
		"an unknown group": {whole: snapshot.Whole{Unknown: []string{"base"}}, reason: "ComponentGroupUnknown", message: "there is no ComponentGroup base: create it"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := snapshot.GroupCondition(tc.whole, tc.err)
			if got.Reason != tc.reason || !strings.Contains(got.Message, tc.message) || (got.Status == metav1.ConditionTrue) != (tc.reason == "Valid") {
				t.Errorf("GroupCondition() = %+v", got)
			}
		})
	}
}

func TestCompose(t *testing.T) {
	image := "quay.test/dev/web@" + digest
	source := v1alpha1.ComponentSource{Git: &v1alpha1.GitSource{URL: "https://git.test/web", Context: "src"}}
	w := snapshot.Whole{Application: "shop", Unknown: []string{"base"}, Parts: []snapshot.Part{
		{Name: "api", Image: image, Commit: "1", Source: source}, {Name: "new", Source: source},
		{Name: "tagged", Image: "quay.test/dev/web:1", Commit: "1", Source: source}, {Name: "unsourced", Image: image},
		{Name: "web", Image: image, Commit: "1", Source: source},
	}}
	fresh := snapshot.Built{Image: "quay.test/dev/web@sha256:" + strings.Repeat("f", 64), URL: "https://fork.test/web", Commit: "2"}
	got, omitted := w.Compose(w.Fresh("web", "", fresh), w.Fresh("stranger", "", fresh))
	want := []v1alpha1.SnapshotComponent{
		{Name: "api", ContainerImage: image, Source: v1alpha1.ComponentSource{Git: &v1alpha1.GitSource{URL: "https://git.test/web", Revision: "1", Context: "src"}}},
		{Name: "web", ContainerImage: fresh.Image, Source: v1alpha1.ComponentSource{Git: &v1alpha1.GitSource{URL: "https://fork.test/web", Revision: "2", Context: "src"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Compose() (-want +got):\n%s", diff)
	}
	reasons := map[string]string{}
	for _, o := range omitted {
		reasons[o.Name] = o.Reason
		if o.Message == "" {
			t.Errorf("nothing says what to do about %s", o.Name)
		}
	}
	wantReasons := map[string]string{"new": "NeverBuilt", "tagged": "ImageWithoutDigest", "unsourced": "SourceUnknown", "base": "ComponentGroupUnknown"}
	if diff := cmp.Diff(wantReasons, reasons); diff != "" {
		t.Errorf("omitted (-want +got):\n%s", diff)
	}
}
