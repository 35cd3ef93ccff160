package snapshot_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

func TestOutcome(t *testing.T) {
	test := func(scenario, status string, optional bool) snapshot.Test {
		return snapshot.Test{Scenario: scenario, Status: status, Details: "why", Optional: optional}
	}
	cases := map[string]struct {
		tests            snapshot.Tests
		finished, passed bool
		message          string
	}{
		"no scenario":                   {finished: true, passed: true, message: "All Integration Pipeline tests passed"},
		"passed and warned":             {tests: snapshot.Tests{test("a", snapshot.TestPassed, false), test("b", snapshot.TestWarning, false)}, finished: true, passed: true, message: "All Integration"},
		"one is open":                   {tests: snapshot.Tests{test("a", snapshot.TestPassed, false), test("b", snapshot.InProgress, false)}, message: "waiting for: b"},
		"one failed, one is open":       {tests: snapshot.Tests{test("a", snapshot.TestFail, false), test("b", snapshot.Pending, false)}, message: "waiting for: b"},
		"one failed":                    {tests: snapshot.Tests{test("a", snapshot.TestFail, false), test("b", snapshot.TestPassed, false)}, finished: true, message: "failed: a (TestFail: why)"},
		"one could not run":             {tests: snapshot.Tests{test("a", snapshot.TestInvalid, false)}, finished: true, message: "a (TestInvalid"},
		"one was deleted":               {tests: snapshot.Tests{test("a", snapshot.Deleted, false)}, finished: true, message: "a (Deleted"},
		"an optional one failed":        {tests: snapshot.Tests{test("a", snapshot.TestFail, true)}, finished: true, passed: true, message: "All Integration"},
		"an optional one is still open": {tests: snapshot.Tests{test("a", snapshot.InProgress, true)}, finished: true, passed: true, message: "All Integration"},
		"a status nobody knows":         {tests: snapshot.Tests{test("a", "Fine", false)}, finished: true, message: "a (Fine"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			finished, passed, message := tc.tests.Outcome()
			if finished != tc.finished || passed != tc.passed || !strings.Contains(message, tc.message) {
				t.Errorf("Outcome() = %t, %t, %q", finished, passed, message)
			}
		})
	}
}

// TestStatusAnnotation is what others parse.
func TestStatusAnnotation(t *testing.T) {
	start := time.Date(2025, 3, 4, 5, 6, 7, 0, time.UTC)
	tests := snapshot.Tests{
		{Scenario: "a", Status: snapshot.Pending, LastUpdateTime: start.Add(time.Nanosecond)},
		{Scenario: "b", Status: snapshot.TestPassed, LastUpdateTime: start, Details: "good", StartTime: &start, CompletionTime: &start, Run: "b-1", Optional: true, RunAfter: []string{"a"}},
	}
	want := `[{"scenario":"a","status":"Pending","lastUpdateTime":"2025-03-04T05:06:07.000000001Z","details":""},` +
		`{"scenario":"b","status":"TestPassed","lastUpdateTime":"2025-03-04T05:06:07Z","details":"good","startTime":"2025-03-04T05:06:07Z",` +
		`"completionTime":"2025-03-04T05:06:07Z","testPipelineRunName":"b-1","isOptionalScenario":true,"runAfter":["a"]}]`
	if diff := cmp.Diff(want, tests.String()); diff != "" {
		t.Errorf("String() (-want +got):\n%s", diff)
	}
	got, err := snapshot.ParseTests(want)
	if diff := cmp.Diff(tests, got); err != nil || diff != "" {
		t.Errorf("ParseTests(): %v\n%s", err, diff)
	}
	if _, err := snapshot.ParseTests("{"); err == nil || !strings.Contains(err.Error(), snapshot.StatusAnnotation) {
		t.Errorf("ParseTests() = %v", err)
	}
}

// TestTestsOf reads the same from the status that the API server gives back as
// was written, so that the copy in the annotation does not change by itself.
func TestTestsOf(t *testing.T) {
	now := time.Date(2025, 3, 4, 5, 6, 7, 123456789, time.FixedZone("CET", 3600))
	retry := now.Add(time.Minute)
	var tests snapshot.Tests
	for _, name := range []string{"a", "b", "c"} {
		tests = append(tests, snapshot.Test{Scenario: name})
	}
	tests[0].Set(snapshot.Pending, "", now)
	tests[1].Start("b-1", now)
	tests[2].Start("c-1", now)
	tests[2].Again("once more", &retry, now)

	s := &v1alpha1.Snapshot{Status: v1alpha1.SnapshotStatus{TestResults: tests.Results()}}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	back := &v1alpha1.Snapshot{}
	if err := json.Unmarshal(text, back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(tests, snapshot.TestsOf(back)); diff != "" {
		t.Errorf("(-written +read):\n%s", diff)
	}
	if got := snapshot.TestsOf(back).String(); got != tests.String() {
		t.Errorf("the annotation was %s\nand is %s", tests, got)
	}

	old := labelled(nil, map[string]string{snapshot.StatusAnnotation: `[{"scenario":"a","status":"TestFail"},{"scenario":"a","status":"TestPassed"}]`})
	if got := snapshot.TestsOf(old); len(got) != 1 || got[0].Status != snapshot.TestFail {
		t.Errorf("of an annotation alone it reads %s", got)
	}
	old.Annotations[snapshot.StatusAnnotation] = "{"
	if got := snapshot.TestsOf(old); got != nil {
		t.Errorf("of nonsense it reads %s", got)
	}
}

func TestSet(t *testing.T) {
	first, later := time.Unix(1, 0).UTC(), time.Unix(2, 0).UTC()
	test := snapshot.Test{}
	test.Set(snapshot.Pending, "why", first)
	test.Set(snapshot.Pending, "why", later)
	if !test.LastUpdateTime.Equal(first) {
		t.Errorf("it changed at %v, and did not", test.LastUpdateTime)
	}
	test.Set(snapshot.TestFail, strings.Repeat("é", 5000), later)
	if !test.LastUpdateTime.Equal(later) || len(test.Details) > 2048 || !utf8.ValidString(test.Details) || !strings.HasSuffix(test.Details, "...") {
		t.Errorf("%d bytes of details, changed at %v", len(test.Details), test.LastUpdateTime)
	}
}

// FuzzTestsOf reads what anybody may write into the annotation: what comes of
// it can be written to the status, which has one line for each scenario.
func FuzzTestsOf(f *testing.F) {
	f.Add(`[{"scenario":"a","status":"TestPassed","lastUpdateTime":"2025-03-04T05:06:07.000000001Z","details":""},{"scenario":"a"}]`)
	f.Add(`[{"startTime":"0000-01-01T00:00:00+23:59"}]`)
	f.Add(`[{"lastUpdateTime":"9999-12-31T23:59:59-23:59"}]`)
	f.Add(`{`)
	f.Fuzz(func(t *testing.T, annotation string) {
		tests := snapshot.TestsOf(labelled(nil, map[string]string{snapshot.StatusAnnotation: annotation}))
		seen := map[string]bool{}
		for _, r := range tests.Results() {
			if seen[r.Scenario] {
				t.Errorf("two lines of scenario %q", r.Scenario)
			}
			seen[r.Scenario] = true
		}
		s := labelled(nil, nil)
		s.Status.TestResults = tests.Results()
		if again := snapshot.TestsOf(s); again.String() != snapshot.TestsOf(s).String() {
			t.Errorf("%s", again)
		}
		tests.Outcome()
	})
}
