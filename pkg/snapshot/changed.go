package snapshot

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
)

// maxChanged is how many components are named.
const maxChanged = 20

// Changed names what a Snapshot has other than the last one of the same
// application or group that passed, for who looks for the cause of a failure;
// "" where there is none to compare with. Components are promoted before they
// are tested, so it is often another one than that which was built.
func Changed(s *v1alpha1.Snapshot, others []v1alpha1.Snapshot) string {
	var last *v1alpha1.Snapshot
	for i := range others {
		o := &others[i]
		if o.Name == s.Name || !sameParent(s, o.Spec.Application, o.Spec.ComponentGroup) ||
			!o.CreationTimestamp.Before(&s.CreationTimestamp) || !meta.IsStatusConditionTrue(o.Status.Conditions, TestsSucceededCondition) {
			continue
		}
		if last == nil || last.CreationTimestamp.Before(&o.CreationTimestamp) {
			last = o
		}
	}
	if last == nil {
		return ""
	}
	key := func(c v1alpha1.SnapshotComponent) string {
		if c.Version == "" {
			return c.Name
		}
		return c.Name + " (" + c.Version + ")"
	}
	before := map[string]string{}
	for _, c := range last.Spec.Components {
		before[key(c)] = c.ContainerImage
	}
	var names []string
	for _, c := range s.Spec.Components {
		if image, ok := before[key(c)]; !ok || image != c.ContainerImage {
			names = append(names, key(c))
		}
		delete(before, key(c))
	}
	for name := range before {
		names = append(names, name+" (gone)")
	}
	if len(names) == 0 {
		return fmt.Sprintf("nothing changed since Snapshot %s, which passed", last.Name)
	}
	slices.Sort(names)
	more := ""
	if len(names) > maxChanged {
		more = fmt.Sprintf(" and %d more", len(names)-maxChanged)
		names = names[:maxChanged]
	}
	return fmt.Sprintf("changed since Snapshot %s, which passed: %s%s", last.Name, strings.Join(names, ", "), more)
}
