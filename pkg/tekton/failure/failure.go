// Package failure says why a PipelineRun failed: which task, which of its
// steps, where to look, and what that step said last.
package failure

import (
	"fmt"
	"regexp"
	"strings"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"knative.dev/pkg/apis"
)

// Step is the container of the first step that made a task fail; empty
// when no step did, because the task never started or ran out of time.
func Step(t *tektonv1.TaskRun) string {
	for _, step := range t.Status.Steps {
		if step.Terminated != nil && step.Terminated.ExitCode != 0 {
			return step.Container
		}
	}
	return ""
}

// Text says what failed in a run: its own message, and every task's that
// failed, with where to look and what the step said last. Logs are by the name
// of the TaskRun.
func Text(run *tektonv1.PipelineRun, message string, tasks []tektonv1.TaskRun, logs map[string]string) string {
	var b strings.Builder
	b.WriteString(message)
	for i := range tasks {
		t := &tasks[i]
		c := t.Status.GetCondition(apis.ConditionSucceeded)
		if !c.IsFalse() {
			continue
		}
		fmt.Fprintf(&b, "; task %s failed: %s", t.Labels["tekton.dev/pipelineTask"], c.Message)
		if t.Status.PodName == "" {
			continue
		}
		where := "--all-containers"
		if step := Step(t); step != "" {
			where = "-c " + step
		}
		fmt.Fprintf(&b, " (kubectl -n %s logs %s %s)", run.Namespace, t.Status.PodName, where)
		if log := strings.TrimSpace(logs[t.Name]); log != "" {
			fmt.Fprintf(&b, ":\n%s\n", credentials.ReplaceAllString(log, "://***@"))
		}
	}
	return strings.TrimSpace(b.String())
}

// credentials are those of a URL. No task of ours logs them; another's may.
var credentials = regexp.MustCompile(`://[^/@\s]+@`)

// Reason is the kind of failure, in upstream's words.
func Reason(run *tektonv1.PipelineRun, tasks []tektonv1.TaskRun) string {
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
