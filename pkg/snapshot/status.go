package snapshot

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"knative.dev/pkg/apis"

	"github.com/headrace-ci/headrace/pkg/tekton/testoutput"
)

// Statuses of a test.
const (
	Pending     = "Pending"
	InProgress  = "InProgress"
	TestPassed  = "TestPassed"
	TestFail    = "TestFail"
	TestWarning = "TestWarning"
	TestInvalid = "TestInvalid"
	Deleted     = "Deleted"
)

// Test is a scenario's line in the status annotation.
type Test struct {
	Scenario       string     `json:"scenario"`
	Status         string     `json:"status"`
	LastUpdateTime time.Time  `json:"lastUpdateTime"`
	Details        string     `json:"details"`
	StartTime      *time.Time `json:"startTime,omitempty"`
	CompletionTime *time.Time `json:"completionTime,omitempty"`
	Run            string     `json:"testPipelineRunName,omitempty"`
	Optional       bool       `json:"isOptionalScenario,omitempty"`
}

// Final reports whether the test has ended.
func (t Test) Final() bool {
	return t.Status != Pending && t.Status != InProgress && t.Status != ""
}

// Passed reports whether the test lets the Snapshot pass.
func (t Test) Passed() bool { return t.Status == TestPassed || t.Status == TestWarning }

// Tests are the lines of a Snapshot's status annotation.
type Tests []Test

// ParseTests reads the annotation; an empty one is no tests.
func ParseTests(annotation string) (Tests, error) {
	if annotation == "" {
		return nil, nil
	}
	var tests Tests
	if err := json.Unmarshal([]byte(annotation), &tests); err != nil {
		return nil, fmt.Errorf("annotation %s: %w", StatusAnnotation, err)
	}
	return tests, nil
}

// String is the annotation.
func (t Tests) String() string {
	text, err := json.Marshal(t)
	if err != nil {
		panic(err) // strings and times always marshal
	}
	return string(text)
}

// Find returns the line of a scenario, nil when there is none.
func (t Tests) Find(scenario string) *Test {
	if i := slices.IndexFunc(t, func(l Test) bool { return l.Scenario == scenario }); i >= 0 {
		return &t[i]
	}
	return nil
}

// Set makes a line say what became of its run; now is only used when that
// changes something.
func (t *Test) Set(status, details string, now time.Time) {
	if t.Status == status && t.Details == details {
		return
	}
	t.Status, t.Details, t.LastUpdateTime = status, details, now
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
	children := 0
	for _, child := range run.Status.ChildReferences {
		if child.Kind == "TaskRun" {
			children++
		}
	}
	if children != len(tasks) {
		return TestInvalid, fmt.Sprintf("%d of the %d TaskRuns of %s are gone: their results cannot be read", children-len(tasks), children, run.Name)
	}
	return outputs(tasks)
}

func outputs(tasks []tektonv1.TaskRun) (status, details string) {
	status, details = TestPassed, "all tests passed"
	var failed, warned []string
	for i := range tasks {
		for _, r := range tasks[i].Status.Results {
			if r.Name != testoutput.Name && r.Name != "HACBS_TEST_OUTPUT" {
				continue
			}
			name := tasks[i].Labels["tekton.dev/pipelineTask"]
			out, err := testoutput.Parse(r.Value.StringVal)
			switch {
			case err != nil:
				return TestFail, fmt.Sprintf("Invalid result: task %s: %v", name, err)
			case out.Result == testoutput.Failure || out.Result == testoutput.Error:
				failed = append(failed, fmt.Sprintf("%s: %s (%s)", name, out.Result, out.Note))
			case out.Result == testoutput.Warning:
				warned = append(warned, fmt.Sprintf("%s: %s", name, out.Note))
			}
		}
	}
	slices.Sort(failed)
	slices.Sort(warned)
	if len(failed) > 0 {
		return TestFail, strings.Join(failed, "; ")
	}
	if len(warned) > 0 {
		return TestWarning, strings.Join(warned, "; ")
	}
	return status, details
}

// Outcome is the verdict over all required tests: whether they have ended,
// whether they passed, and a sentence about it.
func (t Tests) Outcome() (finished, passed bool, message string) {
	var open, failed []string
	for _, l := range t {
		switch {
		case l.Optional:
		case !l.Final():
			open = append(open, l.Scenario)
		case !l.Passed():
			failed = append(failed, fmt.Sprintf("%s (%s: %s)", l.Scenario, l.Status, l.Details))
		}
	}
	switch {
	case len(open) > 0:
		return false, false, "waiting for: " + strings.Join(open, ", ")
	case len(failed) > 0:
		return true, false, "failed: " + strings.Join(failed, "; ")
	}
	return true, true, "All Integration Pipeline tests passed"
}
