package scm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// gitLabDescription is how long a commit status's description may be.
const gitLabDescription = 255

// gitLab sets commit statuses and notes with a token.
type gitLab struct {
	*api
	known boards
}

// NewGitLab is GitLab with a token. Options.URL is https://host.
func NewGitLab(o Options) (Host, error) {
	a, err := newAPI(o, "https://gitlab.com", "/api/v4")
	if err != nil {
		return nil, err
	}
	a.header = func(_ context.Context, h http.Header) error {
		h.Set("PRIVATE-TOKEN", o.Token)
		return nil
	}
	return &gitLab{api: a, known: boards{}}, nil
}

// gitLabState is the word for a state. What is skipped does not fail a
// pipeline.
func gitLabState(s Status) string {
	switch s.State {
	case Pending:
		return "pending"
	case Running:
		return "running"
	case Success, Warning:
		return "success"
	case Deleted, Cancelled:
		return "canceled"
	}
	if s.Optional {
		return "skipped"
	}
	return "failed"
}

// SetStatus tells the target project, or where that one does not take it the
// source project: a fork's commit need not be known in the target.
func (g *gitLab) SetStatus(ctx context.Context, t Target, s Status) error {
	if err := t.check(); err != nil {
		return err
	}
	want := said{Name: s.Name, Status: gitLabState(s), Description: clip(s.Summary, gitLabDescription), TargetURL: s.URL}
	body := map[string]string{"name": want.Name, "state": want.Status, "description": want.Description, "target_url": want.TargetURL}
	return g.anywhere(t, func(project string) error {
		id := url.PathEscape(project)
		at := board{
			list: fmt.Sprintf("/projects/%s/repository/commits/%s/statuses?per_page=100", id, t.Commit),
			post: fmt.Sprintf("/projects/%s/statuses/%s", id, t.Commit),
		}
		err := g.setStatus(ctx, g.known, at, want, body)
		// It has the state already, or one that it does not leave.
		var refused *ResponseError
		if errors.As(err, &refused) && refused.Code == http.StatusBadRequest && strings.Contains(refused.Message, "Cannot transition") {
			return nil
		}
		return err
	})
}

func (g *gitLab) SetComment(ctx context.Context, t Target, c Comment) error {
	if err := t.check(); err != nil {
		return err
	}
	notes := fmt.Sprintf("/projects/%s/merge_requests/%d/notes", url.PathEscape(t.Repository), t.PullRequest)
	return g.setComment(ctx, thread{
		list:   notes + "?per_page=100&sort=asc&order_by=created_at",
		one:    func(id int64) string { return fmt.Sprintf("%s/%d", notes, id) },
		method: http.MethodPut,
	}, c)
}
