package scm

import (
	"context"
	"fmt"
	"net/http"
)

// forgejo sets commit statuses and comments with a token. Gitea has the same
// API.
type forgejo struct {
	*api
	known boards
}

// NewForgejo is a Forgejo or Gitea with a token. Options.URL is https://host.
func NewForgejo(o Options) (Host, error) {
	a, err := newAPI(o, "", "/api/v1")
	if err != nil {
		return nil, err
	}
	a.header = func(_ context.Context, h http.Header) error {
		h.Set("Authorization", "token "+o.Token)
		return nil
	}
	return &forgejo{api: a, known: boards{}}, nil
}

// forgejoState is the word for a state. A warning there is a failure that
// blocks nothing.
func forgejoState(s Status) string {
	switch {
	case !s.State.final():
		return "pending"
	case s.State == Success || s.State == Warning:
		return "success"
	case s.Optional && s.State != Cancelled:
		return "warning"
	case s.State == Error || s.State == Deleted:
		return "error"
	}
	return "failure"
}

// SetStatus tells the repository of the pull request, or where that one does
// not take it the one its branch is in.
func (f *forgejo) SetStatus(ctx context.Context, t Target, s Status) error {
	if err := t.check(); err != nil {
		return err
	}
	want := said{Context: s.Name, State: forgejoState(s), Description: s.Summary, TargetURL: s.URL}
	return f.anywhere(t, func(repository string) error {
		at := board{
			list: fmt.Sprintf("/repos/%s/commits/%s/statuses?limit=50", repository, t.Commit),
			post: fmt.Sprintf("/repos/%s/statuses/%s", repository, t.Commit),
		}
		return f.setStatus(ctx, f.known, at, want, contextStatus(want))
	})
}

func (f *forgejo) SetComment(ctx context.Context, t Target, c Comment) error {
	if err := t.check(); err != nil {
		return err
	}
	return f.setComment(ctx, issueThread(t, ""), c)
}

// anywhere tries the target's repository first and then the fork. Of two
// refusals the first says more.
func (a *api) anywhere(t Target, set func(repository string) error) error {
	err := set(t.Repository)
	if err == nil || !Permanent(err) || code(err, http.StatusUnauthorized) || t.Source == "" || t.Source == t.Repository {
		return err
	}
	if set(t.Source) == nil {
		return nil
	}
	return err
}
