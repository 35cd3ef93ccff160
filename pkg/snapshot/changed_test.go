package snapshot_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

func TestChanged(t *testing.T) {
	made := func(name string, at int, passed bool, images ...string) v1alpha1.Snapshot {
		s := *labelled(nil, nil)
		s.Name, s.CreationTimestamp = name, metav1.NewTime(time.Unix(int64(at), 0))
		for i := 0; i < len(images); i += 2 {
			s.Spec.Components = append(s.Spec.Components, v1alpha1.SnapshotComponent{Name: images[i], ContainerImage: images[i+1]})
		}
		if passed {
			s.Status.Conditions = []metav1.Condition{{Type: snapshot.TestsSucceededCondition, Status: metav1.ConditionTrue}}
		}
		return s
	}
	foreign := made("foreign", 9, true)
	foreign.Spec.Application = "bank"
	var many []string
	for i := range 30 {
		many = append(many, fmt.Sprintf("c%02d", i), "1")
	}
	old := made("old", 5, true, "web", "1", "api", "1", "db", "1")
	cases := map[string]struct {
		s      v1alpha1.Snapshot
		others []v1alpha1.Snapshot
		want   string
	}{
		"one is new, one is another, one is gone": {made("s", 10, false, "web", "2", "api", "1", "new", "1"), []v1alpha1.Snapshot{old}, "changed since Snapshot old, which passed: db (gone), new, web"},
		"the last that passed":                    {made("s", 10, false, "web", "3", "api", "1", "db", "1"), []v1alpha1.Snapshot{old, made("newer", 6, true, "web", "3", "api", "1", "db", "2"), made("failed", 7, false)}, "changed since Snapshot newer, which passed: db"},
		"nothing":                                 {made("s", 10, false, "web", "1", "api", "1", "db", "1"), []v1alpha1.Snapshot{old}, "nothing changed since Snapshot old, which passed"},
		"no other":                                {made("s", 10, false, "web", "1"), []v1alpha1.Snapshot{made("s", 10, true), foreign, made("later", 11, true), made("failed", 9, false)}, ""},
		"many":                                    {made("s", 10, false, many...), []v1alpha1.Snapshot{made("old", 1, true)}, "c19 and 10 more"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := snapshot.Changed(&tc.s, tc.others)
			if !strings.HasSuffix(got, tc.want) || (got == "") != (tc.want == "") {
				t.Errorf("Changed() = %q, want %q", got, tc.want)
			}
		})
	}
}
