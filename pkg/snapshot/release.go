package snapshot

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
)

// Messages of condition AutoReleased, as upstream has them where it fixes one.
const (
	released       = "The Snapshot was auto-released"
	nothingToDo    = "Skipping auto-release of the Snapshot because no ReleasePlans have the 'auto-release' label set to 'true'"
	superseded     = "Released in newer Snapshot"
	notWanted      = "Skipping auto-release: the build's result SHOULD_RELEASE is false"
	notAPush       = "Skipping auto-release: the Snapshot is not of a push"
	blockedByLabel = "Skipping auto-release: label " + AutoReleaseKey + " of the Snapshot is false"
)

// Release is the decision about a Snapshot that passed: the Releases to make,
// and what to say about it.
type Release struct {
	Plans   []string // names of ReleasePlans to release by
	Message string
}

// DecideRelease says which plans release a Snapshot that passed its tests.
// others are the Snapshots of the same application.
func DecideRelease(s *v1alpha1.Snapshot, plans []v1alpha1.ReleasePlan, others []v1alpha1.Snapshot) Release {
	switch {
	case !Push(s):
		return Release{Message: notAPush}
	case s.Labels[AutoReleaseKey] == "false":
		return Release{Message: blockedByLabel}
	}
	var names, unread []string
	unwanted := s.Annotations[resultPrefix+"should-release"] == "false"
	for _, plan := range plans {
		if plan.Spec.Application != s.Spec.Application || plan.DeletionTimestamp != nil {
			continue
		}
		// The expression goes before the label. What cannot be evaluated must
		// not release.
		if plan.Annotations[AutoReleaseKey] != "" {
			unread = append(unread, plan.Name)
			continue
		}
		if plan.Labels[AutoReleaseKey] == "false" {
			continue
		}
		names = append(names, plan.Name)
	}
	decision := Release{Plans: names, Message: released}
	switch {
	case len(names) == 0 && len(unread) == 0:
		return Release{Message: nothingToDo}
	case len(names) == 0:
		decision.Message = "Skipping auto-release"
	case unwanted:
		decision = Release{Message: notWanted}
	case supersededBy(s, others):
		decision = Release{Message: superseded}
	}
	if len(unread) > 0 {
		decision.Message += fmt.Sprintf("; not by ReleasePlan %s: an expression in annotation %s is not supported, use the label of that name",
			strings.Join(unread, ", "), AutoReleaseKey)
	}
	return decision
}

// supersededBy reports whether a later build of the same component has been
// pushed: that one's Snapshot is released instead.
func supersededBy(s *v1alpha1.Snapshot, others []v1alpha1.Snapshot) bool {
	start, ok := buildStart(s)
	if !ok || s.Labels[ComponentLabel] == "" || s.Annotations["test.appstudio.openshift.io/ignore-supersession"] == "true" {
		return false
	}
	for i := range others {
		o := &others[i]
		if o.Name == s.Name || o.Labels[TypeLabel] != ComponentType || o.Labels[ComponentLabel] != s.Labels[ComponentLabel] ||
			o.Spec.Application != s.Spec.Application || !Push(o) {
			continue
		}
		if later, ok := buildStart(o); ok && later > start {
			return true
		}
	}
	return false
}

// buildStart is when a Snapshot's build started, in milliseconds; upstream has
// written seconds too.
func buildStart(s *v1alpha1.Snapshot) (int64, bool) {
	n, err := strconv.ParseInt(s.Annotations[StartTimeKey], 10, 64)
	if err != nil {
		return 0, false
	}
	const year5138 = 100_000_000_000 // in seconds; in milliseconds it is 1973
	if n < year5138 {
		n *= 1000
	}
	return n, true
}

// NewRelease is the Release of a Snapshot by a plan. Its name is the same each
// time, so that a crash cannot make two.
func NewRelease(s *v1alpha1.Snapshot, plan string) *v1alpha1.Release {
	sum := sha256.Sum256([]byte(s.Name + "\x00" + string(s.UID) + "\x00" + plan))
	name := cut(s.Name, 48)
	if commit := commitOf(s); commit != "" {
		name += "-" + cut(commit, 7)
	}
	return &v1alpha1.Release{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.Namespace, Name: name + "-" + hex.EncodeToString(sum[:3]),
			Labels: map[string]string{
				AutomatedLabel:   "true",
				ApplicationLabel: s.Spec.Application,
				"release.appstudio.openshift.io/snapshot":    s.Name,
				"release.appstudio.openshift.io/releasePlan": plan,
			},
		},
		Spec: v1alpha1.ReleaseSpec{Snapshot: s.Name, ReleasePlan: plan},
	}
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
