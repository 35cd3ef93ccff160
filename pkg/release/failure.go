package release

import (
	"fmt"
	"strings"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"knative.dev/pkg/apis"
)

// Failure says what failed in a run: its own message, and every task's that
// failed, with where to look.
func Failure(run *tektonv1.PipelineRun, message string, tasks []tektonv1.TaskRun) string {
	var b strings.Builder
	b.WriteString(message)
	for i := range tasks {
		t := &tasks[i]
		for _, c := range t.Status.Conditions {
			if c.Type == "Succeeded" && c.IsFalse() {
				fmt.Fprintf(&b, "; task %s failed: %s (kubectl -n %s logs %s --all-containers)",
					t.Labels["tekton.dev/pipelineTask"], c.Message, run.Namespace, t.Status.PodName)
			}
		}
	}
	return b.String()
}

// FailureReason is the kind of failure, in upstream's words.
func FailureReason(run *tektonv1.PipelineRun, tasks []tektonv1.TaskRun) string {
	if c := run.Status.GetCondition(apis.ConditionSucceeded); c != nil && c.Reason == string(tektonv1.PipelineRunReasonTimedOut) {
		return "PipelineRunTimeout"
	}
	for i := range tasks {
		for _, step := range tasks[i].Status.Steps {
			if step.Terminated != nil && step.Terminated.Reason == "OOMKilled" {
				return "OOMKill"
			}
		}
	}
	for i := range tasks {
		if c := tasks[i].Status.GetCondition(apis.ConditionSucceeded); c != nil && c.Reason == string(tektonv1.TaskRunReasonTimedOut) {
			return "TaskRunTimeout"
		}
	}
	return "Error"
}
