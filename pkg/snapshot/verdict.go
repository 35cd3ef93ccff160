package snapshot

import (
	"fmt"
	"slices"
	"strings"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"knative.dev/pkg/apis"

	"github.com/headrace-ci/headrace/pkg/tekton/testoutput"
)

func children(run *tektonv1.PipelineRun) []string {
	var names []string
	for _, child := range run.Status.ChildReferences {
		if child.Kind == "TaskRun" {
			names = append(names, child.Name)
		}
	}
	return names
}

// Verdict is what a run and the TEST_OUTPUT of its tasks mean.
func Verdict(run *tektonv1.PipelineRun, tasks []tektonv1.TaskRun) (status, details string) {
	condition := run.Status.GetCondition(apis.ConditionSucceeded)
	if condition.IsUnknown() {
		return InProgress, fmt.Sprintf("test run %s is in progress", run.Name)
	}
	if condition.IsFalse() {
		// Tekton counts the tasks that failed; what they found says more.
		if found, what := outputs(tasks); found == TestFail {
			return TestFail, condition.Message + ": " + what
		}
		return TestFail, condition.Message
	}
	var gone []string
	all := children(run)
	for _, name := range all {
		if !slices.ContainsFunc(tasks, func(t tektonv1.TaskRun) bool { return t.Name == name }) {
			gone = append(gone, name)
		}
	}
	if len(gone) > 0 {
		return TestInvalid, fmt.Sprintf("%d of the %d TaskRuns of %s are gone: their results cannot be read. Keep TaskRuns until their PipelineRun has ended, and run the test again",
			len(gone), len(all), run.Name)
	}
	return outputs(tasks)
}

// outputs is what the results of tasks mean together: the worst of them.
func outputs(tasks []tektonv1.TaskRun) (status, details string) {
	var failed, warned, invalid []string
	for i := range tasks {
		for _, r := range tasks[i].Status.Results {
			if r.Name != testoutput.Name && r.Name != testoutput.LegacyName {
				continue
			}
			name := tasks[i].Labels["tekton.dev/pipelineTask"]
			out, err := testoutput.Parse(r.Value.StringVal)
			switch {
			case err != nil:
				invalid = append(invalid, fmt.Sprintf("task %s: %v", name, err))
			case out.Result == testoutput.Failure || out.Result == testoutput.Error:
				failed = append(failed, fmt.Sprintf("%s: %s (%s)", name, out.Result, out.Note))
			case out.Result == testoutput.Warning:
				warned = append(warned, fmt.Sprintf("%s: %s", name, out.Note))
			}
		}
	}
	for _, list := range [][]string{failed, warned, invalid} {
		slices.Sort(list)
	}
	switch {
	case len(invalid) > 0:
		return TestFail, "Invalid result: " + strings.Join(invalid, "; ")
	case len(failed) > 0:
		return TestFail, strings.Join(failed, "; ")
	case len(warned) > 0:
		return TestWarning, strings.Join(warned, "; ")
	}
	return TestPassed, "all tests passed"
}

// unresolved are the reasons of runs that Tekton ended before their first
// task, for want of what they refer to.
var unresolved = []string{
	tektonv1.PipelineRunReasonCouldntGetPipeline.String(), tektonv1.PipelineRunReasonCouldntGetTask.String(),
	tektonv1.PipelineRunReasonFailedValidation.String(),
}

// Unreached reports whether a run ended without a task for a reason that may
// be gone in a moment, such as a resolver that was started again. What is
// wrong with the reference itself is wrong the next time too.
func Unreached(run *tektonv1.PipelineRun) bool {
	condition := run.Status.GetCondition(apis.ConditionSucceeded)
	return condition.IsFalse() && len(run.Status.ChildReferences) == 0 &&
		slices.Contains(unresolved, condition.Reason) && passing(condition.Message)
}

// passingSigns are what resolvers, registries, git hosts and the API server
// say of trouble that passes, in lower case. A name that does not resolve is
// not among them: it is a typing error more often than an outage.
var passingSigns = []string{
	"resolution took longer than global timeout", "context deadline exceeded", "context canceled", "client.timeout exceeded",
	"i/o timeout", "tls handshake timeout", "connection refused", "connection reset", "broken pipe", "unexpected eof",
	"temporary failure in name resolution", "server misbehaving", "network is unreachable", "no route to host",
	"too many requests", "toomanyrequests", "429", "internal server error", "500", "bad gateway", "502",
	"service unavailable", "503", "gateway timeout", "504", "etcdserver", "leader changed",
	"unable to return a response in the time allotted", "the object has been modified", "failed calling webhook",
}

// passing looks for numbers as words only: a digest holds any three digits.
func passing(message string) bool {
	message = strings.ToLower(message)
	words := strings.FieldsFunc(message, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	return slices.ContainsFunc(passingSigns, func(sign string) bool {
		if sign[0] >= '0' && sign[0] <= '9' {
			return slices.Contains(words, sign)
		}
		return strings.Contains(message, sign)
	}) || strings.HasSuffix(message, ": eof")
}
