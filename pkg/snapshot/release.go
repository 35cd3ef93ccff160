package snapshot

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
)

// NewRelease is the Release of a Snapshot by a plan. Its name is the same each
// time, so that a crash cannot make two.
func NewRelease(s *v1alpha1.Snapshot, plan string) *v1alpha1.Release {
	sum := sha256.Sum256([]byte(s.Name + "\x00" + string(s.UID) + "\x00" + plan))
	name := cut(s.Name, 48)
	if commit := commitOf(s); commit != "" {
		name += "-" + cut(commit, 7)
	}
	r := &v1alpha1.Release{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.Namespace, Name: name + "-" + hex.EncodeToString(sum[:3]),
			Labels: map[string]string{
				AutomatedLabel: "true",
				"release.appstudio.openshift.io/snapshot":    s.Name,
				"release.appstudio.openshift.io/releasePlan": plan,
			},
		},
		Spec: v1alpha1.ReleaseSpec{Snapshot: s.Name, ReleasePlan: plan},
	}
	if s.Spec.Application != "" {
		r.Labels[ApplicationLabel] = s.Spec.Application
	}
	if s.Spec.ComponentGroup != "" {
		r.Labels[ComponentGroupLabel] = s.Spec.ComponentGroup
	}
	if trace := s.Annotations[spanContext]; trace != "" {
		r.Annotations = map[string]string{spanContext: trace}
	}
	return r
}

// TakenError says that the name of an automated Release is another's.
type TakenError struct{ Release string }

func (e *TakenError) Error() string {
	return fmt.Sprintf("the Release %q is there already, and is not what the Snapshot's ReleasePlan asks for", e.Release)
}

// Hint says how to go on.
func (e *TakenError) Hint() string { return fmt.Sprintf("delete the Release %q", e.Release) }

// CheckRelease returns a [TakenError] when a Release found under the name of
// the one wanted is not the same. Who may create Releases could otherwise have
// data of their own released in the name of a plan's author.
func CheckRelease(found, wanted *v1alpha1.Release) error {
	if found.Spec.Snapshot == wanted.Spec.Snapshot && found.Spec.ReleasePlan == wanted.Spec.ReleasePlan &&
		found.Spec.Data == nil && found.Labels[AutomatedLabel] == "true" {
		return nil
	}
	return &TakenError{Release: found.Name}
}

var isCommit = regexp.MustCompile(`^[0-9a-f]{7,64}$`)

func commitOf(s *v1alpha1.Snapshot) string {
	for _, c := range s.Spec.Components {
		if c.Name == s.Labels[ComponentLabel] && c.Source.Git != nil {
			// A person's Snapshot may name a branch, which is no part of a name.
			if revision := strings.ToLower(c.Source.Git.Revision); isCommit.MatchString(revision) {
				return revision
			}
		}
	}
	return ""
}
