package snapshot

import (
	"errors"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
)

// Condition types and reasons of a Snapshot that others parse, as upstream has
// them, spelling included.
const (
	TestsSucceededCondition = "AppStudioTestSucceeded"
	IntegrationCondition    = "AppStudioIntegrationStatus"
	AutoReleasedCondition   = "AutoReleased"

	AutoReleasedReason = "AutoReleased"
	ErrorReason        = "ErrorOccured"
	// Reasons of AutoReleased False, which upstream leaves out.
	NotPushReason  = "NotPush"
	BlockedReason  = "Blocked"
	UnsignedReason = "Unsigned"
)

// Messages of condition AutoReleased, as upstream has them where it fixes one.
const (
	ReleasedMessage   = "The Snapshot was auto-released"
	nothingToDo       = "Skipping auto-release of the Snapshot because no ReleasePlans have the 'auto-release' label set to 'true'"
	supersededMessage = "Released in newer Snapshot"
	notWanted         = "Skipping auto-release because the build pipeline's SHOULD_RELEASE result is 'false'"
	notAPush          = "Skipping auto-release: the Snapshot is not of a push. To release it, create a Release that names it"
	notYet            = "Not released yet: "
	blockedByLabel    = "Skipping auto-release: label " + AutoReleaseKey + " of the Snapshot is false. Delete the label to release it"
	unsigned          = "Skipping auto-release: Chains could not sign what the build made, and a release believes only what is signed. Build again, once the build's service account may push signatures"
)

// releaseWithin is for how long errors about releasing are tried again.
const releaseWithin = 3 * time.Hour

// Promotion is the decision about a Snapshot that passed its tests.
type Promotion struct {
	// Plans are the names of the ReleasePlans to make a Release by, sorted.
	Plans []string
	// Err joins an [ExpressionError] of each plan that could not be asked. A
	// plan can be mended, so it is worth deciding again.
	Err error
	// Done says that the decision is final. One that is not may change with
	// the Snapshot's labels or the plans.
	Done            bool
	Reason, Message string // of condition AutoReleased
}

// DecideRelease says which plans release a Snapshot that passed its tests: the
// plans of its application or group, by their expression, or else their label.
// Plans that have a Release of the Snapshot need no other. others are the
// Snapshots of the same component, or more.
func DecideRelease(s *v1alpha1.Snapshot, plans []v1alpha1.ReleasePlan, releases []v1alpha1.Release, others []v1alpha1.Snapshot, now time.Time) Promotion {
	switch {
	case !Push(s):
		return Promotion{Reason: NotPushReason, Message: notAPush}
	case s.Labels[AutoReleaseKey] == "false":
		return Promotion{Reason: BlockedReason, Message: blockedByLabel}
	case s.Annotations[SignedAnnotation] == "failed":
		return Promotion{Reason: UnsignedReason, Message: unsigned}
	}
	var names []string
	var problems []error
	for i := range plans {
		plan := &plans[i]
		if !sameParent(s, plan.Spec.Application, plan.Spec.ComponentGroup) || plan.DeletionTimestamp != nil {
			continue
		}
		allowed, err := allows(plan, s, now)
		if err != nil {
			problems = append(problems, &ExpressionError{Plan: plan.Name, Problem: err.Error()})
		}
		if allowed {
			names = append(names, plan.Name)
		}
	}
	final := Promotion{Done: true, Reason: AutoReleasedReason}
	switch {
	case len(names) == 0 && len(problems) == 0 && !wanted(s):
		final.Message = notWanted
		return final
	case len(names) == 0 && len(problems) == 0:
		final.Message = nothingToDo
		return final
	case SupersededBy(s, others) != "":
		final.Message = supersededMessage
		return final
	}
	final.Plans = slices.DeleteFunc(names, func(plan string) bool { return releasedBy(s, plan, releases) })
	slices.Sort(final.Plans)
	final.Message = ReleasedMessage
	if final.Err = errors.Join(problems...); final.Err != nil {
		final.Done, final.Reason, final.Message = false, ErrorReason, notYet+ErrorText(final.Err)
	}
	return final
}

// allows says whether a plan releases a Snapshot by itself. The expression goes
// before the label, and sees to SHOULD_RELEASE itself if it wants to.
func allows(plan *v1alpha1.ReleasePlan, s *v1alpha1.Snapshot, now time.Time) (bool, error) {
	if expression := plan.Annotations[AutoReleaseKey]; strings.TrimSpace(expression) != "" {
		return AllowsRelease(expression, s, now)
	}
	return plan.Labels[AutoReleaseKey] != "false" && wanted(s), nil
}

// releasedBy reports whether somebody released the Snapshot by a plan already.
// What only claims to be automated is nobody's: the release service refuses it.
func releasedBy(s *v1alpha1.Snapshot, plan string, releases []v1alpha1.Release) bool {
	return slices.ContainsFunc(releases, func(r v1alpha1.Release) bool {
		return r.Spec.Snapshot == s.Name && r.Spec.ReleasePlan == plan && r.DeletionTimestamp == nil &&
			(r.Labels[AutomatedLabel] != "true" || r.Status.Automated)
	})
}

// ErrorText is an error on one line, with what to do about it.
func ErrorText(err error) string {
	message := strings.ReplaceAll(err.Error(), "\n", "; ")
	var hinter interface{ Hint() string }
	if errors.As(err, &hinter) {
		message += ". " + hinter.Hint()
	}
	return message
}

// ReleaseDeadline is when to give up releasing a Snapshot that passed: three
// hours after it was made, or after its tests, which may take longer.
func ReleaseDeadline(s *v1alpha1.Snapshot) time.Time {
	from := s.CreationTimestamp.Time
	if c := meta.FindStatusCondition(s.Status.Conditions, TestsSucceededCondition); c != nil && c.LastTransitionTime.After(from) {
		from = c.LastTransitionTime.Time
	}
	return from.Add(releaseWithin)
}
