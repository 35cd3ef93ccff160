package snapshot

import (
	"fmt"
	"slices"
	"strings"

	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
)

// Graph has a scenario's name and the scenarios that run before it.
type Graph map[string][]v1beta2.TestGraphNode

// Standing is whether a test may start.
type Standing int

// What a standing can be.
const (
	MayRun Standing = iota
	MustWait
	// NeverRuns is for what a failure before it keeps from running.
	NeverRuns
)

// Stands says whether a test may start, and why not. It waits for those of its
// line's RunAfter: somebody who asks for one scenario again gets it at once.
// What is in the graph and does not test this Snapshot is not waited for.
func (g Graph) Stands(line Test, tests Tests) (Standing, string) {
	var open []string
	for _, parent := range g[line.Scenario] {
		test := tests.Find(parent.Name)
		if test == nil || !slices.Contains(line.RunAfter, parent.Name) {
			continue
		}
		switch {
		case !test.Final():
			open = append(open, parent.Name)
		case kept(test):
			return NeverRuns, fmt.Sprintf("cancelled: scenario %s, which runs before this one, was cancelled", parent.Name)
		case parent.FailFast && !test.Passed():
			return NeverRuns, fmt.Sprintf("cancelled: scenario %s, which runs before this one, ended with %s, and testGraph of the ComponentGroup says failFast", parent.Name, test.Status)
		}
	}
	if len(open) > 0 {
		slices.Sort(open)
		return MustWait, "waiting for scenario " + strings.Join(open, ", ")
	}
	return MayRun, ""
}

// kept reports whether a test was kept from running by a failure before it.
func kept(test *Test) bool {
	return test.Status == TestFail && test.StartTime == nil && strings.HasPrefix(test.Details, "cancelled: ")
}

// Before are the names of the scenarios that run before one.
func (g Graph) Before(scenario string) []string {
	var names []string
	for _, parent := range g[scenario] {
		names = append(names, parent.Name)
	}
	slices.Sort(names)
	return names
}
