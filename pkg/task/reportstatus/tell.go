package reportstatus

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/headrace-ci/headrace/pkg/report"
	"github.com/headrace-ci/headrace/pkg/scm"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// manyScenarios is how many GitLab has room for: it limits the statuses of a
// pipeline.
const manyScenarios = 50

// tell sets a commit's statuses to the lines that are due, and the pull
// request's comment to all lines. A host that refuses statuses is still asked to
// comment, so that somebody sees it.
func (t *task) tell(ctx context.Context, s report.Subject, target report.Target, login report.Login, due snapshot.Tests) error {
	path, err := report.Path(login.Repository.URL)
	if err != nil {
		return err
	}
	where := scm.Target{Repository: path, Commit: target.Commit, PullRequest: target.Pull}
	if source, err := report.Path(target.SourceURL); err == nil && !strings.EqualFold(source, path) {
		where.Source = source
	}
	if login.Provider == report.GitLab {
		where.Repository, where.Source = target.Project, target.SourceProj
	}
	host, err := t.open(target, login, path)
	if err != nil {
		return err
	}
	refused := t.setStatuses(ctx, host, where, s, login.Provider, due)
	if refused != nil && (!scm.Permanent(refused) || is(refused, http.StatusUnauthorized)) {
		return refused
	}
	if s.Comment == "" || target.Pull == 0 || target.Push || login.Provider == report.GitHubApp {
		return refused
	}
	muted, err := t.muted(ctx, target, login.Repository)
	if err != nil || muted {
		return errors.Join(refused, err)
	}
	note := ""
	switch {
	case foreign(where, login.Provider):
		note = "The commit has no statuses: it is in a fork, where the token cannot write them."
	case refused != nil:
		note = "The commit has no statuses: the git host refuses them."
	}
	err = host.SetComment(ctx, where, scm.Comment{Key: s.Comment, Order: s.Order, Body: t.comment(ctx, s, note)})
	return errors.Join(refused, err)
}

func is(err error, code int) bool {
	var e *scm.ResponseError
	return errors.As(err, &e) && e.Code == code
}

// foreign reports whether GitHub takes no statuses: a token cannot write them
// into another's fork.
func foreign(where scm.Target, provider string) bool {
	owner, _, _ := strings.Cut(where.Repository, "/")
	source, _, _ := strings.Cut(where.Source, "/")
	return provider == report.GitHub && source != "" && !strings.EqualFold(owner, source)
}

func (t *task) setStatuses(ctx context.Context, host scm.Host, where scm.Target, s report.Subject, provider string, due snapshot.Tests) error {
	if foreign(where, provider) {
		return nil
	}
	if provider == report.GitLab && len(s.Lines) > manyScenarios {
		return host.SetStatus(ctx, where, t.consolidated(s))
	}
	for _, line := range due {
		if err := host.SetStatus(ctx, where, t.status(ctx, s, line)); err != nil {
			return err
		}
	}
	return nil
}
