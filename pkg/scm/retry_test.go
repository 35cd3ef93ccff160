package scm_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/headrace-ci/headrace/pkg/scm"
	fixture "github.com/headrace-ci/headrace/test/fixture/scm"
)

// say reports as a task does: two tests and the comment.
func (p *place) say(t *testing.T, host scm.Host) error {
	t.Helper()
	second := status(scm.Failure)
	second.Name, second.ExternalID = "Integration Service / soak / web", "soak-web"
	for _, s := range []scm.Status{status(scm.Success), second} {
		if err := host.SetStatus(t.Context(), p.target, s); err != nil {
			return err
		}
	}
	err := host.SetComment(t.Context(), p.target, scm.Comment{Key: "web", Order: 1, Body: "both"})
	if errors.Is(err, scm.ErrNoComments) {
		return nil
	}
	return err
}

type end struct {
	Statuses []fixture.Status
	Comments []fixture.Comment
}

func (p *place) end() end {
	return end{Statuses: p.Statuses(), Comments: p.Comments(p.target.Repository, 5)}
}

// TestLostAnswers ends the same whichever write failed, with a host that is
// down, or whose answer is lost after it did what was asked.
func TestLostAnswers(t *testing.T) {
	for name, open := range hosts {
		t.Run(name, func(t *testing.T) {
			whole := open(t)
			if err := whole.say(t, whole.client(t, 0)); err != nil {
				t.Fatal(err)
			}
			want, writes := whole.end(), whole.Writes()
			if len(want.Statuses) != 2 || !whole.app && len(want.Comments) != 1 {
				t.Fatalf("undisturbed it ends in %+v", want)
			}
			for i := 1; i <= writes; i++ {
				for _, late := range []bool{false, true} {
					for _, fatal := range []bool{false, true} { // the task dies, and another one starts
						p := open(t)
						failed := false
						p.Fault = func(r *http.Request, n int) (int, http.Header, bool) {
							if n != i || failed || r.Method == http.MethodGet {
								return 0, nil, false
							}
							failed = true
							return http.StatusBadGateway, nil, late
						}
						patience := time.Minute
						if fatal {
							patience = 0
						}
						err := p.say(t, p.client(t, patience))
						if fatal != (err != nil) || scm.Permanent(err) {
							t.Errorf("write %d, late %t, fatal %t: %v", i, late, fatal, err)
						}
						if err := p.say(t, p.client(t, 0)); err != nil {
							t.Errorf("write %d, late %t, again: %v", i, late, err)
						}
						if diff := cmp.Diff(want, p.end(), cmpopts.IgnoreFields(fixture.Status{}, "ID"), cmpopts.IgnoreFields(fixture.Comment{}, "ID")); diff != "" || !failed {
							t.Errorf("write %d, late %t, fatal %t (-undisturbed +failed):\n%s", i, late, fatal, diff)
						}
					}
				}
			}
		})
	}
}

// TestWaits comes back when the host said, and not before.
func TestWaits(t *testing.T) {
	for name, open := range hosts {
		t.Run(name, func(t *testing.T) {
			p := open(t)
			p.Budget, p.Reset = 4, 90*time.Second
			if err := p.say(t, p.client(t, 10*time.Minute)); err != nil {
				t.Fatal(err)
			}
			if n := len(p.Statuses()); n != 2 {
				t.Errorf("%d statuses", n)
			}
			if len(p.clock.slept) == 0 || len(p.clock.slept) > 3 || p.clock.slept[0] < 90*time.Second || p.clock.slept[0] > 92*time.Second {
				t.Errorf("it waited %v, want once or twice for the limit of 90 s", p.clock.slept)
			}

			p = open(t)
			p.Budget, p.Reset = 4, time.Hour
			asked := 0
			err := p.say(t, p.client(t, time.Minute))
			asked = len(p.Requests())
			if err == nil || scm.Permanent(err) || scm.RetryAfter(err) < 59*time.Minute || scm.RetryAfter(err) > 61*time.Minute {
				t.Errorf("with less patience than the limit it ends with %v, in %v; want an hour", err, scm.RetryAfter(err))
			}
			if asked > 5 || len(p.clock.slept) != 0 {
				t.Errorf("it asked %d times and slept %v", asked, p.clock.slept)
			}
		})
	}
}

// TestLimits reads every form in which hosts say when to come back.
func TestLimits(t *testing.T) {
	for name, tc := range map[string]struct {
		code   int
		header http.Header
		want   time.Duration
		gone   bool
	}{
		"seconds":                      {code: 429, header: http.Header{"Retry-After": {"17"}}, want: 17 * time.Second},
		"a date":                       {code: 503, header: http.Header{"Retry-After": {"Tue, 14 Nov 2023 22:13:40 GMT"}}, want: 20 * time.Second},
		"a date that is over":          {code: 503, header: http.Header{"Retry-After": {"Tue, 14 Nov 2003 22:13:40 GMT"}}, want: time.Second},
		"a secondary limit":            {code: 403, header: http.Header{"Retry-After": {"60"}}, want: time.Minute},
		"nothing remains":              {code: 403, header: http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"1700000033"}}, want: 33 * time.Second},
		"nothing remains, by GitLab":   {code: 429, header: http.Header{"Ratelimit-Remaining": {"0"}, "Ratelimit-Reset": {"1700000033"}}, want: 33 * time.Second},
		"nothing remains, no end":      {code: 403, header: http.Header{"X-Ratelimit-Remaining": {"0"}}, want: time.Minute},
		"no word":                      {code: 429, want: time.Second},
		"down":                         {code: 500, want: time.Second},
		"something remains":            {code: 403, header: http.Header{"X-Ratelimit-Remaining": {"10"}, "X-Ratelimit-Reset": {"1700000033"}}, gone: true},
		"a limit that is not the case": {code: 404, header: http.Header{"X-Ratelimit-Remaining": {"0"}}, gone: true},
	} {
		t.Run(name, func(t *testing.T) {
			p := hosts["GitHub"](t)
			p.Fault = func(*http.Request, int) (int, http.Header, bool) {
				if len(p.clock.slept) > 0 {
					return 0, nil, false
				}
				return tc.code, tc.header, false
			}
			err := p.client(t, time.Hour).SetStatus(t.Context(), p.target, status(scm.Success))
			if tc.gone {
				if !scm.Permanent(err) || len(p.clock.slept) != 0 {
					t.Errorf("SetStatus() = %v after %v, want a refusal at once", err, p.clock.slept)
				}
				return
			}
			if err != nil || len(p.clock.slept) != 1 || p.clock.slept[0] != tc.want {
				t.Errorf("SetStatus() = %v after %v, want one wait of %v", err, p.clock.slept, tc.want)
			}
		})
	}
}

// TestRefusals are told in the host's words with what to do, tried once, and
// hold no token.
func TestRefusals(t *testing.T) {
	for name, open := range hosts {
		for title, tc := range map[string]struct {
			change func(*place)
			want   string
			app    string // what it is where the App is used
			hint   string
		}{
			"a token that is not known": {change: func(p *place) { delete(p.Tokens, token) }, want: "401 Unauthorized", app: "", hint: "put a valid one into the Secret"},
			"a token that may not":      {change: func(p *place) { p.Tokens[token] = fixture.Token{User: me} }, want: "403 Forbidden", app: "", hint: "let it write commit statuses"},
			"no such repository":        {change: func(p *place) { p.Commits = nil }, want: "404 Not Found", app: "404 Not Found", hint: "no such repository"},
		} {
			t.Run(name+" "+title, func(t *testing.T) {
				p := open(t)
				if p.app && tc.app == "" {
					t.Skip("the App has no such token")
				}
				tc.change(p)
				err := p.client(t, time.Hour).SetStatus(t.Context(), p.target, status(scm.Success))
				var refused *scm.ResponseError
				if !errors.As(err, &refused) || !scm.Permanent(err) || !strings.Contains(err.Error(), tc.want) || !strings.Contains(refused.Hint(), tc.hint) {
					t.Fatalf("SetStatus() = %v, want %q", err, tc.want)
				}
				if strings.Contains(err.Error(), token) {
					t.Errorf("the token is in %q", err)
				}
				if n := len(p.Requests()); n > 3 || len(p.clock.slept) != 0 {
					t.Errorf("the host was asked %d times, with waits of %v", n, p.clock.slept)
				}
			})
		}
	}
}

// TestTokenStays goes to no other host, whatever the host says.
func TestTokenStays(t *testing.T) {
	other := hosts["Forgejo"](t)
	for name, fault := range map[string]func(*http.Request, int) (int, http.Header, bool){
		"a redirect": func(*http.Request, int) (int, http.Header, bool) {
			return http.StatusTemporaryRedirect, http.Header{"Location": {other.URL + "/" + token}}, false
		},
		"an echo": func(*http.Request, int) (int, http.Header, bool) { return http.StatusForbidden, nil, false },
	} {
		p := hosts["Forgejo"](t)
		p.Fault = fault
		err := p.client(t, time.Hour).SetStatus(t.Context(), p.target, status(scm.Success))
		if !scm.Permanent(err) || strings.Contains(err.Error(), token) {
			t.Errorf("%s: %v, want a refusal without the token", name, err)
		}
	}
	if asked := other.Requests(); len(asked) != 0 {
		t.Errorf("the other host was asked %v", asked)
	}
}

// TestNoAnswer is told without the token, and is worth another try.
func TestNoAnswer(t *testing.T) {
	host, err := scm.NewGitLab(scm.Options{URL: "https://127.0.0.1:1", Token: token})
	if err != nil {
		t.Fatal(err)
	}
	err = host.SetStatus(t.Context(), scm.Target{Repository: "42", Commit: commit}, status(scm.Success))
	if err == nil || scm.Permanent(err) || !strings.Contains(err.Error(), "127.0.0.1:1") || strings.Contains(err.Error(), token) {
		t.Errorf("SetStatus() = %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := host.SetStatus(ctx, scm.Target{Repository: "42", Commit: commit}, status(scm.Success)); err == nil || scm.Permanent(err) {
		t.Errorf("SetStatus() = %v when it is to end", err)
	}
}

// TestAppTokens are asked for once, for the one repository, and anew when they
// run out.
func TestAppTokens(t *testing.T) {
	p := hosts["GitHub App"](t)
	host := p.client(t, 0)
	grants := func() (n int) {
		for _, r := range p.Requests() {
			if strings.HasSuffix(r, "/access_tokens") {
				n++
			}
		}
		return n
	}
	for i, wait := range []time.Duration{0, 50 * time.Minute, 20 * time.Minute} {
		p.clock.now = p.clock.now.Add(wait)
		s := status(scm.Success)
		s.Name = fmt.Sprint("test ", i)
		if err := host.SetStatus(t.Context(), p.target, s); err != nil {
			t.Fatal(err)
		}
	}
	if n := grants(); n != 2 {
		t.Errorf("it got %d tokens in 70 minutes, want 2", n)
	}
	elsewhere := p.target
	elsewhere.Repository = "shop/other"
	if err := host.SetStatus(t.Context(), elsewhere, status(scm.Success)); err == nil || !strings.Contains(err.Error(), `"shop/other"`) {
		t.Errorf("it reports to another repository: %v", err)
	}
}

func TestAppRefuses(t *testing.T) {
	good := fixture.GitHubApp(t)
	for name, tc := range map[string]struct {
		app  scm.App
		want string
	}{
		"no key":          {scm.App{ID: "1", Key: []byte("x"), Installation: "1"}, "not in PEM form"},
		"a key of a kind": {scm.App{ID: "1", Key: []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), Installation: "1"}, "cannot be read"},
		"no installation": {scm.App{ID: "1", Key: good.Key, Installation: "../x"}, "no installation"},
		"no id":           {scm.App{Key: good.Key, Installation: "1"}, "github-application-id"},
	} {
		if _, err := scm.NewGitHubApp(scm.Options{}, tc.app); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, tc.want)
		}
	}
	// A key of somebody else.
	p := hosts["GitHub App"](t)
	host, err := scm.NewGitHubApp(scm.Options{URL: p.URL, HTTP: p.HTTP, Now: func() time.Time { return p.clock.now }},
		scm.App{ID: "4711", Key: good.Key, Installation: "99", Repository: "shop/web"})
	if err != nil {
		t.Fatal(err)
	}
	if err := host.SetStatus(t.Context(), p.target, status(scm.Success)); !scm.Permanent(err) || !strings.Contains(err.Error(), "401") {
		t.Errorf("SetStatus() = %v with another's key", err)
	}
}
