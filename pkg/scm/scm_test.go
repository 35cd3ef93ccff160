package scm_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/pkg/scm"
	fixture "github.com/headrace-ci/headrace/test/fixture/scm"
)

const (
	commit = "0123456789abcdef0123456789abcdef01234567"
	token  = "s3cr3t-token"
	me     = 7
)

// clock is time that passes only where somebody waits.
type clock struct {
	now   time.Time
	slept []time.Duration
}

func (c *clock) sleep(_ context.Context, d time.Duration) error {
	c.now, c.slept = c.now.Add(d), append(c.slept, d)
	return nil
}

// place is a git host, and how to report to it.
type place struct {
	*fixture.Server
	clock  *clock
	target scm.Target
	open   func(scm.Options) (scm.Host, error)
	app    bool
}

func (p *place) client(t *testing.T, patience time.Duration) scm.Host {
	t.Helper()
	host, err := p.open(scm.Options{
		URL: p.URL, Token: token, HTTP: p.HTTP, Patience: patience,
		Now: func() time.Time { return p.clock.now }, Sleep: p.clock.sleep,
	})
	if err != nil {
		t.Fatal(err)
	}
	return host
}

func newPlace(s *fixture.Server, repository string) *place {
	p := &place{Server: s, clock: &clock{now: time.Unix(1_700_000_000, 0)}, target: scm.Target{Repository: repository, Commit: commit, PullRequest: 5}}
	s.Now = func() time.Time { return p.clock.now }
	s.Tokens[token] = fixture.Token{User: me, Writes: []string{repository}}
	s.Commits[repository] = []string{commit}
	return p
}

// hosts are all there are.
var hosts = map[string]func(*testing.T) *place{
	"GitHub": func(t *testing.T) *place {
		p := newPlace(fixture.GitHub(t), "shop/web")
		p.open = scm.NewGitHub
		return p
	},
	"GitHub App": func(t *testing.T) *place {
		app := fixture.GitHubApp(t)
		app.Installed = []string{"shop/web"}
		p := newPlace(app.Server, "shop/web")
		p.app = true
		p.open = func(o scm.Options) (scm.Host, error) {
			return scm.NewGitHubApp(o, scm.App{ID: app.ID, Key: app.Key, Installation: app.Installation, Repository: "shop/web"})
		}
		return p
	},
	"GitLab": func(t *testing.T) *place {
		p := newPlace(fixture.GitLab(t), "42")
		p.open = scm.NewGitLab
		return p
	},
	"Forgejo": func(t *testing.T) *place {
		p := newPlace(fixture.Forgejo(t), "shop/web")
		p.open = scm.NewForgejo
		return p
	},
}

func status(state scm.State) scm.Status {
	return scm.Status{
		Name: "Integration Service / smoke / web", ExternalID: "smoke-web", State: state, Title: "Title",
		Summary: "Integration test for component web", Text: "| a table |", URL: "https://console.example.com/smoke",
		Started: time.Unix(1000, 0), Completed: time.Unix(1100, 0),
	}
}

// TestWords is what each host is told for each state, required and optional.
func TestWords(t *testing.T) {
	want := map[string]map[scm.State][2]string{
		"GitHub": {
			scm.Pending: {"pending", "pending"}, scm.Running: {"pending", "pending"}, scm.Success: {"success", "success"},
			scm.Warning: {"success", "success"}, scm.Failure: {"failure", "failure"}, scm.Error: {"error", "error"},
			scm.Deleted: {"error", "error"}, scm.Cancelled: {"failure", "failure"},
		},
		"GitHub App": {
			scm.Pending: {"queued", "queued"}, scm.Running: {"in_progress", "in_progress"}, scm.Success: {"completed/success", "completed/success"},
			scm.Warning: {"completed/neutral", "completed/neutral"}, scm.Failure: {"completed/failure", "completed/neutral"},
			scm.Error: {"completed/failure", "completed/neutral"}, scm.Deleted: {"completed/failure", "completed/neutral"},
			scm.Cancelled: {"completed/cancelled", "completed/cancelled"},
		},
		"GitLab": {
			scm.Pending: {"pending", "pending"}, scm.Running: {"running", "running"}, scm.Success: {"success", "success"},
			scm.Warning: {"success", "success"}, scm.Failure: {"failed", "skipped"}, scm.Error: {"failed", "skipped"},
			scm.Deleted: {"canceled", "canceled"}, scm.Cancelled: {"canceled", "canceled"},
		},
		"Forgejo": {
			scm.Pending: {"pending", "pending"}, scm.Running: {"pending", "pending"}, scm.Success: {"success", "success"},
			scm.Warning: {"success", "success"}, scm.Failure: {"failure", "warning"}, scm.Error: {"error", "warning"},
			scm.Deleted: {"error", "warning"}, scm.Cancelled: {"failure", "failure"},
		},
	}
	for name, open := range hosts {
		t.Run(name, func(t *testing.T) {
			for state, words := range want[name] {
				for i, word := range words {
					p := open(t)
					s := status(state)
					s.Optional = i == 1
					if err := p.client(t, 0).SetStatus(t.Context(), p.target, s); err != nil {
						t.Fatal(err)
					}
					got := p.Statuses()
					if len(got) != 1 || got[0].State != word || got[0].Name != s.Name || got[0].URL != s.URL || got[0].Description != s.Summary {
						t.Errorf("%s, optional %t: the host was told %+v, want %q", state, s.Optional, got, word)
					}
				}
			}
		})
	}
}

// TestCheckRun goes through a check run's life, and that of its successor.
func TestCheckRun(t *testing.T) {
	p := hosts["GitHub App"](t)
	for _, state := range []scm.State{scm.Pending, scm.Running, scm.Failure, scm.Failure, scm.Running, scm.Success} {
		if err := p.client(t, 0).SetStatus(t.Context(), p.target, status(state)); err != nil {
			t.Fatalf("%s: %v", state, err)
		}
	}
	got := p.Statuses()
	if len(got) != 2 || got[0].State != "completed/failure" || got[0].Edits != 2 || got[1].State != "completed/success" || got[1].Edits != 1 {
		t.Errorf("check runs are %+v, want one that failed and its successor", got)
	}
	if c := got[1]; c.ExternalID != "smoke-web" || c.Title != "Title" || c.Text != "| a table |" || c.Commit != commit {
		t.Errorf("the check run says %+v", c)
	}
	if err := p.client(t, 0).SetComment(t.Context(), p.target, scm.Comment{}); err != scm.ErrNoComments {
		t.Errorf("SetComment() = %v, want %v", err, scm.ErrNoComments)
	}
}

// TestOneComment is edited in place, found among those of others on any page,
// and never made older.
func TestOneComment(t *testing.T) {
	for name, open := range hosts {
		t.Run(name, func(t *testing.T) {
			p := open(t)
			if p.app {
				t.Skip("check runs say it")
			}
			comment := func(key string, order int64, body string) {
				t.Helper()
				if err := p.client(t, 0).SetComment(t.Context(), p.target, scm.Comment{Key: key, Order: order, Body: body}); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 5 {
				p.AddComment(p.target.Repository, 5, 3, fmt.Sprint("somebody's remark ", i))
			}
			// Somebody else copied ours, mark and all.
			p.AddComment(p.target.Repository, 5, 3, "mine\n\n<!-- integration-report key=\"web\" order=\"1\" -->")
			comment("web", 10, "first")
			comment("web2", 10, "of another component")
			comment("web", 10, "first")
			comment("web", 20, "second")
			comment("web", 15, "late, of an older Snapshot")
			var mine []string
			for _, c := range p.Comments(p.target.Repository, 5) {
				if c.User == me {
					body, _, _ := strings.Cut(c.Body, "\n")
					mine = append(mine, fmt.Sprint(body, " ", c.Edits))
				}
			}
			if diff := cmp.Diff([]string{"second 1", "of another component 0"}, mine); diff != "" {
				t.Errorf("comments and their edits (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTokenOfNobody comments with a token that may not ask whose it is.
func TestTokenOfNobody(t *testing.T) {
	p := hosts["Forgejo"](t)
	p.Tokens[token] = fixture.Token{User: me, Writes: []string{"shop/web"}, NoUser: true}
	p.AddComment("shop/web", 5, 3, "not mine\n\n<!-- integration-report key=\"web\" order=\"1\" -->")
	for _, body := range []string{"first", "second"} {
		if err := p.client(t, 0).SetComment(t.Context(), p.target, scm.Comment{Key: "web", Order: 2, Body: body}); err != nil {
			t.Fatal(err)
		}
	}
	got := p.Comments("shop/web", 5)
	if len(got) != 2 || !strings.HasPrefix(got[0].Body, "not mine") || !strings.HasPrefix(got[1].Body, "second") || got[1].Edits != 1 {
		t.Errorf("comments are %+v, want another's as it was and one of ours", got)
	}
}

// TestLongTexts are shortened to what the host takes.
func TestLongTexts(t *testing.T) {
	for name, open := range hosts {
		t.Run(name, func(t *testing.T) {
			p := open(t)
			s := status(scm.Failure)
			s.Summary, s.Text = strings.Repeat("é", 300), strings.Repeat("é", 70000)
			if err := p.client(t, 0).SetStatus(t.Context(), p.target, s); err != nil {
				t.Error(err)
			}
			if p.app {
				return
			}
			for range 2 {
				if err := p.client(t, 0).SetComment(t.Context(), p.target, scm.Comment{Key: "web", Body: s.Text}); err != nil {
					t.Error(err)
				}
			}
			if n := len(p.Comments(p.target.Repository, 5)); n != 1 {
				t.Errorf("%d comments: the mark was cut off", n)
			}
		})
	}
}

// TestForks tells the fork where the target does not take it.
func TestForks(t *testing.T) {
	for _, name := range []string{"GitLab", "Forgejo"} {
		t.Run(name, func(t *testing.T) {
			p := hosts[name](t)
			fork := map[string]string{"GitLab": "43", "Forgejo": "ada/web"}[name]
			p.Commits[p.target.Repository], p.Commits[fork] = nil, []string{commit}
			p.Tokens[token] = fixture.Token{User: me, Writes: []string{p.target.Repository, fork}}
			p.target.Source = fork
			for range 2 {
				if err := p.client(t, 0).SetStatus(t.Context(), p.target, status(scm.Success)); err != nil {
					t.Fatal(err)
				}
			}
			if got := p.Statuses(); len(got) != 1 || got[0].Repository != fork {
				t.Errorf("statuses are %+v, want one in %s", got, fork)
			}
			p.Tokens[token] = fixture.Token{User: me, Writes: []string{p.target.Repository}}
			err := p.client(t, 0).SetStatus(t.Context(), p.target, status(scm.Failure))
			if !scm.Permanent(err) || !strings.Contains(err.Error(), p.target.Repository) {
				t.Errorf("both refused: %v, want what the target said", err)
			}
		})
	}
}

// TestGitLabTransition takes a state that GitLab does not leave for said.
func TestGitLabTransition(t *testing.T) {
	p := hosts["GitLab"](t)
	for _, state := range []scm.State{scm.Running, scm.Pending, scm.Success, scm.Pending} {
		if err := p.client(t, 0).SetStatus(t.Context(), p.target, status(state)); err != nil {
			t.Fatalf("%s: %v", state, err)
		}
	}
	if got := p.Statuses(); len(got) != 2 || got[0].State != "success" || got[1].State != "pending" {
		t.Errorf("statuses are %+v", got)
	}
}

func TestTargets(t *testing.T) {
	p := hosts["GitHub"](t)
	for name, target := range map[string]scm.Target{
		"no commit":        {Repository: "shop/web", Commit: "main"},
		"a path":           {Repository: "shop/..", Commit: commit},
		"a query":          {Repository: "shop/web?x", Commit: commit},
		"nothing":          {Commit: commit},
		"a path of a fork": {Repository: "shop/web", Source: "../web", Commit: commit},
	} {
		err := p.client(t, 0).SetStatus(t.Context(), target, status(scm.Success))
		if !scm.Permanent(err) {
			t.Errorf("%s: %v, want a refusal", name, err)
		}
	}
	if asked := p.Requests(); len(asked) != 0 {
		t.Errorf("the host was asked %v", asked)
	}
}

func TestAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"http://git.example.com":        "does not begin with https://",
		"https://ada:pw@git.example":    "no address of a git host's API",
		"https://git.example.com/?a=b":  "no address of a git host's API",
		"git.example.com":               "no address of a git host's API",
		"https://git.example.com/gitea": "",
		"http://127.0.0.1:3000":         "",
	} {
		_, err := scm.NewForgejo(scm.Options{URL: address, Token: token})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want an error with %q", address, err, want)
		}
	}
}
