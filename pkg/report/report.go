// Package report decides what git hosts are told about tests, without a client
// and without a clock: what is reported on, where, what has not been said yet,
// with whose login, and when to try again.
//
// What has been said is kept in an annotation, by scenario and Snapshot, as the
// time of the line that was said. Whoever reports reads it first and adds to it
// afterwards; hosts are asked what they have before they are told, so that what
// was said and not noted is not said twice.
package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// Annotations that reporting writes, as upstream has them.
const (
	// BooksAnnotation says what was reported: [Books].
	BooksAnnotation = "test.appstudio.openshift.io/git-reporter-status"
	// FailureAnnotation says why something cannot be reported.
	FailureAnnotation = "test.appstudio.openshift.io/git-reporting-failure"
	// BuildAnnotation is the last state of a build that was reported before it
	// had a Snapshot.
	BuildAnnotation = "test.appstudio.openshift.io/snapshot-creation-report"

	pac     = "pipelinesascode.tekton.dev/"
	pacTest = "pac.test.appstudio.openshift.io/"
)

// What is reported besides the statuses of tests.
const (
	BuildInProgress        = "BuildPLRInProgress"
	BuildFailed            = "BuildPLRFailed"
	SnapshotCreationFailed = "SnapshotCreationFailed"
	GroupSnapshotFailed    = snapshot.GroupFailed
	// GroupAwaited is a group that waits for the build of another pull request,
	// and GroupSettled one that waited.
	GroupAwaited = "GroupAwaited"
	GroupSettled = "GroupSettled"
	// Canceled is a test that does not matter any more: a newer one does.
	Canceled = "Canceled"
)

// GroupName stands for the component where there are several.
const GroupName = "pr group"

// Kinds of what is reported on.
const (
	KindSnapshot = "Snapshot"
	KindBuild    = "PipelineRun"
)

// Subject is what is reported on: a Snapshot, or a build that has none yet.
type Subject struct {
	Kind      string
	Namespace string
	Name      string
	Component string // or GroupName
	Comment   string // tells comments on a pull request apart; empty for none
	Created   time.Time
	Order     int64 // of a later build it is greater: its start in milliseconds
	Lines     snapshot.Tests
	Targets   []Target
	Problem   string // why nothing is reported, empty where it can be
	Canceled  bool   // only what was reported already is reported on
	Warning   string // what readers of a report should know of the Snapshot
}

// Target is a commit to report on, and the pull request it is of.
type Target struct {
	Key        string // whose metadata this is: a Snapshot's or a build's name
	Component  string
	Provider   string // as Pipelines as Code names it
	URL        string // of the repository that the pull request is for, or that was pushed to
	SourceURL  string // of the repository that the commit is in
	Commit     string
	Pull       int  // 0 for none
	Push       bool // there is nobody to comment to
	Install    string
	Project    string // GitLab's number of the repository
	SourceProj string // and of the one that the commit is in
}

// OfSnapshot is a Snapshot to report on. A group's is reported to the pull
// request of each of its members, which find looks up by name.
func OfSnapshot(s *v1alpha1.Snapshot, find func(name string) *v1alpha1.Snapshot) Subject {
	subject := Subject{
		Kind: KindSnapshot, Namespace: s.Namespace, Name: s.Name, Component: s.Labels[snapshot.ComponentLabel], Created: s.CreationTimestamp.Time,
		Order: started(s), Warning: s.Annotations[snapshot.CreatedAnnotation],
	}
	// What cannot be read was edited; the controller of tests writes it anew.
	subject.Lines, _ = snapshot.ParseTests(s.Annotations[snapshot.StatusAnnotation])
	if c := meta.FindStatusCondition(s.Status.Conditions, snapshot.IntegrationCondition); c != nil && c.Reason == Canceled {
		subject.cancel(c.LastTransitionTime.Time)
	}
	subject.Comment = comment(subject.Component, s.Spec)
	switch kind := s.Labels[snapshot.TypeLabel]; kind {
	case snapshot.ComponentType:
		subject.awaitGroup(s)
		subject.add(s, s.Name, s.Labels[snapshot.ComponentLabel], snapshot.Push(s))
	case snapshot.GroupType:
		subject.Component, subject.Comment = GroupName, comment(GroupName, s.Spec)
		subject.addMembers(s, find)
	default:
		if kind == "" {
			kind = "manual"
		}
		subject.Problem = fmt.Sprintf("a Snapshot of type %s is of no commit: nothing is reported", kind)
	}
	return subject
}

// comment tells apart the Snapshots that one build has in several groups: none
// is to hide another.
func comment(component string, of v1alpha1.SnapshotSpec) string {
	if of.ComponentGroup == "" {
		return component
	}
	return component + " in " + of.ComponentGroup
}

func started(o metav1.Object) int64 {
	if n, err := strconv.ParseInt(o.GetAnnotations()[snapshot.StartTimeKey], 10, 64); err == nil {
		return n
	}
	return o.GetCreationTimestamp().UnixMilli()
}

// cancel takes back what was said to be going on: else it would be so for ever
// on a commit that nobody tests any more. What was never said stays unsaid.
func (s *Subject) cancel(at time.Time) {
	s.Canceled = true
	for i := range s.Lines {
		if line := &s.Lines[i]; !line.Final() {
			line.Status, line.Details, line.LastUpdateTime = Canceled, "a newer Snapshot is tested instead", at
		}
	}
}

// awaitGroup adds what is with the Snapshot of the pull request's group, while
// another one's build is waited for or it cannot be made, and afterwards that
// this is over.
func (s *Subject) awaitGroup(o *v1alpha1.Snapshot) {
	line := snapshot.Test{
		Scenario: GroupName, Status: GroupAwaited, Details: o.Annotations[snapshot.GroupStatusAnnotation], LastUpdateTime: o.CreationTimestamp.Time,
	}
	switch o.Annotations[snapshot.GroupReasonAnnotation] {
	case "":
		return
	case snapshot.GroupWaiting:
	case snapshot.GroupFailed:
		line.Status = GroupSnapshotFailed
	default:
		if _, said := ReadBooks(o).Scenarios[key(GroupName, o.Name)]; !said {
			return // nobody was told to wait
		}
		line.Status = GroupSettled
	}
	s.Lines = append(s.Lines, line)
}

func (s *Subject) addMembers(group *v1alpha1.Snapshot, find func(string) *v1alpha1.Snapshot) {
	var members []struct {
		Snapshot  string `json:"snapshot"`
		Component string `json:"component"`
	}
	if err := json.Unmarshal([]byte(group.Annotations[snapshot.GroupInfoAnnotation]), &members); err != nil {
		s.Problem = fmt.Sprintf("annotation %s does not say whose tests these are: %v", snapshot.GroupInfoAnnotation, err)
		return
	}
	for _, m := range members {
		if member := find(m.Snapshot); member != nil {
			s.add(member, member.Name, m.Component, false)
		}
	}
	if len(s.Targets) == 0 && s.Problem == "" {
		s.Problem = fmt.Sprintf("of the Snapshots that annotation %s names none is there", snapshot.GroupInfoAnnotation)
	}
}

// OfBuild is a build to report on before it has a Snapshot: every scenario that
// will test it waits, or waits in vain. Its Snapshots will be of the component's
// application, or where the build is of a version of the groups that hold it.
func OfBuild(run *tektonv1.PipelineRun, application string, groups []v1beta2.ComponentGroup, scenarios []v1beta2.IntegrationTestScenario) Subject {
	component := run.Labels[snapshot.ComponentLabel]
	subject := Subject{
		Kind: KindBuild, Namespace: run.Namespace, Name: run.Name, Component: component, Created: run.CreationTimestamp.Time,
		Order: snapshot.Started(run).UnixMilli(),
	}
	state, details, at := buildState(run)
	if state == "" {
		return subject
	}
	future := promised(run, component, application, groups)
	for i := range scenarios {
		s := &scenarios[i]
		if !slices.ContainsFunc(future, func(f *v1alpha1.Snapshot) bool { return snapshot.Applies(s, f) }) {
			continue
		}
		subject.Lines = append(subject.Lines, snapshot.Test{
			Scenario: s.Name, Status: state, Details: details, LastUpdateTime: at, Optional: snapshot.Optional(s),
		})
	}
	slices.SortFunc(subject.Lines, func(a, b snapshot.Test) int { return strings.Compare(a.Scenario, b.Scenario) })
	if len(future) == 1 {
		subject.Comment = comment(component, future[0].Spec) // where there will be several, they comment
	}
	if len(future) > 0 {
		subject.add(future[0], run.Name, component, snapshot.PushRun(run))
	}
	return subject
}

// buildState is what to say of a build, nothing once its Snapshot speaks for
// it.
func buildState(run *tektonv1.PipelineRun) (state, details string, at time.Time) {
	ended := run.CreationTimestamp.Time
	if run.Status.CompletionTime != nil {
		ended = run.Status.CompletionTime.Time
	}
	condition := run.Status.GetCondition(apis.ConditionSucceeded)
	var outcome struct{ Status, Message string }
	if err := json.Unmarshal([]byte(run.Annotations[snapshot.CreatedAnnotation]), &outcome); err != nil {
		outcome.Status = ""
	}
	switch {
	case run.Annotations[snapshot.SnapshotKey] != "" || run.Annotations[snapshot.SnapshotKey+"s"] != "":
		return "", "", time.Time{}
	case condition.IsFalse():
		return BuildFailed, fmt.Sprintf("build %s failed: %s", run.Name, condition.Message), ended
	case outcome.Status == "failed":
		return SnapshotCreationFailed, outcome.Message, ended
	}
	return BuildInProgress, fmt.Sprintf("build %s is in progress", run.Name), snapshot.Started(run)
}

// promised are the Snapshots that a build will have, as far as scenarios ask.
func promised(run *tektonv1.PipelineRun, component, application string, groups []v1beta2.ComponentGroup) []*v1alpha1.Snapshot {
	specs := []v1alpha1.SnapshotSpec{{Application: application}}
	if version := run.Annotations[snapshot.VersionKey]; version != "" {
		specs = nil
		for _, group := range snapshot.Containing(groups, component, version) {
			specs = append(specs, v1alpha1.SnapshotSpec{ComponentGroup: group})
		}
	}
	var all []*v1alpha1.Snapshot
	for _, spec := range specs {
		if spec.Application == "" && spec.ComponentGroup == "" {
			continue
		}
		s := &v1alpha1.Snapshot{
			ObjectMeta: metav1.ObjectMeta{Namespace: run.Namespace, Labels: renamed(run.Labels), Annotations: renamed(run.Annotations)}, Spec: spec,
		}
		s.Labels[snapshot.TypeLabel], s.Labels[snapshot.ComponentLabel] = snapshot.ComponentType, component
		all = append(all, s)
	}
	return all
}

// renamed is what Pipelines as Code wrote, as it is on Snapshots.
func renamed(from map[string]string) map[string]string {
	to := map[string]string{}
	for k, v := range from {
		if rest, ok := strings.CutPrefix(k, pac); ok {
			to[pacTest+rest] = v
		}
	}
	return to
}

// metadata is what Pipelines as Code wrote: as annotations it is whole, as
// labels it is shortened to what a label may hold.
func metadata(o metav1.Object, name string) string {
	return cmp.Or(o.GetAnnotations()[pacTest+name], o.GetLabels()[pacTest+name])
}

func (s *Subject) add(o metav1.Object, key, component string, push bool) {
	t := Target{
		Key: key, Component: component, Provider: strings.ToLower(metadata(o, "git-provider")), Commit: metadata(o, "sha"), Push: push,
		URL:       cmp.Or(metadata(o, "repo-url"), o.GetAnnotations()[snapshot.SourceRepoKey]),
		SourceURL: metadata(o, "source-repo-url"), Install: metadata(o, "installation-id"),
		Project: metadata(o, "target-project-id"), SourceProj: metadata(o, "source-project-id"),
	}
	if n, err := strconv.Atoi(metadata(o, "pull-request")); err == nil && n > 0 {
		t.Pull = n
	}
	var missing []string
	for name, value := range map[string]string{"git-provider": t.Provider, "sha": t.Commit, "repo-url": t.URL} {
		if value == "" {
			missing = append(missing, pacTest+name)
		}
	}
	slices.Sort(missing)
	if t.Provider == "gitlab" && (t.Project == "" || t.SourceProj == "") {
		missing = append(missing, pacTest+"target-project-id and source-project-id")
	}
	if len(missing) > 0 {
		s.Problem = fmt.Sprintf("%s has no label or annotation %s: which commit of which git host to report to is not known", key, strings.Join(missing, ", "))
		return
	}
	s.Targets = append(s.Targets, t)
}
