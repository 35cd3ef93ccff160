package snapshot

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
)

// Reasons why a PR group has a Snapshot of its own, or has none.
const (
	GroupWaiting   = "Waiting"
	GroupNotNeeded = "NotNeeded"
	GroupCreated   = "Created"
	GroupFailed    = "GroupSnapshotCreationFailed"
)

// GroupDecision is what is to be done about a PR group.
type GroupDecision struct {
	// Snapshot is the one the group should have, without a name; nil for none.
	Snapshot *v1alpha1.Snapshot
	Omitted  []v1alpha1.OmittedComponent
	// At is when the newest of its builds was done, and Seed what it holds:
	// both go into its name.
	At   time.Time
	Seed string
	// Members are the names of the component Snapshots that are told Reason
	// and Note.
	Members      []string
	Reason, Note string
}

// Same reports whether a Snapshot is the one that a decision wants.
func (d GroupDecision) Same(s *v1alpha1.Snapshot) bool {
	return s.Labels[TypeLabel] == GroupType && s.Labels[PRGroupLabel] == d.Snapshot.Labels[PRGroupLabel] &&
		s.Annotations[GroupInfoAnnotation] == d.Snapshot.Annotations[GroupInfoAnnotation] && s.Spec.Application == d.Snapshot.Spec.Application &&
		s.Spec.ComponentGroup == d.Snapshot.Spec.ComponentGroup
}

// DecideGroup says which Snapshot a PR group should have in a whole. builds and
// snapshots are those of the group, of which the whole's and the latest of each
// component count: a group is tested once all of them are built.
func DecideGroup(w Whole, group PRGroup, builds []tektonv1.PipelineRun, snapshots []v1alpha1.Snapshot) GroupDecision {
	latest := latestSnapshots(w, snapshots)
	d := GroupDecision{}
	for _, s := range latest {
		d.Members = append(d.Members, s.Name)
	}
	slices.Sort(d.Members)
	if waiting, failing := unready(w, builds, latest); waiting != "" {
		d.Reason, d.Note = GroupWaiting, fmt.Sprintf("the Snapshot of PR group %q waits: %s", group.Name, waiting)
		return d
	} else if failing != "" {
		d.Reason, d.Note = GroupWaiting, fmt.Sprintf("there is no Snapshot of PR group %q: %s", group.Name, failing)
		return d
	}
	var fresh []v1alpha1.SnapshotComponent
	var members []GroupMember
	var newest *v1alpha1.Snapshot
	for _, key := range sortedPairs(latest) {
		s := latest[key]
		if s.Annotations[PRStatusAnnotation] != "" {
			continue
		}
		fresh = append(fresh, FreshOf(s)...)
		members = append(members, GroupMember{
			Namespace: s.Namespace, Component: key.name, Version: key.version, Build: s.Labels[BuildLabel], Snapshot: s.Name,
			RepoURL: cmp.Or(s.Annotations[pacTestPrefix+"repo-url"], s.Annotations[SourceRepoKey]), PullRequest: s.Labels[PullRequestLabel],
		})
		if newest == nil || newest.CreationTimestamp.Before(&s.CreationTimestamp) {
			newest = s
		}
	}
	if len(members) < 2 {
		d.Reason, d.Note = GroupNotNeeded, fmt.Sprintf(
			"no Snapshot of PR group %q is needed: it takes open pull requests from branches of that name to at least two components of %s %s, and there are %d",
			group.Name, w.Kind(), w.Name(), len(members))
		return d
	}
	d.make(w, group, newest, fresh, members)
	return d
}

// make fills in the Snapshot.
func (d *GroupDecision) make(w Whole, group PRGroup, newest *v1alpha1.Snapshot, fresh []v1alpha1.SnapshotComponent, members []GroupMember) {
	info, err := json.Marshal(members)
	if err != nil {
		panic(err) // strings always marshal
	}
	if len(info) > maxInfo {
		d.Reason, d.Note = GroupFailed, fmt.Sprintf("the Snapshot of PR group %q cannot be made: %d components are too many for annotation %s",
			group.Name, len(members), GroupInfoAnnotation)
		return
	}
	s := &v1alpha1.Snapshot{
		ObjectMeta: metav1.ObjectMeta{Namespace: newest.Namespace, Labels: map[string]string{}, Annotations: map[string]string{}},
		Spec:       v1alpha1.SnapshotSpec{Application: w.Application, ComponentGroup: w.ComponentGroup},
	}
	s.Spec.Components, d.Omitted = w.Compose(fresh...)
	for key, value := range newest.Labels {
		if strings.HasPrefix(key, pacTestPrefix) {
			s.Labels[key] = value
		}
	}
	for key, value := range newest.Annotations {
		if strings.HasPrefix(key, pacTestPrefix) || key == spanContext {
			s.Annotations[key] = value
		}
	}
	s.Labels[TypeLabel], s.Labels[PRGroupLabel] = GroupType, group.Sum()
	s.Annotations[PRGroupAnnotation], s.Annotations[GroupInfoAnnotation] = group.Name, string(info)
	s.Annotations[WorkflowAnnotation] = "pull-request"
	w.label(s)
	explain(s, d.Omitted)
	d.Snapshot, d.At, d.Seed = s, newest.CreationTimestamp.Time, w.Kind()+"/"+w.Name()+"/"+string(info)
	d.Reason = GroupCreated
}

// maxInfo bounds annotation group-test-info.
const maxInfo = 96 << 10

// latestSnapshots are the component Snapshots of a whole, of each component
// the one whose build began last.
func latestSnapshots(w Whole, snapshots []v1alpha1.Snapshot) map[pair]*v1alpha1.Snapshot {
	latest := map[pair]*v1alpha1.Snapshot{}
	for i := range snapshots {
		s := &snapshots[i]
		key := pair{s.Labels[ComponentLabel], s.Annotations[VersionKey]}
		if s.Labels[TypeLabel] != ComponentType || Push(s) || !w.Of(s) || !w.Has(key.name, key.version) {
			continue
		}
		had := latest[key]
		if had == nil || cmp.Or(BuildTime(had).Compare(BuildTime(s)), strings.Compare(had.Name, s.Name)) < 0 {
			latest[key] = s
		}
	}
	return latest
}

func sortedPairs[V any](m map[pair]V) []pair {
	keys := make([]pair, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, compare)
	return keys
}

// unready says which builds a group waits for, and which must be built again.
func unready(w Whole, builds []tektonv1.PipelineRun, latest map[pair]*v1alpha1.Snapshot) (waiting, failing string) {
	last := map[pair]*tektonv1.PipelineRun{}
	for i := range builds {
		run := &builds[i]
		name, version := ComponentOf(run)
		key := pair{name, version}
		if PushRun(run) || !w.Has(name, version) || run.Annotations[PRStatusAnnotation] != "" {
			continue
		}
		had := last[key]
		if had == nil || cmp.Or(had.CreationTimestamp.Compare(run.CreationTimestamp.Time), strings.Compare(had.Name, run.Name)) < 0 {
			last[key] = run
		}
	}
	var wait, fail []string
	for _, key := range sortedPairs(last) {
		run, who := last[key], key.name
		if key.version != "" {
			who += " " + key.version
		}
		s := latest[key]
		outcome, _ := ParseOutcome(run.Annotations[CreatedAnnotation])
		switch {
		case s != nil && !BuildTime(s).Before(Started(run)):
		case !run.IsDone():
			wait = append(wait, fmt.Sprintf("build %s of component %s is running", run.Name, who))
		case run.Status.GetCondition(apis.ConditionSucceeded).Status == corev1.ConditionFalse:
			fail = append(fail, fmt.Sprintf("build %s of component %s failed: push to its pull request, or comment /retest there", run.Name, who))
		case outcome.Status == Failure:
			fail = append(fail, fmt.Sprintf("build %s of component %s has no Snapshot: %s", run.Name, who, outcome.Message))
		case outcome.Status == Success:
			wait = append(wait, fmt.Sprintf("the Snapshot of build %s of component %s is not there: if it was deleted, comment /retest on its pull request", run.Name, who))
		default:
			wait = append(wait, fmt.Sprintf("build %s of component %s has no Snapshot yet", run.Name, who))
		}
	}
	return clip(strings.Join(wait, "; ")), clip(strings.Join(fail, "; "))
}
