package explain

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"

	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// Links returns the chain, in the order of its stages. A build of several
// groups has one Snapshot, and what follows from it, after the other.
func Links(f Facts) []Link {
	links := buildLinks(f)
	if len(f.Snapshots) == 0 {
		return append(links, unmade(f))
	}
	for i := range f.Snapshots {
		s := &f.Snapshots[i]
		made := snapshotLink(s)
		tests := testLinks(s)
		if made.State != Done {
			tests = nil
		}
		promotion := promotionLink(s, f.Now, made, tests)
		links = append(append(append(links, made), tests...), promotion)
		links = append(links, releaseLinks(s, promotion)...)
	}
	return links
}

// buildLinks are about the run that made the Snapshot, and its signature.
func buildLinks(f Facts) []Link {
	var s *SnapshotFacts
	if len(f.Snapshots) > 0 {
		s = &f.Snapshots[0]
	}
	if f.Build == nil {
		return goneBuild(f, s)
	}
	run := f.Build
	build := Link{Stage: Build, Object: "PipelineRun/" + run.Name, State: Done}
	signature := Link{Stage: Signature, Object: build.Object, State: Ahead}
	condition := run.Status.GetCondition(apis.ConditionSucceeded)
	switch {
	case run.Labels[snapshot.RunTypeLabel] != snapshot.BuildRun:
		build.State, build.Reason = Stopped, "NotABuild"
		build.Message = "label " + snapshot.RunTypeLabel + " does not say that it is a build"
		build.Fix = fmt.Sprintf("run it again with labels %s=%s and %s=COMPONENT", snapshot.RunTypeLabel, snapshot.BuildRun, snapshot.ComponentLabel)
		return []Link{build, signature}
	case condition.IsUnknown():
		build.State, build.Message = Waiting, "the build runs"
		if condition != nil && condition.Message != "" {
			build.Reason, build.Message = condition.Reason, condition.Message
		}
		return []Link{build, signature}
	case condition.IsFalse():
		build.State, build.Reason, build.Message = Stopped, condition.Reason, condition.Message
		build.Fix = fmt.Sprintf("mend what failed, and build again: tkn -n %s pipelinerun logs %s", run.Namespace, run.Name)
		return []Link{build, signature}
	}
	outcome, _ := snapshot.ParseOutcome(run.Annotations[snapshot.CreatedAnnotation])
	switch {
	case s != nil && s.Snapshot != nil && s.Snapshot.Annotations[snapshot.SignedAnnotation] == "failed":
		signature.State, signature.Reason = Stopped, snapshot.SigningFailed
		signature.Message = "Chains could not sign the image: it is tested, and not released"
		signature.Fix = "let the build's service account push to the image's repository, and build again"
	case s != nil:
		signature.State = Done
	case slices.Contains([]string{snapshot.NotSigned, snapshot.SigningFailed}, outcome.Reason):
		signature.State, signature.Reason, signature.Message = Stopped, outcome.Reason, outcome.Message
		signature.Fix = "see that Tekton Chains runs, and that the build's service account may push to the image's repository"
	case outcome.Status == "" || outcome.Reason == snapshot.WaitingForSigning:
		signature.State, signature.Reason, signature.Message = Waiting, snapshot.WaitingForSigning, outcome.Message
	default:
		signature.State = Skipped // the build was refused before it mattered
	}
	return []Link{build, signature}
}

func goneBuild(f Facts, s *SnapshotFacts) []Link {
	switch {
	case s == nil:
		return []Link{{Stage: Build, Object: "Component/" + f.Component, State: Stopped, Reason: "NoBuild", Message: "the component was never built, or nothing is left of it",
			Fix: "push a commit, or start a PipelineRun with label " + snapshot.ComponentLabel + "=" + f.Component}}
	case s.Snapshot == nil:
		return nil
	case s.Snapshot.Labels[snapshot.BuildLabel] == "":
		return []Link{{Stage: Build, Object: "Snapshot/" + s.Snapshot.Name, State: Skipped, Message: "the Snapshot was not made of a build"}}
	}
	return []Link{{Stage: Build, Object: "PipelineRun/" + s.Snapshot.Labels[snapshot.BuildLabel], State: Done, Message: "its run was collected"}}
}

// unmade is the link of a Snapshot that is not there.
func unmade(f Facts) Link {
	link := Link{Stage: Snapshot, Object: "Snapshot", State: Ahead}
	if f.Build == nil {
		return link
	}
	link.Object = "PipelineRun/" + f.Build.Name
	outcome, ok := snapshot.ParseOutcome(f.Build.Annotations[snapshot.CreatedAnnotation])
	switch {
	case !ok || slices.Contains([]string{snapshot.BuildFailed, snapshot.WaitingForSigning, snapshot.NotSigned}, outcome.Reason):
	case outcome.Status == snapshot.Waiting:
		link.State, link.Reason, link.Message = Waiting, outcome.Reason, outcome.Message
	case outcome.Status == snapshot.Failure:
		link.State, link.Reason, link.Message = Stopped, outcome.Reason, outcome.Message
		link.Fix = "mend what the message names, and build again"
	default:
		link.State, link.Reason, link.Message = Stopped, "Deleted", outcome.Message+"; it is there no more"
		link.Fix = "build again"
	}
	return link
}

func snapshotLink(f *SnapshotFacts) Link {
	s := f.Snapshot
	if s == nil {
		name := f.Releases[0].Spec.Snapshot
		return Link{Stage: Snapshot, Object: "Snapshot/" + name, State: Skipped, Reason: "Deleted", Message: "it was collected, or never was"}
	}
	link := Link{Stage: Snapshot, Object: "Snapshot/" + s.Name, State: Done}
	if snapshot.Restored(s) && len(s.Status.Conditions) == 0 {
		link.State, link.Reason, link.Message = Stopped, "Restored", "it came out of a backup, and what came out of a backup is not tested again"
		link.Fix = "build again, or create a Release that names it"
		return link
	}
	if c := meta.FindStatusCondition(s.Status.Conditions, snapshot.IntegrationCondition); c != nil {
		switch c.Reason {
		case "Invalid":
			link.State, link.Reason, link.Message = Stopped, c.Reason, c.Message
			link.Fix = "mend what the message names, and make another Snapshot: build again, or create one with label " + snapshot.TypeLabel + "=" + snapshot.OverrideType
			return link
		case "Canceled":
			link.State, link.Reason, link.Message = Stopped, c.Reason, c.Message
			link.Fix = "look at the Snapshot of the newer build"
			return link
		}
	}
	var omitted []string
	for _, o := range s.Status.Omitted {
		omitted = append(omitted, fmt.Sprintf("%s (%s)", o.Name, o.Reason))
	}
	if len(omitted) > 0 {
		link.Message = "without " + strings.Join(omitted, ", ")
	}
	return link
}

// testLinks are one link for each scenario that tests the Snapshot.
func testLinks(f *SnapshotFacts) []Link {
	s := f.Snapshot
	if s == nil {
		return nil
	}
	tests, err := snapshot.ParseTests(s.Annotations[snapshot.StatusAnnotation])
	if err != nil {
		return []Link{{Stage: Test, Object: "Snapshot/" + s.Name, State: Waiting, Reason: "StatusUnreadable", Message: err.Error()}}
	}
	var links []Link
	for _, test := range tests {
		link := Link{Stage: Test, Object: "IntegrationTestScenario/" + test.Scenario, State: Done}
		switch {
		case !test.Final():
			link.State, link.Reason, link.Message = Waiting, test.Status, test.Details
		case test.Passed():
		case test.Optional:
			link.State, link.Reason, link.Message = Skipped, test.Status, "it is optional: "+test.Details
		default:
			link.State, link.Reason, link.Message = Stopped, test.Status, test.Details
			link.Fix = fmt.Sprintf("mend it and build again, or run the test again: kubectl -n %s label snapshot %s %s=%s",
				s.Namespace, s.Name, snapshot.RerunLabel, test.Scenario)
		}
		links = append(links, link)
	}
	links = append(links, untested(f, tests)...)
	if len(links) > 0 {
		return links
	}
	none := Link{Stage: Test, Object: "Snapshot/" + s.Name, State: Skipped, Message: "no scenario applies"}
	if meta.FindStatusCondition(s.Status.Conditions, snapshot.IntegrationCondition) == nil {
		none.State, none.Message = Waiting, "the Snapshot was not looked at yet: is the controller running?"
	}
	return []Link{none}
}

// untested are scenarios of the application or group without a test of this
// Snapshot, where somebody may expect one.
func untested(f *SnapshotFacts, tests snapshot.Tests) []Link {
	begun := condition(f.Snapshot.Status.Conditions, snapshot.IntegrationCondition)
	var links []Link
	for i := range f.Scenarios {
		scenario := &f.Scenarios[i]
		if tests.Find(scenario.Name) != nil {
			continue
		}
		link := Link{Stage: Test, Object: "IntegrationTestScenario/" + scenario.Name, State: Skipped}
		contexts := condition(scenario.Status.Conditions, snapshot.ContextsCondition)
		switch {
		case snapshot.Applies(scenario, f.Snapshot) && begun.Type != "" && begun.Status != metav1.ConditionTrue:
			link.State, link.Reason, link.Message = Waiting, "NotStarted", "the test was not started yet"
		case contexts.Status == metav1.ConditionFalse:
			link.Reason, link.Message = contexts.Reason, contexts.Message
		default:
			continue
		}
		links = append(links, link)
	}
	return links
}

func condition(conditions []metav1.Condition, kind string) metav1.Condition {
	if c := meta.FindStatusCondition(conditions, kind); c != nil {
		return *c
	}
	return metav1.Condition{Status: metav1.ConditionUnknown}
}
