package build

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// TestGroups makes a Snapshot of each group that it can, and says where it
// cannot, and why.
func TestGroups(t *testing.T) {
	group := func(name, policy string, listed bool, nested ...string) client.Object {
		g := &v1beta2.ComponentGroup{ObjectMeta: at(name)}
		g.Spec.PromotionPolicy = policy
		g.Spec.Components = []v1beta2.ComponentReference{{Name: "web", Kind: "component", ComponentVersion: &v1beta2.ComponentVersionReference{Name: "main"}}}
		for _, n := range nested {
			g.Spec.Components = append(g.Spec.Components, v1beta2.ComponentReference{Name: n, Kind: "componentGroup"})
		}
		if listed {
			g.Status.GlobalCandidateList = snapshot.Align(g)
		}
		return g
	}
	cases := map[string]struct {
		groups    []client.Object
		fails     string // an error that is tried again
		status    string
		text      []string
		snapshots int
	}{
		"one":                         {groups: []client.Object{group("a", "", true)}, status: "success", text: []string{"Snapshot a-19700101-001640-000 was created"}, snapshots: 1},
		"one whose list is not ready": {groups: []client.Object{group("a", "", false)}, fails: `has no entry for version "main" of component "web" yet`},
		"one that promotes later":     {groups: []client.Object{group("a", "AfterTests", false)}, status: "success", text: []string{"was created"}, snapshots: 1},
		"one of two in a cycle": {
			groups: []client.Object{group("a", "", true), group("b", "", true, "b")}, status: "success",
			text: []string{"Snapshot a-19700101-001640-000 was created", "none was created where: ComponentGroup b contains itself"}, snapshots: 1,
		},
		"all in a cycle": {groups: []client.Object{group("b", "", true, "b")}, status: "failed", text: []string{"NestingInvalid", "ComponentGroup b contains itself"}},
		"none":           {status: "failed", text: []string{"ComponentGroupUnknown", "add it to one, and build again"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			run := ended("web-1", "web", corev1.ConditionTrue)
			run.Annotations = map[string]string{snapshot.VersionKey: "main"}
			c := newClient(t, interceptor.Funcs{}, append(tc.groups, run)...)
			_, err := once(t, c, &proof{}, 1100, "web-1")
			if tc.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tc.fails) {
					t.Errorf("it ends with %v, want %q", err, tc.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := read(t, c, "web-1")
			text := got.Run.Annotations[snapshot.CreatedAnnotation]
			for _, want := range append(tc.text, `"status":"`+tc.status+`"`) {
				if !strings.Contains(text, want) {
					t.Errorf("the build says %s, want %q in it", text, want)
				}
			}
			if len(got.Snapshots) != tc.snapshots || len(got.Run.Finalizers) > 0 {
				t.Errorf("%d Snapshots, held by %v", len(got.Snapshots), got.Run.Finalizers)
			}
		})
	}
}
