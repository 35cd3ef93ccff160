package snapshot

import (
	"fmt"
	"strings"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"knative.dev/pkg/apis"
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
