package scm

import (
	"context"
	"fmt"
	"net/http"
)

const (
	gitHubAPI     = "https://api.github.com"
	gitHubVersion = "2022-11-28"
	// gitHubDescription is how long a commit status's description may be.
	gitHubDescription = 140
)

// gitHub sets commit statuses and comments with a token.
type gitHub struct {
	*api
	known boards
}

// NewGitHub is GitHub with a token. Options.URL is https://api.github.com, or
// of an own server https://host/api/v3.
func NewGitHub(o Options) (Host, error) {
	a, err := newAPI(o, gitHubAPI, "")
	if err != nil {
		return nil, err
	}
	a.header = func(_ context.Context, h http.Header) error {
		gitHubHeader(h, o.Token)
		return nil
	}
	return &gitHub{api: a, known: boards{}}, nil
}

func gitHubHeader(h http.Header, token string) {
	h.Set("Accept", "application/vnd.github+json")
	h.Set("X-GitHub-Api-Version", gitHubVersion)
	h.Set("Authorization", "Bearer "+token)
}

// gitHubState is the word for a state in a commit status, which knows no
// optional failure.
func gitHubState(s Status) string {
	switch s.State {
	case Pending, Running:
		return "pending"
	case Success, Warning:
		return "success"
	case Error, Deleted:
		return "error"
	}
	return "failure"
}

func (g *gitHub) SetStatus(ctx context.Context, t Target, s Status) error {
	if err := t.check(); err != nil {
		return err
	}
	want := said{Context: s.Name, State: gitHubState(s), Description: clip(s.Summary, gitHubDescription), TargetURL: s.URL}
	at := board{
		list: fmt.Sprintf("/repos/%s/commits/%s/statuses?per_page=100", t.Repository, t.Commit),
		post: fmt.Sprintf("/repos/%s/statuses/%s", t.Repository, t.Commit),
	}
	return g.setStatus(ctx, g.known, at, want, contextStatus(want))
}

// contextStatus is a status as GitHub and Forgejo want it.
func contextStatus(s said) any {
	return map[string]string{"context": s.Context, "state": s.State, "description": s.Description, "target_url": s.TargetURL}
}

func (g *gitHub) SetComment(ctx context.Context, t Target, c Comment) error {
	if err := t.check(); err != nil {
		return err
	}
	return g.setComment(ctx, issueThread(t, "?per_page=100"), c)
}

// issueThread is where GitHub and Forgejo keep comments: a pull request is an
// issue.
func issueThread(t Target, query string) thread {
	return thread{
		list:   fmt.Sprintf("/repos/%s/issues/%d/comments%s", t.Repository, t.PullRequest, query),
		one:    func(id int64) string { return fmt.Sprintf("/repos/%s/issues/comments/%d", t.Repository, id) },
		method: http.MethodPatch,
	}
}
