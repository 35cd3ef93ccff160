package snapshot

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
)

// CanBeOutdated reports whether a Snapshot's tests may become pointless: those
// of a pull request do when something newer is pushed to it.
func CanBeOutdated(s *v1alpha1.Snapshot) bool {
	kind := s.Labels[TypeLabel]
	return (kind == GroupType || kind == ComponentType && !Push(s)) && s.Annotations[IgnoreSupersession] != "true" && !Restored(s)
}

// Concluded reports whether a Snapshot has its verdict, or will never have one.
func Concluded(s *v1alpha1.Snapshot) bool {
	c := meta.FindStatusCondition(s.Status.Conditions, IntegrationCondition)
	return c != nil && c.Status != "Unknown" && c.Reason != "InProgress"
}

// Outdated says what is newer than a pull request's Snapshot, of the builds
// and Snapshots of its namespace; empty for nothing. A group's is outdated by
// another one of the same group, and when a member is built anew.
func Outdated(s *v1alpha1.Snapshot, builds []tektonv1.PipelineRun, snapshots []v1alpha1.Snapshot) string {
	switch {
	case !CanBeOutdated(s):
		return ""
	case s.Labels[TypeLabel] == ComponentType:
		start, ok := buildStart(s)
		if !ok {
			return ""
		}
		return newerBuild(changeOf(s), start, builds, snapshots)
	}
	for i := range snapshots {
		o := &snapshots[i]
		if o.Labels[TypeLabel] == GroupType && sameParent(s, o.Spec.Application, o.Spec.ComponentGroup) &&
			o.Labels[PRGroupLabel] == s.Labels[PRGroupLabel] && s.Labels[PRGroupLabel] != "" && madeBefore(s, o) {
			return "Snapshot " + o.Name
		}
	}
	for _, member := range ParseGroupInfo(s.Annotations[GroupInfoAnnotation]) {
		i := slices.IndexFunc(snapshots, func(o v1alpha1.Snapshot) bool { return o.Name == member.Snapshot })
		if i < 0 {
			continue
		}
		start, ok := buildStart(&snapshots[i])
		if newer := newerBuild(changeOf(&snapshots[i]), start, builds, nil); ok && newer != "" {
			return newer
		}
	}
	return ""
}

func madeBefore(s, o *v1alpha1.Snapshot) bool {
	return cmp.Or(s.CreationTimestamp.Compare(o.CreationTimestamp.Time), strings.Compare(s.Name, o.Name)) < 0
}

// change is a pull request as one component sees it. In a merge queue it is
// another one: what is queued does not make the tests of the branch pointless.
type change struct {
	component, version, number string
	queued                     bool
}

func changeOf(s *v1alpha1.Snapshot) change {
	return change{s.Labels[ComponentLabel], s.Annotations[VersionKey], s.Labels[PullRequestLabel],
		mergeQueue(s.Annotations[pacTestPrefix+"source-branch"])}
}

// newerBuild names what began after start for the same change.
func newerBuild(of change, start int64, builds []tektonv1.PipelineRun, snapshots []v1alpha1.Snapshot) string {
	if of.number == "" || of.component == "" {
		return ""
	}
	for i := range builds {
		run := &builds[i]
		component, version := ComponentOf(run)
		is := change{component, version, pullRequest(run), mergeQueue(run.Annotations[pacPrefix+"source-branch"])}
		if is == of && !PushRun(run) && run.Annotations[IgnoreSupersession] != "true" && Started(run).UnixMilli() > start {
			return "build " + run.Name
		}
	}
	for i := range snapshots {
		o := &snapshots[i]
		later, ok := buildStart(o)
		if o.Labels[TypeLabel] == ComponentType && changeOf(o) == of && !Push(o) && o.Annotations[IgnoreSupersession] != "true" && ok && later > start {
			return fmt.Sprintf("build %s of Snapshot %s", o.Labels[BuildLabel], o.Name)
		}
	}
	return ""
}

// Cancelled is what a superseded Snapshot's condition says.
func Cancelled(newer string) string {
	return fmt.Sprintf("the tests were cancelled, for %s of the same pull request is newer; annotation %s: \"true\" on a build keeps those of older ones",
		newer, IgnoreSupersession)
}
