package snapshot

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
)

// Limits are how many Snapshots a namespace keeps.
type Limits struct {
	PullRequest  int // of pull requests
	Other        int // of everything else
	PerComponent int // of pushes to one component, whatever the others
}

// DefaultLimits are upstream's.
var DefaultLimits = Limits{PullRequest: 512, Other: 512, PerComponent: 5}

// ShippedLimits are those of bundles/install. They leave room in a namespace
// that may hold 1024 Snapshots, as upstream's hosted ones may.
var ShippedLimits = Limits{PullRequest: 70, Other: 640, PerComponent: 5}

const (
	// awaitsFor is for how long a Snapshot of a pull request is kept for the
	// group Snapshot that it will be part of.
	awaitsFor = 24 * time.Hour
	// unreadFor is for how long a Snapshot is kept whose author asked for it in
	// words that nobody can read.
	unreadFor = 24 * time.Hour
)

// Candidate is what decides whether a Snapshot is kept: little enough to hold
// for every Snapshot of a namespace.
type Candidate struct {
	Name            string
	UID             types.UID
	ResourceVersion string
	Created         time.Time
	component       string // what is built, and for what; empty for what is of no one component
	pullRequest     bool
	over            bool // of a pull request that is canceled or no longer open
	awaitsGroup     bool
	passed          bool
	keep            string
}

// NewCandidate reads a Snapshot.
func NewCandidate(s *v1alpha1.Snapshot) Candidate {
	c := Candidate{
		Name: s.Name, UID: s.UID, ResourceVersion: s.ResourceVersion, Created: s.CreationTimestamp.Time,
		pullRequest: !Push(s) && s.Labels[TypeLabel] != OverrideType,
		passed: meta.IsStatusConditionTrue(s.Status.Conditions, TestsSucceededCondition) ||
			meta.IsStatusConditionTrue(s.Status.Conditions, "HACBSStudioTestSucceeded"),
		keep: strings.TrimSpace(s.Annotations[KeepSnapshot]),
	}
	if component := s.Labels[ComponentLabel]; s.Labels[TypeLabel] == ComponentType && component != "" {
		c.component = strings.Join([]string{s.Spec.Application, s.Spec.ComponentGroup, component, s.Annotations[VersionKey]}, "\x00")
	}
	if c.pullRequest {
		integration := meta.FindStatusCondition(s.Status.Conditions, IntegrationCondition)
		c.over = s.Annotations[PRStatusAnnotation] != "" || integration != nil && integration.Reason == "Canceled"
		c.awaitsGroup = s.Labels[TypeLabel] == ComponentType && s.Annotations[GroupReasonAnnotation] == GroupWaiting
	}
	return c
}

// Collect chooses from all Snapshots of a namespace those to delete, oldest
// first. bound are the names of those that Releases name. Never chosen is what
// is bound, what its annotation keeps, and of each component the newest that
// was pushed and passed, and the newest pushed ones up to the limit; all of
// them count. Of the rest the newest stay, up to the limits.
func Collect(all []Candidate, bound map[string]bool, limits Limits, now time.Time) []Candidate {
	sorted := slices.Clone(all)
	slices.SortFunc(sorted, func(a, b Candidate) int { // newest first
		return cmp.Or(b.Created.Compare(a.Created), strings.Compare(b.Name, a.Name))
	})
	pullRequests, others := limits.PullRequest, limits.Other
	held := latest(sorted, limits.PerComponent)
	var rest []Candidate
	for _, c := range sorted {
		switch {
		// Even of a pull request: it was released.
		case bound[c.Name]:
			others--
		case c.kept(now) && c.pullRequest:
			pullRequests--
		case c.kept(now), held[c.Name]:
			others--
		default:
			rest = append(rest, c)
		}
	}
	var doomed []Candidate
	for _, c := range rest {
		switch {
		case c.pullRequest && !c.over && pullRequests > 0:
			pullRequests--
		case c.pullRequest && !c.over && c.awaitsGroup && now.Sub(c.Created) < awaitsFor:
			pullRequests--
		case !c.pullRequest && others > 0:
			others--
		default:
			doomed = append(doomed, c)
		}
	}
	slices.Reverse(doomed)
	return doomed
}

// latest are the names of the pushed Snapshots of each component that are kept
// however many others there are.
func latest(newestFirst []Candidate, perComponent int) map[string]bool {
	held, count, good := map[string]bool{}, map[string]int{}, map[string]bool{}
	for _, c := range newestFirst {
		if c.pullRequest || c.component == "" {
			continue
		}
		if count[c.component]++; count[c.component] <= perComponent {
			held[c.Name] = true
		}
		if c.passed && !good[c.component] {
			held[c.Name], good[c.component] = true, true
		}
	}
	return held
}

// kept reports whether the annotation keeps a Snapshot.
func (c Candidate) kept(now time.Time) bool {
	age := now.Sub(c.Created)
	d, forever, ok := keepFor(c.keep)
	if !ok {
		return age < unreadFor
	}
	return forever || age < d
}

// KeepUnread reports whether nobody can read for how long the annotation keeps
// a Snapshot.
func (c Candidate) KeepUnread() bool {
	_, _, ok := keepFor(c.keep)
	return !ok
}

var days = regexp.MustCompile(`^[0-9]{1,5}d$`)

// keepFor reads the annotation: true, or a duration of Go's, or of whole days.
func keepFor(text string) (d time.Duration, forever, ok bool) {
	switch {
	case text == "" || text == "false":
		return 0, false, true
	case text == "true":
		return 0, true, true
	case days.MatchString(text):
		n, err := strconv.Atoi(strings.TrimSuffix(text, "d"))
		return time.Duration(n) * 24 * time.Hour, false, err == nil
	}
	d, err := time.ParseDuration(text)
	return d, false, err == nil
}
