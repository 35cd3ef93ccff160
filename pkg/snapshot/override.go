package snapshot

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
)

// Override reports whether a Snapshot replaces candidates by hand. One that
// only follows from another Snapshot does not: that one did.
func Override(s *v1alpha1.Snapshot) bool {
	return s.Labels[TypeLabel] == OverrideType && s.Annotations[ChildAnnotation] == ""
}

// AwaitsCheck reports whether a Snapshot is still to be checked, and must not
// be tested before.
func AwaitsCheck(s *v1alpha1.Snapshot) bool {
	return Override(s) && s.Annotations[CandidateKey] == ""
}

// CheckOverride says everything that is wrong with an override Snapshot: nil
// when it may replace candidates.
func CheckOverride(s *v1alpha1.Snapshot, w Whole) error {
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if len(s.Spec.Components) == 0 {
		problem("spec.components is empty: name the images to use")
	}
	seen := map[pair]bool{}
	for _, c := range s.Spec.Components {
		who := "component " + c.Name
		if c.Version != "" {
			who += " version " + c.Version
		}
		if seen[pair{c.Name, c.Version}] {
			problem("%s is there twice: remove one", who)
			continue
		}
		seen[pair{c.Name, c.Version}] = true
		if !w.Has(c.Name, c.Version) {
			problem("%s does not belong to %s %s", who, w.Kind(), w.Name())
		}
		if _, err := name.NewDigest(c.ContainerImage); err != nil {
			problem("%s: containerImage %q has no valid sha256 digest: name it as repository@sha256:…", who, c.ContainerImage)
		}
		if c.Source.Git == nil || c.Source.Git.URL == "" || c.Source.Git.Revision == "" {
			problem("%s: source.git.url and source.git.revision must say what the image was built from", who)
		}
	}
	return errors.Join(problems...)
}

// MayPromote reports whether a Snapshot may have images to promote: all that
// can be told without what it is of.
func MayPromote(s *v1alpha1.Snapshot) bool {
	if s.Annotations[CandidateKey] != "" || s.Annotations[ChildAnnotation] != "" || Restored(s) {
		return false
	}
	if Override(s) {
		return !Concluded(s)
	}
	return s.Spec.ComponentGroup != "" && s.Labels[TypeLabel] == ComponentType && Push(s) && s.Annotations[SignedAnnotation] != "failed" &&
		meta.IsStatusConditionTrue(s.Status.Conditions, TestsSucceededCondition)
}

// Promotes says which images of a Snapshot become candidates, and whether they
// do even where a later build was promoted already. An override's do at once;
// a build's do when it passed its tests, in a group that wants that.
func Promotes(s *v1alpha1.Snapshot, policy string) (components []v1alpha1.SnapshotComponent, byHand bool) {
	switch {
	case !MayPromote(s):
		return nil, false
	case Override(s):
		return s.Spec.Components, true
	case policy == v1beta2.PromoteAfterTests:
		return FreshOf(s), false
	}
	return nil, false
}

// BuildTime is when a Snapshot's build began, or when the Snapshot was made by
// hand.
func BuildTime(s *v1alpha1.Snapshot) time.Time {
	if ms, ok := buildStart(s); ok && s.Labels[TypeLabel] == ComponentType {
		return time.UnixMilli(ms)
	}
	return s.CreationTimestamp.Time
}
