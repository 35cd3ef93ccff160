package snapshot

import (
	"fmt"
	"strings"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
)

// quotaAgain is how long to wait for room in a namespace's quota.
const quotaAgain = time.Minute

// Fate is what becomes of a test whose run could not be created: it is refused
// for good, waits, or, with neither, is tried again as any error is.
type Fate struct {
	Refused bool
	Wait    time.Duration
	Message string // for people
}

// CreationFailed says what an API server's answer means for a test. Only what
// an admission refuses is refused for good: outages, conflicts and quotas pass.
func CreationFailed(err error) Fate {
	switch {
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota"):
		return Fate{Wait: quotaAgain, Message: fmt.Sprintf("waiting for room in the namespace, asked for again each minute: %v", err)}
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsForbidden(err) && !strings.Contains(err.Error(), "failed calling webhook"):
		return Fate{Refused: true, Message: fmt.Sprintf("the test run was refused: %v", err)}
	}
	return Fate{}
}

// RetryMessage says that a run that Tekton could not start is tried once more.
func RetryMessage(run *tektonv1.PipelineRun) string {
	return fmt.Sprintf("test run %s was not started, trying once more in %s: %s", run.Name, RetryAfter, run.Status.GetCondition(apis.ConditionSucceeded).Message)
}

// Condition types and reasons of a scenario.
const (
	// ValidCondition and its reasons are upstream's.
	ValidCondition = "IntegrationTestScenarioValid"
	ValidReason    = "Valid"
	InvalidReason  = "Invalid"

	FoundCondition     = "PipelineFound"
	FoundReason        = "Found"
	NotFoundReason     = "NotFound"
	NotAPipelineReason = "NotAPipeline"
	LookingReason      = "LookingUp"
	NoAnswerReason     = "NoAnswer"

	ContextsCondition     = "ContextsKnown"
	KnownReason           = "Known"
	UnknownContextsReason = "UnknownContexts"

	ParamCondition     = "SnapshotParamFits"
	FitsReason         = "Fits"
	LargeReason        = "Large"
	PassedByNameReason = "PassedByName"
)

// NotFound reports whether what a scenario refers to was not found when it was
// last looked up, as it is now.
func NotFound(scenario *v1beta2.IntegrationTestScenario) bool {
	c := meta.FindStatusCondition(scenario.Status.Conditions, FoundCondition)
	return c != nil && c.Status == metav1.ConditionFalse && c.ObservedGeneration == scenario.Generation
}

// LargeParamCondition is whether param SNAPSHOT of a scenario's runs is of a
// size that programs can take, and whether to warn.
func LargeParamCondition(scenario *v1beta2.IntegrationTestScenario, s *v1alpha1.Snapshot) (metav1.Condition, bool) {
	_, size, named := SnapshotParam(scenario, s)
	c := metav1.Condition{Type: ParamCondition, Status: metav1.ConditionTrue, Reason: FitsReason, ObservedGeneration: scenario.Generation,
		Message: "param SNAPSHOT is small enough for every program"}
	fix := fmt.Sprintf("set annotation %s to \"true\" on the scenario and let the pipeline read the Snapshot by its name, as task test-metadata does", ParamAsName)
	switch {
	case scenario.Annotations[ParamAsName] == "true" || size <= LargeParam:
		return c, false
	case named:
		c.Status, c.Reason = metav1.ConditionFalse, PassedByNameReason
		c.Message = fmt.Sprintf("Snapshot %s is %d KiB of JSON, more than a program can take as one argument: param SNAPSHOT was its name instead. To say so yourself, %s", s.Name, size>>10, fix)
	default:
		c.Status, c.Reason = metav1.ConditionFalse, LargeReason
		c.Message = fmt.Sprintf("Snapshot %s is %d KiB of JSON in param SNAPSHOT, more than many programs take, and from %d KiB on it is the name: %s", s.Name, size>>10, maxParam>>10, fix)
	}
	return c, true
}
