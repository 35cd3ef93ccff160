package snapshot

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"knative.dev/pkg/apis"
)

// Reasons of an Outcome.
const (
	BuildFailed        = "BuildFailed"
	ResultMissing      = "ResultMissing"
	ImageInvalid       = "ImageInvalid"
	DigestInvalid      = "DigestInvalid"
	ComponentUnknown   = "ComponentUnknown"
	ApplicationUnknown = "ApplicationUnknown"
	GroupUnknown       = "ComponentGroupUnknown"
	NestingInvalid     = "NestingInvalid"
	WaitingForSigning  = "WaitingForSigning"
	NotSigned          = "NotSigned"
	SigningFailed      = "SigningFailed"
	QuotaExceeded      = "QuotaExceeded"
	CreateForbidden    = "CreateForbidden"
	Refused            = "SnapshotRefused"
	NamespaceGone      = "NamespaceTerminating"
	Created            = "SnapshotCreated"
)

// Statuses of an Outcome. Upstream has the first two.
const (
	Success = "success"
	Failure = "failed"
	Waiting = "pending"
)

// Outcome is what became of a build, in annotation create-snapshot-status.
type Outcome struct {
	Status  string `json:"status"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message"`
}

// String is the annotation.
func (o Outcome) String() string {
	text, err := json.Marshal(o)
	if err != nil {
		panic(err) // strings always marshal
	}
	return string(text)
}

// ParseOutcome reads the annotation. What cannot be read is no outcome.
func ParseOutcome(annotation string) (Outcome, bool) {
	var o Outcome
	if json.Unmarshal([]byte(annotation), &o) != nil || o.Status == "" {
		return Outcome{}, false
	}
	return o, true
}

// Settled reports whether nothing more can come of the build: a signature
// that is late, or room for one more Snapshot, may still come.
func (o Outcome) Settled() bool {
	return o.Status == Success || o.Status == Failure && o.Reason != NotSigned && o.Reason != QuotaExceeded && o.Reason != CreateForbidden
}

// Refusal is why a build, or a pull request's group, has no Snapshot.
type Refusal struct {
	Reason string
	Err    error
}

func (r *Refusal) Error() string { return r.Err.Error() }

func (r *Refusal) Unwrap() error { return r.Err }

// Refuse is a Refusal with a message.
func Refuse(reason, format string, args ...any) error {
	return &Refusal{Reason: reason, Err: fmt.Errorf(format, args...)}
}

// Failed is the outcome of a refusal.
func (r *Refusal) Failed() Outcome {
	return Outcome{Status: Failure, Reason: r.Reason, Message: r.Error()}
}

// Turn is what is to be done about a build now.
type Turn int

// Turns of a build.
const (
	Leave  Turn = iota // nothing: it is done, or came out of a backup
	Hold               // it runs: keep it from being collected
	LetGo              // nothing will come of it: allow it to be collected
	Report             // it failed: say so
	Make               // it succeeded: make its Snapshots
)

// TurnOf says what is to be done about a build.
func TurnOf(run *tektonv1.PipelineRun) Turn {
	outcome, ended := ParseOutcome(run.Annotations[CreatedAnnotation])
	switch {
	case Restored(run):
		return Leave
	case ended && outcome.Settled() || run.Annotations[SnapshotKey] != "":
		return LetGo
	case !run.IsDone() && run.DeletionTimestamp.IsZero():
		return Hold
	case !run.IsDone():
		return LetGo
	case run.Status.GetCondition(apis.ConditionSucceeded).IsFalse():
		return Report
	}
	return Make
}

// SignedWithin is how long a build's signature may take until it is said to
// have failed.
const SignedWithin = 5 * time.Minute

const (
	// sayAfter is how long nothing is said about it: most are there by then.
	sayAfter = 20 * time.Second
	// lookNoMore is how long it is looked for; then only a change of the build
	// leads to another look.
	lookNoMore = 24 * time.Hour
	// deletedWithin is how long a signature may take of a build that is deleted.
	deletedWithin = 30 * time.Second
)

// Proof is what is to be done about a build whose image was looked up.
type Proof struct {
	Proceed bool
	Warning string        // to write on the Snapshot: it is not signed
	Say     *Outcome      // to write on the build; nil for nothing
	Again   time.Duration // until the next look; 0 for when the build changes
}

// DecideProof judges one look for a build's signature: err is why it was not
// found. It is looked for often at first, and less and less.
func DecideProof(run *tektonv1.PipelineRun, err error, now time.Time) Proof {
	if err == nil {
		return Proof{Proceed: true}
	}
	reason := err.Error()
	var hinter interface{ Hint() string }
	if errors.As(err, &hinter) {
		reason += "; " + hinter.Hint()
	}
	if run.Annotations[SignedAnnotation] == "failed" {
		return Proof{Proceed: true, Warning: "the image is not signed, for Tekton Chains gave up: it can be tested and not released; " + reason}
	}
	// Whoever deletes a build does not wait for Chains for long.
	if run.DeletionTimestamp != nil && now.Sub(run.DeletionTimestamp.Time) > deletedWithin {
		return Proof{Say: notSigned(reason)}
	}
	age := Since(run, now)
	again := min(max(age/10, time.Second), time.Minute)
	if run.DeletionTimestamp != nil {
		again = min(again, deletedWithin/3)
	}
	switch {
	case age > lookNoMore:
		return Proof{Say: notSigned(reason)}
	case age > SignedWithin:
		return Proof{Say: notSigned(reason), Again: again}
	case age > sayAfter:
		return Proof{Say: &Outcome{Status: Waiting, Reason: WaitingForSigning,
			Message: fmt.Sprintf("waiting until the image is signed, for %v at most: %s", SignedWithin, reason)}, Again: again}
	}
	return Proof{Again: again}
}

func notSigned(reason string) *Outcome {
	return &Outcome{Status: Failure, Reason: NotSigned, Message: fmt.Sprintf(
		"the image was not proven to be signed within %v of its build: %s; it gets its Snapshot when it is, as long as the build is there", SignedWithin, reason)}
}

// Since is how long ago a run ended; 0 where it does not say.
func Since(run *tektonv1.PipelineRun, now time.Time) time.Duration {
	if run.Status.CompletionTime == nil {
		return 0
	}
	return now.Sub(run.Status.CompletionTime.Time)
}

// BuildFailure is why a build that failed has no Snapshot; why is what failed
// in it.
func BuildFailure(run *tektonv1.PipelineRun, why string) *Refusal {
	return &Refusal{Reason: BuildFailed, Err: fmt.Errorf("build PipelineRun %s failed: %s", run.Name, clip(why))}
}

// HeldTooLong reports whether a finished build must not be kept any longer,
// whatever came in between.
func HeldTooLong(run *tektonv1.PipelineRun, now time.Time) bool { return Since(run, now) > lookNoMore }

// HeldAtMost is how long a finished build is kept for a Snapshot that the
// namespace has no room for.
const HeldAtMost = 6 * time.Hour

// DecideRefused says what to write on a build whose Snapshot was forbidden,
// and when to try again.
func DecideRefused(run *tektonv1.PipelineRun, refused *Refusal, now time.Time) (Outcome, time.Duration) {
	switch {
	case refused.Reason != QuotaExceeded && refused.Reason != CreateForbidden:
		return refused.Failed(), 0
	case Since(run, now) > lookNoMore:
		return refused.Failed(), 0
	case Since(run, now) > HeldAtMost:
		return refused.Failed(), time.Hour
	}
	return Outcome{Status: Waiting, Reason: refused.Reason, Message: refused.Error() + "; it is tried again every minute"}, time.Minute
}
