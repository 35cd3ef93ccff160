package snapshot

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
)

// Nominee is an image for the global candidate list.
type Nominee struct {
	Image, URL, Commit string
	Built              time.Time // when its build began
}

// Candidacy is what became of a Nominee.
type Candidacy string

// Candidacies.
const (
	Promoted  Candidacy = "Success"
	Unchanged Candidacy = "Success: it was promoted already"
	Older     Candidacy = "Skipped: a later build of the component is promoted already"
	Deferred  Candidacy = "Deferred: the ComponentGroup promotes what passed its tests"
	Unlisted  Candidacy = "" // the group's list has no entry for it yet: try again
)

// Marker is annotation added-to-global-candidate-list.
type Marker struct {
	Result          bool   `json:"result"`
	Reason          string `json:"reason"`
	LastUpdatedTime string `json:"lastupdatedtime"`
}

// Mark is the annotation of a build, or of a Snapshot, once its candidates are
// in the list or known not to get there. The worst of all groups counts.
func Mark(candidacies []Candidacy, now time.Time) string {
	m := Marker{Result: true, Reason: string(Promoted), LastUpdatedTime: now.UTC().Format(time.RFC3339)}
	for _, c := range candidacies {
		if c == Older || c == Deferred && m.Result {
			m.Result, m.Reason = false, string(c)
		}
	}
	text, err := json.Marshal(m)
	if err != nil {
		panic(err) // strings always marshal
	}
	return string(text)
}

// Promote makes an image the candidate of a component, unless a later build
// was there first. Somebody who says so by hand is always first.
func Promote(c *v1alpha1.Component, n Nominee, byHand bool) Candidacy {
	start := n.Built.Unix()
	last, err := strconv.ParseInt(c.Annotations[LastBuiltTime], 10, 64)
	if !byHand && err == nil && last > start {
		return Older
	}
	if last == start && c.Status.LastPromotedImage == n.Image && c.Status.LastBuiltCommit == n.Commit {
		return Unchanged
	}
	if c.Annotations == nil {
		c.Annotations = map[string]string{}
	}
	c.Annotations[LastBuiltTime] = strconv.FormatInt(start, 10)
	c.Status.LastPromotedImage, c.Status.LastBuiltCommit = n.Image, n.Commit
	return Promoted
}

// PromoteInGroup makes an image the candidate of a version in a group.
func PromoteInGroup(g *v1beta2.ComponentGroup, component, version string, n Nominee, byHand bool) Candidacy {
	i := slices.IndexFunc(g.Status.GlobalCandidateList, func(s v1beta2.ComponentState) bool { return s.Name == component && s.Version == version })
	if i < 0 {
		return Unlisted
	}
	state := &g.Status.GlobalCandidateList[i]
	built := metav1.NewTime(time.Unix(n.Built.Unix(), 0).UTC())
	if last := state.LastPromotedBuildTime; !byHand && last != nil && last.After(built.Time) {
		return Older
	}
	next := v1beta2.ComponentState{
		Name: component, Version: version, URL: n.URL,
		LastPromotedImage: n.Image, LastPromotedCommit: n.Commit, LastPromotedBuildTime: &built,
	}
	if last := state.LastPromotedBuildTime; last != nil && last.Equal(&built) {
		next.LastPromotedBuildTime = last
	}
	if *state == next {
		return Unchanged
	}
	*state = next
	return Promoted
}

// Align is a group's candidate list as its spec wants it: an entry for each
// version that it names, by name and version, with what was promoted so far.
func Align(g *v1beta2.ComponentGroup) []v1beta2.ComponentState {
	had := map[pair]v1beta2.ComponentState{}
	for _, state := range g.Status.GlobalCandidateList {
		had[pair{state.Name, state.Version}] = state
	}
	var list []v1beta2.ComponentState
	for key := range own(g) {
		state, ok := had[key]
		if !ok {
			state = v1beta2.ComponentState{Name: key.name, Version: key.version}
		}
		list = append(list, state)
	}
	slices.SortFunc(list, func(a, b v1beta2.ComponentState) int {
		return compare(pair{a.Name, a.Version}, pair{b.Name, b.Version})
	})
	return list
}

// NomineeOf is a Snapshot's image as a Nominee.
func NomineeOf(c v1alpha1.SnapshotComponent, built time.Time) Nominee {
	n := Nominee{Image: c.ContainerImage, Built: built}
	if c.Source.Git != nil {
		n.URL, n.Commit = c.Source.Git.URL, c.Source.Git.Revision
	}
	return n
}
