package snapshot

import (
	"fmt"
	"strconv"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
)

// Values of annotation pr-status.
const (
	PRMerged = "merged"
	PRClosed = "closed"
)

// Merges reports whether a build is of the push that merged a pull request.
func Merges(run metav1.Object) bool {
	return PushRun(run) && run.GetLabels()[pacPrefix+"pull-request"] != ""
}

// MergedBy reports whether a Snapshot is of the pull request that a build's
// push merged: one of the same component, or of the same repository.
func MergedBy(s *v1alpha1.Snapshot, run metav1.Object) bool {
	labels := run.GetLabels()
	if !Merges(run) || Push(s) || s.Labels[TypeLabel] != ComponentType || s.Annotations[PRStatusAnnotation] != "" ||
		s.Labels[PullRequestLabel] != labels[pacPrefix+"pull-request"] {
		return false
	}
	component, version := ComponentOf(run)
	return s.Labels[ComponentLabel] == component && s.Annotations[VersionKey] == version ||
		sameRepository(s.Labels, pacTestPrefix, labels)
}

// MergedBuild reports whether a build is of the pull request that another
// build's push merged.
func MergedBuild(of, run metav1.Object) bool {
	if !Merges(run) || PushRun(of) || of.GetAnnotations()[PRStatusAnnotation] != "" || pullRequest(of) != pullRequest(run) {
		return false
	}
	component, version := ComponentOf(run)
	ofComponent, ofVersion := ComponentOf(of)
	return ofComponent == component && ofVersion == version || sameRepository(of.GetLabels(), pacPrefix, run.GetLabels())
}

// sameRepository compares where the source of something, whose labels have a
// prefix, and of a build is.
func sameRepository(labels map[string]string, prefix string, run map[string]string) bool {
	org, repository := run[pacPrefix+"url-org"], run[pacPrefix+"url-repository"]
	return org != "" && repository != "" && labels[prefix+"url-org"] == org && labels[prefix+"url-repository"] == repository
}

// BuildPullRequestLabels are the labels that builds of a build's pull request
// have, among others.
func BuildPullRequestLabels(run metav1.Object) map[string]string {
	return map[string]string{RunTypeLabel: BuildRun, pacPrefix + "pull-request": pullRequest(run)}
}

// PullRequestLabels are the labels that Snapshots of a build's pull request
// have, among others.
func PullRequestLabels(run metav1.Object) map[string]string {
	return map[string]string{PullRequestLabel: pullRequest(run)}
}

// SnapshotCondition is a Component's: whether its last push build got a
// Snapshot.
const SnapshotCondition = "SnapshotCreated"

// ComponentCondition says on a Component what became of a push build.
func ComponentCondition(run *tektonv1.PipelineRun, o Outcome) metav1.Condition {
	c := metav1.Condition{Type: SnapshotCondition, Status: metav1.ConditionTrue, Reason: Created,
		Message: "the last push build got its Snapshot"}
	if o.Status == Failure {
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, o.Reason, clip(fmt.Sprintf("push build %s has no Snapshot: %s", run.Name, o.Message))
	}
	return c
}

// Tells reports whether a build may speak for its component: not when a later
// one was promoted.
func Tells(c *v1alpha1.Component, run *tektonv1.PipelineRun) bool {
	last, err := strconv.ParseInt(c.Annotations[LastBuiltTime], 10, 64)
	return err != nil || last <= Started(run).Unix()
}
