package snapshot

import (
	"cmp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
)

// ParentsCondition says whether the groups that nest a Snapshot's have theirs.
const ParentsCondition = "ParentSnapshotsCreated"

// Followed reports whether other groups' Snapshots may have to follow from one:
// all but those of PR groups, which are made for each group by themselves.
func Followed(s *v1alpha1.Snapshot) bool {
	return s.Spec.ComponentGroup != "" && s.Labels[TypeLabel] != GroupType && !Restored(s)
}

// Follows reports whether a group's Snapshot is to follow from one of a group
// in it. It is not where the group itself names what was built: then its build
// makes that Snapshot.
func Follows(s *v1alpha1.Snapshot, alone Whole) bool {
	return s.Labels[TypeLabel] != ComponentType || !alone.Has(s.Labels[ComponentLabel], s.Annotations[VersionKey])
}

// NewParentSnapshot is what follows from a Snapshot in a group that nests its:
// the same new images among the candidates of that group.
func NewParentSnapshot(s *v1alpha1.Snapshot, w Whole) (*v1alpha1.Snapshot, []v1alpha1.OmittedComponent) {
	parent := &v1alpha1.Snapshot{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Labels: map[string]string{}, Annotations: map[string]string{}},
		Spec:       v1alpha1.SnapshotSpec{ComponentGroup: w.ComponentGroup},
	}
	var omitted []v1alpha1.OmittedComponent
	parent.Spec.Components, omitted = w.Compose(FreshOf(s)...)
	inherit(s.Labels, parent.Labels)
	inherit(s.Annotations, parent.Annotations)
	w.label(parent)
	explain(parent, omitted)
	parent.Annotations[ChildAnnotation] = s.Name
	parent.Annotations[OriginAnnotation] = origin(s)
	return parent, omitted
}

func origin(s *v1alpha1.Snapshot) string { return cmp.Or(s.Annotations[OriginAnnotation], s.Name) }

var inherited = []string{ComponentLabel, BuildLabel, VersionKey, SignedAnnotation, spanContext}

func inherit(from, to map[string]string) {
	for key, value := range from {
		if carries(key) || strings.HasPrefix(key, pacTestPrefix) || slices.Contains(inherited, key) {
			to[key] = value
		}
	}
}

// ParentNames are the names to try for what follows from a Snapshot in a group.
func ParentNames(s *v1alpha1.Snapshot, group string) []string {
	seed := origin(s)
	if s.Labels[BuildLabel] != "" {
		seed = s.Labels[BuildLabel] + "/" + s.Annotations[StartTimeKey]
	}
	return Names(group, BuildTime(s), group+"/"+seed)
}

// SameParent reports whether a Snapshot of a group follows from another one, or
// from what that follows from. A group that nests two with the same component
// gets one Snapshot of a build of it.
func SameParent(o, s *v1alpha1.Snapshot, group string) bool {
	if o.Spec.ComponentGroup != group || o.Spec.Application != "" {
		return false
	}
	if s.Labels[BuildLabel] != "" {
		return o.Labels[BuildLabel] == s.Labels[BuildLabel] && o.Annotations[StartTimeKey] == s.Annotations[StartTimeKey]
	}
	return o.Annotations[OriginAnnotation] == origin(s)
}
