package scm

import (
	"context"
	"net/http"
)

// said is a status as a host shows it. GitHub and Forgejo call the name
// context; GitLab and Forgejo call the state status.
type said struct {
	ID          int64  `json:"id"`
	Name        string `json:"name"`
	Context     string `json:"context"`
	State       string `json:"state"`
	Status      string `json:"status"`
	Description string `json:"description"`
	TargetURL   string `json:"target_url"`
}

func (s said) name() string {
	if s.Name != "" {
		return s.Name
	}
	return s.Context
}

func (s said) state() string {
	if s.Status != "" {
		return s.Status
	}
	return s.State
}

// board is where a commit's statuses are.
type board struct{ list, post string }

// boards remembers what is there, so that many statuses of a commit cost one
// list.
type boards map[board]map[string]said

// setStatus posts a status under its name, unless the last one of that name
// says the same.
func (a *api) setStatus(ctx context.Context, known boards, at board, want said, body any) error {
	return a.try(ctx, func() error {
		last, ok := known[at]
		if !ok {
			all, err := list[said](ctx, a, at.list)
			if err != nil {
				return err
			}
			last = map[string]said{}
			for _, s := range all {
				if s.ID >= last[s.name()].ID {
					last[s.name()] = s
				}
			}
			known[at] = last
		}
		if has, ok := last[want.name()]; ok && has.state() == want.state() && has.Description == want.Description && has.TargetURL == want.TargetURL {
			return nil
		}
		if _, err := a.do(ctx, http.MethodPost, at.post, body, nil); err != nil {
			delete(known, at) // it may have arrived all the same
			return err
		}
		want.ID = last[want.name()].ID
		last[want.name()] = want
		return nil
	})
}
