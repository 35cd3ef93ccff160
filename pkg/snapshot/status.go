package snapshot

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
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

// Test is a scenario's line in the status annotation. Its truth is in the
// Snapshot's status; times are kept as exactly as that does, so that the copy
// reads the same each time.
type Test struct {
	Scenario       string     `json:"scenario"`
	Status         string     `json:"status"`
	LastUpdateTime time.Time  `json:"lastUpdateTime"`
	Details        string     `json:"details"`
	StartTime      *time.Time `json:"startTime,omitempty"`
	CompletionTime *time.Time `json:"completionTime,omitempty"`
	// Run is the test's run; of a Pending test the one before, if any.
	Run      string   `json:"testPipelineRunName,omitempty"`
	Optional bool     `json:"isOptionalScenario,omitempty"`
	RunAfter []string `json:"runAfter,omitempty"`
	// NotBefore is when to try again what could not be started.
	NotBefore *time.Time `json:"-"`
}

// Final reports whether the test has ended.
func (t Test) Final() bool {
	return t.Status != Pending && t.Status != InProgress && t.Status != ""
}

// Passed reports whether the test lets the Snapshot pass.
func (t Test) Passed() bool { return t.Status == TestPassed || t.Status == TestWarning }

// maxDetails is how long the details of a test may be, in bytes: an object's
// annotations hold 256 KiB together.
const maxDetails = 2048

// Set makes a line say how its test is; now is only used when that changes
// something.
func (t *Test) Set(status, details string, now time.Time) {
	if len(details) > maxDetails {
		details = strings.ToValidUTF8(details[:maxDetails-3], "") + "..."
	}
	if t.Status == status && t.Details == details {
		return
	}
	t.Status, t.Details, t.LastUpdateTime = status, details, now.UTC().Truncate(time.Microsecond)
}

// Start makes a line that of a run that was just made.
func (t *Test) Start(run string, now time.Time) {
	start := now.UTC().Truncate(time.Second)
	t.Run, t.StartTime, t.CompletionTime, t.NotBefore = run, &start, nil, nil
	t.Set(InProgress, fmt.Sprintf("test run %s is in progress", run), now)
}

// Again makes a line that of a test to start again, at a time or, for nil, at
// once. It keeps the run before, from whose name the next one's follows.
func (t *Test) Again(details string, at *time.Time, now time.Time) {
	t.StartTime, t.CompletionTime, t.NotBefore = nil, nil, nil
	if at != nil {
		to := at.UTC().Truncate(time.Second)
		t.NotBefore = &to
	}
	t.Set(Pending, details, now)
}

// Tests are the lines of a Snapshot's status annotation.
type Tests []Test

// TestsOf are the tests of a Snapshot: of its status, or, where that has none,
// of the annotation, which is all that an older service wrote. Whatever cannot
// be read is as if it were not there: the runs say what is true.
func TestsOf(s *v1alpha1.Snapshot) Tests {
	if len(s.Status.TestResults) == 0 {
		tests, err := ParseTests(s.Annotations[StatusAnnotation])
		if err != nil {
			return nil
		}
		return tests.unique()
	}
	tests := make(Tests, 0, len(s.Status.TestResults))
	for _, r := range s.Status.TestResults {
		tests = append(tests, Test{
			Scenario: r.Scenario, Status: r.Status, Details: r.Details, LastUpdateTime: r.LastUpdateTime.UTC(),
			StartTime: plain(r.StartTime), CompletionTime: plain(r.CompletionTime), NotBefore: plain(r.NotBefore),
			Run: r.PipelineRun, Optional: r.Optional, RunAfter: r.RunAfter,
		})
	}
	return tests
}

// Results are the tests as a Snapshot's status has them.
func (t Tests) Results() []v1alpha1.TestResult {
	var results []v1alpha1.TestResult
	for _, l := range t {
		results = append(results, v1alpha1.TestResult{
			Scenario: l.Scenario, Status: l.Status, Details: l.Details, LastUpdateTime: metav1.NewMicroTime(l.LastUpdateTime),
			StartTime: kube(l.StartTime), CompletionTime: kube(l.CompletionTime), NotBefore: kube(l.NotBefore),
			PipelineRun: l.Run, Optional: l.Optional, RunAfter: l.RunAfter,
		})
	}
	return results
}

func plain(t *metav1.Time) *time.Time {
	if t == nil {
		return nil
	}
	utc := t.UTC()
	return &utc
}

func kube(t *time.Time) *metav1.Time {
	if t == nil {
		return nil
	}
	return &metav1.Time{Time: *t}
}

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

// unique is the first line of each scenario, for a person can write two, with
// times that can be written again.
func (t Tests) unique() Tests {
	var tests Tests
	for _, l := range t {
		if tests.Find(l.Scenario) != nil {
			continue
		}
		l.LastUpdateTime = sane(l.LastUpdateTime)
		for _, of := range []**time.Time{&l.StartTime, &l.CompletionTime} {
			if *of != nil {
				at := sane(**of)
				*of = &at
			}
		}
		tests = append(tests, l)
	}
	return tests
}

// sane is a time in UTC, and none where a year of four digits cannot say it
// there: what can be read with one zone cannot be written with another.
func sane(t time.Time) time.Time {
	if t = t.UTC(); t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}
	}
	return t
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
