package snapshot

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
)

// RerunAnnotation tells what became of the last value of RerunLabel.
const RerunAnnotation = "test.appstudio.openshift.io/run-status"

// everyScenario is the value of RerunLabel that asks for all that apply.
const everyScenario = "all"

// RerunDetails are those of a test that was asked for and has no run yet.
const RerunDetails = "to be run again"

// Reasons of a Rerun, which are reasons of events too.
const (
	RerunStarted    = "Started"
	AlreadyRunning  = "AlreadyRunning"
	UnknownScenario = "UnknownScenario"
	NothingToRun    = "NothingToRun"
	NotTested       = "NotTested"
)

// Rerun is what to do about a request to test a Snapshot again.
type Rerun struct {
	Start  []string // scenarios to start, in order of their names
	Reason string
	Detail string
}

// Text is what the annotation says.
func (r Rerun) Text() string { return r.Reason + ": " + r.Detail }

// DecideRerun says what to do about the value of a Snapshot's label. A named
// scenario runs whatever its contexts say; "all" are those that apply. What
// has not ended is left alone.
func DecideRerun(wanted string, scenarios map[string]*v1beta2.IntegrationTestScenario, tests Tests, s *v1alpha1.Snapshot) Rerun {
	var asked []string
	for _, name := range slices.Sorted(maps.Keys(scenarios)) {
		if name == wanted || wanted == everyScenario && Applies(scenarios[name], s) {
			asked = append(asked, name)
		}
	}
	var start, running []string
	for _, name := range asked {
		// What is written down and still has its label is the same request.
		if test := tests.Find(name); test != nil && !test.Final() && (test.Status != Pending || test.Details != RerunDetails) {
			running = append(running, name)
		} else {
			start = append(start, name)
		}
	}
	switch {
	case len(asked) == 0 && wanted == everyScenario:
		return Rerun{Reason: NothingToRun, Detail: "no scenario applies to this Snapshot"}
	case len(asked) == 0:
		return Rerun{Reason: UnknownScenario, Detail: fmt.Sprintf("there is no IntegrationTestScenario %q for %s in namespace %s: set label %s to the name of one, or to %s",
			wanted, subject(s), s.Namespace, RerunLabel, everyScenario)}
	case len(start) == 0:
		return Rerun{Reason: AlreadyRunning, Detail: strings.Join(running, ", ") + " has not ended: set the label again when it has"}
	}
	detail := strings.Join(start, ", ")
	if len(running) > 0 {
		detail += "; not " + strings.Join(running, ", ") + ", which has not ended"
	}
	return Rerun{Start: start, Reason: RerunStarted, Detail: detail}
}

// subject is what a Snapshot is of, for a message.
func subject(s *v1alpha1.Snapshot) string {
	if s.Spec.ComponentGroup != "" {
		return "ComponentGroup " + s.Spec.ComponentGroup
	}
	return "Application " + s.Spec.Application
}
