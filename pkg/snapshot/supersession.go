package snapshot

import (
	"strconv"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
)

// SupersededBy returns the name of the Snapshot that is released instead of
// one: that of the latest build of the same component and version which was
// pushed. It is empty when there is none. others may hold any Snapshots of the
// namespace.
func SupersededBy(s *v1alpha1.Snapshot, others []v1alpha1.Snapshot) string {
	latest, ok := buildStart(s)
	if !ok || s.Labels[ComponentLabel] == "" || s.Labels[TypeLabel] != ComponentType || s.Annotations[IgnoreSupersession] == "true" {
		return ""
	}
	name := ""
	for i := range others {
		o := &others[i]
		if o.Name == s.Name || o.Labels[TypeLabel] != ComponentType || o.Labels[ComponentLabel] != s.Labels[ComponentLabel] ||
			o.Annotations[VersionKey] != s.Annotations[VersionKey] || !sameParent(s, o.Spec.Application, o.Spec.ComponentGroup) || !Push(o) {
			continue
		}
		if start, ok := buildStart(o); ok && start > latest {
			name, latest = o.Name, start
		}
	}
	return name
}

// sameParent reports whether a Snapshot is of that application or group.
func sameParent(s *v1alpha1.Snapshot, application, group string) bool {
	return s.Spec.Application == application && s.Spec.ComponentGroup == group
}

// buildStart is when a Snapshot's build started, in milliseconds; upstream has
// written seconds too.
func buildStart(s *v1alpha1.Snapshot) (int64, bool) {
	n, err := strconv.ParseInt(s.Annotations[StartTimeKey], 10, 64)
	if err != nil || n <= 0 {
		return 0, false
	}
	const year5138 = 100_000_000_000 // in seconds; in milliseconds it is 1973
	if n < year5138 {
		n *= 1000
	}
	return n, true
}
