package report

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headrace-ci/headrace/pkg/snapshot"
)

const (
	// settle is how long a test that goes on may wait to be told, so that what
	// follows at once is told with it.
	settle = 5 * time.Second
	// transientFor is how long after a line it is tried to tell it to a host
	// that is not well, permanentFor to one that refuses.
	transientFor = 3 * time.Hour
	permanentFor = 24 * time.Hour
	// permanentPause is how often to ask again what was refused.
	permanentPause = time.Hour
	firstPause     = 30 * time.Second
	longestPause   = 15 * time.Minute
	// mostAttempts are counted: the pause is the longest long before.
	mostAttempts = 20
)

// Books say what was reported: for each scenario and Snapshot the time of the
// line. Upstream's, and what failed by PaC Repository besides.
type Books struct {
	Scenarios map[string]Entry   `json:"scenarios"`
	Failures  map[string]Failure `json:"failures,omitempty"`
}

// Entry is what was last reported.
type Entry struct {
	LastUpdateTime time.Time `json:"lastUpdateTime"`
	Text           string    `json:"text,omitempty"` // of a line that has no time of its own
}

// OfGroup reports whether a line is about the group of a pull request, not
// about a test. It has no time of its own: its text tells whether it is new.
func OfGroup(line snapshot.Test) bool {
	return line.Status == GroupAwaited || line.Status == GroupSettled || line.Status == GroupSnapshotFailed
}

func text(line snapshot.Test) string {
	if !OfGroup(line) {
		return ""
	}
	return line.Status + ": " + line.Details
}

// Failure is what became of the last attempt.
type Failure struct {
	Message    string    `json:"message"`
	Permanent  bool      `json:"permanent,omitempty"`
	Attempts   int       `json:"attempts"`
	NotBefore  time.Time `json:"notBefore"`
	Repository string    `json:"repository,omitempty"` // fingerprint of the PaC Repository at the time
}

// ReadBooks reads an object's annotation. What cannot be read is taken for
// empty: hosts know what they were told. To delete the annotation that tells of
// failures is how a person asks for another attempt: nothing holds it up then.
func ReadBooks(o metav1.Object) Books {
	var b Books
	if err := json.Unmarshal([]byte(o.GetAnnotations()[BooksAnnotation]), &b); err != nil {
		b = Books{}
	}
	if b.Scenarios == nil {
		b.Scenarios = map[string]Entry{}
	}
	if b.Failures == nil {
		b.Failures = map[string]Failure{}
	}
	if o.GetAnnotations()[FailureAnnotation] == "" {
		for name, f := range b.Failures {
			f.Message, f.NotBefore = "", time.Time{}
			b.Failures[name] = f
		}
	}
	return b
}

// String is the annotation.
func (b Books) String() string {
	raw, err := json.Marshal(b)
	if err != nil {
		panic(err) // strings and times always marshal
	}
	return string(raw)
}

// Text is what [FailureAnnotation] says of the failures, empty when there is
// none.
func (b Books) Text() string {
	var texts []string
	for _, f := range b.Failures {
		if f.Message != "" {
			texts = append(texts, f.Message)
		}
	}
	slices.Sort(texts)
	return strings.Join(texts, "; ")
}

func key(scenario, target string) string { return scenario + "-" + target }

// Note writes down that lines were reported.
func (b Books) Note(t Target, lines snapshot.Tests) {
	for _, line := range lines {
		b.Scenarios[key(line.Scenario, t.Key)] = Entry{LastUpdateTime: line.LastUpdateTime, Text: text(line)}
	}
}

// Fail writes down an attempt that failed, and when to make another: after what
// the host asked for, and at least a pause that grows.
func (b Books) Fail(repository Repository, message string, permanent bool, asked time.Duration, now time.Time) {
	f := Failure{Message: message, Permanent: permanent, Attempts: min(max(b.Failures[repository.Name].Attempts, 0), mostAttempts) + 1, Repository: repository.Fingerprint}
	pause := permanentPause
	if !permanent {
		pause = max(asked, min(firstPause<<(f.Attempts-1), longestPause))
	}
	f.NotBefore = now.Add(pause).UTC().Truncate(time.Second)
	b.Failures[repository.Name] = f
}

// Due are the lines that a target has not been told. What is older than a day
// is history: nobody waits for it, not even when reporting is switched on late.
func (s Subject) Due(b Books, t Target, now time.Time) snapshot.Tests {
	var due snapshot.Tests
	for _, line := range s.Lines {
		said, ok := b.Scenarios[key(line.Scenario, t.Key)]
		if s.Canceled && !ok {
			continue
		}
		if (line.LastUpdateTime.After(said.LastUpdateTime) || text(line) != said.Text) && now.Sub(line.LastUpdateTime) < permanentFor {
			due = append(due, line)
		}
	}
	return due
}

// wait is how long to wait before due lines are told: a moment while nothing
// has ended.
func wait(due snapshot.Tests, now time.Time) time.Duration {
	var longest time.Duration
	for _, line := range due {
		left := settle - now.Sub(line.LastUpdateTime)
		if left <= 0 || Final(line) {
			return 0
		}
		longest = max(longest, left)
	}
	return longest
}

// Final reports whether a line is the last of its test.
func Final(line snapshot.Test) bool { return line.Final() && line.Status != BuildInProgress }

// hold is how long a failure holds up another attempt; false is for ever, or
// until something changes.
func (f Failure) hold(due snapshot.Tests, repository Repository, now time.Time) (time.Duration, bool) {
	if f.Attempts == 0 || f.Repository != repository.Fingerprint {
		return 0, true
	}
	last := slices.MaxFunc(due, func(a, b snapshot.Test) int { return a.LastUpdateTime.Compare(b.LastUpdateTime) })
	limit := transientFor
	if f.Permanent {
		limit = permanentFor
	}
	if f.NotBefore.Sub(last.LastUpdateTime) > limit {
		return 0, false
	}
	return max(0, f.NotBefore.Sub(now)), true
}
