package report_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/pkg/report"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

func repository(t *testing.T, url string, more map[string]any) report.Repository {
	t.Helper()
	spec := map[string]any{"url": url}
	for k, v := range more {
		spec[k] = v
	}
	r, err := report.ReadRepository(map[string]any{"metadata": map[string]any{"name": "web"}, "spec": spec})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func with(secret, api string) map[string]any {
	return map[string]any{"git_provider": map[string]any{"url": api, "secret": map[string]any{"name": secret}}}
}

func TestLoginFor(t *testing.T) {
	app := report.App{Secret: "pipelines-as-code-secret"}
	cases := map[string]struct {
		target     report.Target
		repository report.Repository
		app        report.App
		want       string // provider, API and Secret
		problem    string
	}{
		"GitHub": {report.Target{Provider: "github", URL: "https://github.com/shop/web"}, repository(t, "https://GitHub.com/shop/web.git/", with("s", "")), app, "github  s", ""},
		"a GitHub of one's own": {report.Target{Provider: "github", URL: "https://git.example.com/shop/web"}, repository(t, "https://git.example.com/shop/web", with("s", "")),
			app, "github https://git.example.com/api/v3 s", ""},
		"a GitHub at an address": {report.Target{Provider: "github", URL: "https://git.example.com/shop/web"}, repository(t, "https://git.example.com/shop/web", with("s", "https://api.git.example.com/v3")),
			app, "github https://api.git.example.com/v3 s", ""},
		"the App": {report.Target{Provider: "github", URL: "https://github.com/shop/web", Install: "9"}, repository(t, "https://github.com/shop/web", nil),
			app, "github-app  pipelines-as-code-secret", ""},
		"the App has no login": {report.Target{Provider: "github", URL: "https://github.com/shop/web", Install: "9"}, repository(t, "https://github.com/shop/web", nil),
			report.App{}, "", "no Secret is configured for it"},
		"the App's key stays at its host": {report.Target{Provider: "github", URL: "https://evil.example.com/shop/web", Install: "9"}, repository(t, "https://evil.example.com/shop/web", nil),
			app, "", "the GitHub App is of github.com"},
		"the App of a GitHub of one's own": {report.Target{Provider: "github", URL: "https://git.example.com/shop/web", Install: "9"}, repository(t, "https://git.example.com/shop/web", nil),
			report.App{Secret: "app", API: "https://git.example.com/api/v3"}, "github-app https://git.example.com/api/v3 app", ""},
		"the App reports to no repository that has no Repository here": {report.Target{Provider: "github", URL: "https://github.com/other/web", Install: "9"},
			repository(t, "https://github.com/shop/web", nil), app, "", "no PaC Repository in the namespace is for https://github.com/other/web"},
		"GitLab": {report.Target{Provider: "gitlab", URL: "https://gitlab.com/a/b/c"}, repository(t, "https://gitlab.com/a/b/c", with("s", "")), app, "gitlab https://gitlab.com s", ""},
		"Gitea":  {report.Target{Provider: "gitea", URL: "https://git.example.com:3000/a/b"}, repository(t, "https://git.example.com:3000/a/b", with("s", "")), app, "forgejo https://git.example.com:3000 s", ""},
		"Forgejo at an address": {report.Target{Provider: "forgejo", URL: "https://git.example.com/a/b"}, repository(t, "https://git.example.com/a/b", with("s", "https://api.example.com")),
			app, "forgejo https://api.example.com s", ""},
		"another port":  {report.Target{Provider: "gitea", URL: "https://git.example.com/a/b"}, repository(t, "https://git.example.com:3000/a/b", with("s", "")), app, "", "no PaC Repository"},
		"no Secret":     {report.Target{Provider: "gitlab", URL: "https://gitlab.com/a/b"}, repository(t, "https://gitlab.com/a/b", nil), app, "", "PaC Repository web names no Secret"},
		"another kind":  {report.Target{Provider: "bitbucket", URL: "https://bitbucket.org/a/b"}, repository(t, "https://bitbucket.org/a/b", with("s", "")), app, "", `git provider "bitbucket" is not supported`},
		"not a address": {report.Target{Provider: "github", URL: "git@github.com:shop/web"}, repository(t, "https://github.com/shop/web", with("s", "")), app, "", "no PaC Repository"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := report.LoginFor(tc.target, []report.Repository{tc.repository}, tc.app)
			if tc.problem != "" {
				if err == nil || !strings.Contains(err.Error(), tc.problem) {
					t.Errorf("LoginFor() = %+v, %v, want an error with %q", got, err, tc.problem)
				}
				return
			}
			if text := got.Provider + " " + got.API + " " + got.Secret; err != nil || text != tc.want {
				t.Errorf("LoginFor() = %q, %v, want %q", text, err, tc.want)
			}
		})
	}
}

func TestReadRepository(t *testing.T) {
	for strategy, muted := range map[string]bool{"disable_all": true, "DISABLE_ALL": true, "": false, "update": false} {
		r := repository(t, "https://gitlab.com/a/b", map[string]any{
			"settings":     map[string]any{"gitlab": map[string]any{"comment_strategy": strategy}, "github_app_token_scope_repos": []any{"x/y"}},
			"git_provider": map[string]any{"secret": map[string]any{"name": "s", "key": "token"}},
		})
		if r.Muted != muted || r.Secret != "s" || r.Key != "token" || r.URL != "https://gitlab.com/a/b" {
			t.Errorf("with strategy %q it is %+v", strategy, r)
		}
	}
	a, b := repository(t, "https://gitlab.com/a/b", with("s", "")), repository(t, "https://gitlab.com/a/b", with("t", ""))
	if a.Fingerprint == b.Fingerprint || a.Key != "provider.token" {
		t.Errorf("%+v and %+v look the same", a, b)
	}
	if _, err := report.ReadRepository(map[string]any{"spec": map[string]any{"url": 5}}); err == nil {
		t.Error("a url that is a number is taken")
	}
}

// TestDecide is when a task is started, and when not.
func TestDecide(t *testing.T) {
	good := repository(t, "https://github.com/shop/web", with("s", ""))
	failed := func(permanent bool, attempts int, at time.Duration) func(report.Books) {
		return func(b report.Books) {
			for range attempts {
				b.Fail(good, "no", permanent, 0, now.Add(at))
			}
		}
	}
	said := func(b report.Books) {
		b.Note(report.Target{Key: "shop-1"}, snapshot.Tests{line("smoke", snapshot.TestPassed, time.Minute)})
	}
	cases := map[string]struct {
		lines snapshot.Tests
		books func(report.Books)
		all   []report.Repository
		start bool
		after time.Duration
		text  string
	}{
		"a verdict":                          {lines: snapshot.Tests{line("smoke", snapshot.TestPassed, 0)}, start: true},
		"nothing tests it":                   {},
		"said":                               {lines: snapshot.Tests{line("smoke", snapshot.TestPassed, time.Minute)}, books: said},
		"said, and run again":                {lines: snapshot.Tests{line("smoke", snapshot.TestPassed, 0)}, books: said, start: true},
		"another one":                        {lines: snapshot.Tests{line("smoke", snapshot.TestPassed, time.Minute), line("soak", snapshot.TestFail, 0)}, books: said, start: true},
		"it began this moment":               {lines: snapshot.Tests{line("smoke", snapshot.Pending, time.Second)}, after: 4 * time.Second},
		"it began a while ago":               {lines: snapshot.Tests{line("smoke", snapshot.InProgress, 6*time.Second)}, start: true},
		"history":                            {lines: snapshot.Tests{line("smoke", snapshot.TestPassed, 25*time.Hour)}},
		"the host was not well":              {lines: snapshot.Tests{line("smoke", snapshot.TestPassed, time.Minute)}, books: failed(false, 1, 0), after: 30 * time.Second},
		"not well for a while":               {lines: snapshot.Tests{line("smoke", snapshot.TestPassed, time.Minute)}, books: failed(false, 4, 0), after: 4 * time.Minute},
		"not well for long":                  {lines: snapshot.Tests{line("smoke", snapshot.TestPassed, time.Minute)}, books: failed(false, 40, 0), after: 15 * time.Minute},
		"the time has come":                  {lines: snapshot.Tests{line("smoke", snapshot.TestPassed, time.Minute)}, books: failed(false, 1, -time.Minute), start: true},
		"not well for three hours":           {lines: snapshot.Tests{line("smoke", snapshot.TestPassed, 3*time.Hour)}, books: failed(false, 9, 0)},
		"refused":                            {lines: snapshot.Tests{line("smoke", snapshot.TestPassed, time.Minute)}, books: failed(true, 1, 0), after: time.Hour},
		"refused four hours ago":             {lines: snapshot.Tests{line("smoke", snapshot.TestPassed, 4*time.Hour)}, books: failed(true, 4, -61*time.Minute), start: true},
		"refused for a day":                  {lines: snapshot.Tests{line("smoke", snapshot.TestPassed, 24*time.Hour-time.Minute)}, books: failed(true, 23, 0)},
		"refused, with another login now":    {lines: snapshot.Tests{line("smoke", snapshot.TestPassed, time.Minute)}, books: failed(true, 1, 0), all: []report.Repository{repository(t, "https://github.com/shop/web", with("t", ""))}, start: true},
		"refused, then a new verdict a day":  {lines: snapshot.Tests{line("smoke", snapshot.TestPassed, 23*time.Hour), line("soak", snapshot.TestPassed, 0)}, books: failed(true, 30, -2*time.Hour), start: true},
		"no Repository":                      {lines: snapshot.Tests{line("smoke", snapshot.TestPassed, 0)}, all: []report.Repository{}, after: time.Hour, text: "no PaC Repository in the namespace"},
		"no Repository, and nothing to tell": {all: []report.Repository{}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := pull("shop-1", tc.lines...)
			books := report.ReadBooks(s)
			if tc.books != nil {
				tc.books(books)
			}
			all := tc.all
			if all == nil {
				all = []report.Repository{good}
			}
			got := report.Decide(report.OfSnapshot(s, none), books, all, report.App{}, now)
			if (got.Login != nil) != tc.start || got.After != tc.after || !strings.Contains(got.Problem, tc.text) || tc.text == "" && got.Problem != "" {
				t.Errorf("Decide() = %+v, want start %t, after %v, problem %q", got, tc.start, tc.after, tc.text)
			}
		})
	}
}

// TestBooks are upstream's, as far as it has them.
func TestBooks(t *testing.T) {
	s := pull("shop-1")
	s.Annotations[report.BooksAnnotation] = `{"scenarios":{"smoke-shop-1":{"lastUpdateTime":"2026-01-02T03:04:05Z"}}}`
	b := report.ReadBooks(s)
	if due := report.OfSnapshot(pull("shop-1", line("smoke", snapshot.TestPassed, 0)), none).Due(b, report.Target{Key: "shop-1"}, now); len(due) != 0 {
		t.Errorf("what upstream said is due again: %+v", due)
	}
	if diff := cmp.Diff(s.Annotations[report.BooksAnnotation], b.String()); diff != "" {
		t.Errorf("books (-read +written):\n%s", diff)
	}
	s.Annotations[report.BooksAnnotation] = `{"scenarios":[]}`
	b = report.ReadBooks(s)
	b.Fail(report.Repository{Name: "web"}, "z: no", true, 0, now)
	b.Fail(report.Repository{Name: "api"}, "a: later", false, 2*time.Hour, now)
	if got := b.Text(); got != "a: later; z: no" {
		t.Errorf("Text() = %q", got)
	}
	if got := b.Failures["api"].NotBefore; !got.Equal(now.Add(2 * time.Hour)) {
		t.Errorf("the host asked for two hours, it is tried again at %v", got)
	}
}

// TestAskAgain forgets failures with the annotation that tells of them.
func TestAskAgain(t *testing.T) {
	s := pull("shop-1", line("smoke", snapshot.TestPassed, time.Minute))
	good := repository(t, "https://github.com/shop/web", with("s", ""))
	b := report.ReadBooks(s)
	b.Fail(good, "403 Forbidden", true, 0, now)
	s.Annotations[report.BooksAnnotation], s.Annotations[report.FailureAnnotation] = b.String(), b.Text()
	for _, deleted := range []bool{false, true} {
		if deleted {
			delete(s.Annotations, report.FailureAnnotation)
		}
		step := report.Decide(report.OfSnapshot(s, none), report.ReadBooks(s), []report.Repository{good}, report.App{}, now)
		if (step.Login != nil) != deleted {
			t.Errorf("with the annotation deleted: %t, the step is %+v", deleted, step)
		}
	}
}

// FuzzBooks reads whatever somebody wrote into the annotation.
func FuzzBooks(f *testing.F) {
	f.Add(`{"scenarios":{"a-b":{"lastUpdateTime":"2026-01-02T03:04:05Z"}},"failures":{"web":{"attempts":-5,"notBefore":"9999-01-02T03:04:05Z"}}}`)
	f.Add(`null`)
	f.Fuzz(func(t *testing.T, text string) {
		s := pull("shop-1", line("smoke", snapshot.TestPassed, 0))
		s.Annotations[report.BooksAnnotation] = text
		b := report.ReadBooks(s)
		report.Decide(report.OfSnapshot(s, none), b, []report.Repository{{Name: "web", URL: "https://github.com/shop/web", Secret: "s"}}, report.App{}, now)
		b.Fail(report.Repository{Name: "web"}, "no", false, 0, now)
		s.Annotations[report.BooksAnnotation], s.Annotations[report.FailureAnnotation] = b.String(), b.Text()
		if again := report.ReadBooks(s); again.String() != b.String() {
			t.Errorf("written %s, read %s", b, again)
		}
	})
}
