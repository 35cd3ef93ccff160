// Package scm tells git hosts what became of a commit: GitHub by check runs
// (as an App) or commit statuses (with a token), GitLab and Forgejo or Gitea by
// commit statuses; and all but the App by one comment on the pull request.
//
// Everything can be done twice: what the host has already is looked up first,
// and nothing is written that would change nothing. A write whose answer was
// lost is looked up again before it is repeated, so that a crash leaves no
// duplicate.
//
// A client waits where the host asks it to, for as long as Options.Patience
// allows, and then gives up with the host's answer: [RetryAfter] says when to
// come back, and [Permanent] that it is no use. Tokens are in no error.
//
// The wire formats are those of the hosts' REST documentation: GitHub's
// 2022-11-28, GitLab's v4, Forgejo's and Gitea's v1. A client is for one
// goroutine.
package scm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// State is what became of a test. Each host has words of its own for it.
type State string

// What can become of a test.
const (
	Pending   State = "pending" // has not started
	Running   State = "running"
	Success   State = "success"
	Warning   State = "warning" // passed, with something to look at
	Failure   State = "failure"
	Error     State = "error"     // could not be judged
	Deleted   State = "deleted"   // its run is gone
	Cancelled State = "cancelled" // there was nothing to test
)

// final reports whether a state is the last.
func (s State) final() bool { return s != Pending && s != Running }

// Status is what a commit is told about one test.
type Status struct {
	Name       string // unique among the commit's
	ExternalID string // ours, for check runs
	State      State
	Optional   bool   // a failure must not look like one
	Title      string // two words
	Summary    string // one line
	Text       string // Markdown, for check runs
	URL        string // where to read more
	Started    time.Time
	Completed  time.Time
}

// Comment is the one comment of a kind on a pull request. It is found again by
// a mark that readers do not see.
type Comment struct {
	Key   string // tells it from the others of ours
	Order int64  // a comment of a greater order is newer, and stays
	Body  string // Markdown
}

// Target is what is reported on.
type Target struct {
	Repository  string // as owner/name; for GitLab the project's number or path
	Source      string // likewise, of a pull request's branch; empty when it is no fork
	Commit      string
	PullRequest int // 0 for none
}

// Host is a git host.
type Host interface {
	// SetStatus makes the commit say what the status is, unless it does.
	SetStatus(context.Context, Target, Status) error
	// SetComment makes the pull request have the comment, unless it does.
	SetComment(context.Context, Target, Comment) error
}

// Options are what clients have in common.
type Options struct {
	URL      string // of the API, without the version; empty for the public one
	Token    string
	Patience time.Duration // how long to wait, all in all, where the host asks for it
	HTTP     *http.Client  // nil for the usual one
	Now      func() time.Time
	Sleep    func(context.Context, time.Duration) error // nil for real time
}

var (
	commitID = regexp.MustCompile(`^[0-9a-f]{7,64}$`)
	pathPart = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
)

// check refuses what would lead to another address than the one meant.
func (t Target) check() error {
	if !commitID.MatchString(t.Commit) {
		return fmt.Errorf("%q is no commit: want its hash in hexadecimal digits", t.Commit)
	}
	for _, repository := range []string{t.Repository, t.Source} {
		if repository == "" && t.Repository != "" {
			continue
		}
		for part := range strings.SplitSeq(repository, "/") {
			if !pathPart.MatchString(part) || strings.Trim(part, ".") == "" {
				return fmt.Errorf("%q is no repository: want owner/name", repository)
			}
		}
	}
	return nil
}

// ErrNoComments is what a host says that does not comment.
var ErrNoComments = errors.New("this host takes no comments, it has check runs")

// clip shortens text to at most n characters.
func clip(text string, n int) string {
	runes := []rune(text)
	if len(runes) <= n {
		return text
	}
	return string(runes[:n-1]) + "…"
}
