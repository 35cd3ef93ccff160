package snapshot_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/pkg/snapshot"
)

func TestStands(t *testing.T) {
	// c runs after a, whose failure it does not outlive, and after b; d after c.
	graph := snapshot.Graph{
		"c": {{Name: "b"}, {Name: "a", FailFast: true}},
		"d": {{Name: "c"}},
	}
	ran := func(scenario, status string) snapshot.Test {
		test := snapshot.Test{Scenario: scenario}
		test.Start(scenario+"-1", now)
		test.Set(status, "why", now)
		return test
	}
	kept := snapshot.Test{Scenario: "c"}
	kept.Set(snapshot.TestFail, "cancelled: scenario a", now)
	cases := map[string]struct {
		scenario string
		tests    snapshot.Tests
		want     snapshot.Standing
		why      string
	}{
		"in no graph":                     {"x", nil, snapshot.MayRun, ""},
		"first in the graph":              {"a", nil, snapshot.MayRun, ""},
		"both passed":                     {"c", snapshot.Tests{ran("a", snapshot.TestPassed), ran("b", snapshot.TestWarning)}, snapshot.MayRun, ""},
		"both are open":                   {"c", snapshot.Tests{ran("b", snapshot.InProgress), ran("a", snapshot.Pending)}, snapshot.MustWait, "waiting for scenario a, b"},
		"one is open":                     {"c", snapshot.Tests{ran("b", snapshot.InProgress), ran("a", snapshot.TestPassed)}, snapshot.MustWait, "waiting for scenario b"},
		"the one that matters failed":     {"c", snapshot.Tests{ran("b", snapshot.TestPassed), ran("a", snapshot.TestFail)}, snapshot.NeverRuns, "scenario a, which runs before this one, ended with TestFail"},
		"it failed, and the other runs":   {"c", snapshot.Tests{ran("b", snapshot.InProgress), ran("a", snapshot.TestInvalid)}, snapshot.NeverRuns, "ended with TestInvalid"},
		"it was deleted":                  {"c", snapshot.Tests{ran("b", snapshot.TestPassed), ran("a", snapshot.Deleted)}, snapshot.NeverRuns, "ended with Deleted"},
		"it warned":                       {"c", snapshot.Tests{ran("b", snapshot.TestPassed), ran("a", snapshot.TestWarning)}, snapshot.MayRun, ""},
		"the one that does not failed":    {"c", snapshot.Tests{ran("b", snapshot.TestFail), ran("a", snapshot.TestPassed)}, snapshot.MayRun, ""},
		"those that do not test this one": {"c", nil, snapshot.MayRun, ""},
		"after one that failed":           {"d", snapshot.Tests{ran("c", snapshot.TestFail)}, snapshot.MayRun, ""},
		"after one that never ran":        {"d", snapshot.Tests{kept}, snapshot.NeverRuns, "cancelled: scenario c, which runs before this one, was cancelled"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			line := snapshot.Test{Scenario: tc.scenario, RunAfter: graph.Before(tc.scenario)}
			got, why := graph.Stands(line, tc.tests)
			if got != tc.want || !strings.Contains(why, tc.why) || (why == "") != (tc.why == "") {
				t.Errorf("Stands() = %d, %q, want %d, %q", got, why, tc.want, tc.why)
			}
			if got, _ := graph.Stands(snapshot.Test{Scenario: tc.scenario}, tc.tests); got != snapshot.MayRun {
				t.Errorf("asked for alone it is %d", got)
			}
		})
	}
	if diff := cmp.Diff([]string{"a", "b"}, graph.Before("c")); diff != "" {
		t.Errorf("before c (-want +got):\n%s", diff)
	}
	if got := (snapshot.Graph)(nil).Before("c"); got != nil {
		t.Errorf("before c without a graph: %v", got)
	}
}
