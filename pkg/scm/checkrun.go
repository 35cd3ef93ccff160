package scm

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// maxOutput is how many characters a check run's summary and text may have.
const maxOutput = 65535

// App is a GitHub App and where it is installed.
type App struct {
	ID           string
	Key          []byte // private, in PEM form
	Installation string
	Repository   string // owner/name, the only one its token is good for
}

// checkRuns makes check runs as a GitHub App.
type checkRuns struct {
	*api
	app     App
	key     *rsa.PrivateKey
	token   string
	expires time.Time
}

var digits = regexp.MustCompile(`^[0-9]+$`)

// NewGitHubApp is GitHub as an App. Options.Token is not used: the App gets
// tokens of its own, for check runs in one repository.
func NewGitHubApp(o Options, app App) (Host, error) {
	if !digits.MatchString(app.Installation) {
		return nil, fmt.Errorf("%q is no installation of the GitHub App: want a number", app.Installation)
	}
	if app.ID = strings.TrimSpace(app.ID); app.ID == "" {
		return nil, errors.New("the GitHub App has no id: put it into the Secret as github-application-id")
	}
	key, err := rsaKey(app.Key)
	if err != nil {
		return nil, err
	}
	o.Token = ""
	a, err := newAPI(o, gitHubAPI, "")
	if err != nil {
		return nil, err
	}
	g := &checkRuns{api: a, app: app, key: key}
	a.secret = func() []string { return []string{g.token} }
	a.header = func(ctx context.Context, h http.Header) error {
		if err := g.login(ctx); err != nil {
			return err
		}
		gitHubHeader(h, g.token)
		return nil
	}
	return g, nil
}

func rsaKey(raw []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, errors.New("the GitHub App's private key is not in PEM form: put the file that GitHub gave into the Secret as github-private-key")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the GitHub App's private key cannot be read: want PKCS #1 or #8")
	}
	pair, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the GitHub App's private key is a %T: want RSA", key)
	}
	return pair, nil
}

// jwt proves that we are the App, for a few minutes: RFC 7519, RS256.
func (g *checkRuns) jwt() (string, error) {
	now := g.Now()
	part := func(v any) string {
		raw, err := json.Marshal(v)
		if err != nil {
			panic(err) // strings and integers always marshal
		}
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	signed := part(map[string]string{"alg": "RS256", "typ": "JWT"}) + "." +
		// A minute back, for clocks that differ; ten minutes is GitHub's limit.
		part(map[string]any{"iat": now.Add(-time.Minute).Unix(), "exp": now.Add(8 * time.Minute).Unix(), "iss": g.app.ID})
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, g.key, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("signing as the GitHub App: %w", err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// login gets a token that can write check runs in the one repository, unless
// there is one that is good for a while.
func (g *checkRuns) login(ctx context.Context) error {
	if g.Now().Add(time.Minute).Before(g.expires) {
		return nil
	}
	jwt, err := g.jwt()
	if err != nil {
		return err
	}
	as := &api{Options: g.Options, base: g.base, secret: func() []string { return []string{jwt} }}
	as.header = func(_ context.Context, h http.Header) error {
		gitHubHeader(h, jwt)
		return nil
	}
	_, name, _ := strings.Cut(g.app.Repository, "/")
	var got struct {
		Token   string    `json:"token"`
		Expires time.Time `json:"expires_at"`
	}
	_, err = as.do(ctx, http.MethodPost, "/app/installations/"+g.app.Installation+"/access_tokens",
		map[string]any{"repositories": []string{name}, "permissions": map[string]string{"checks": "write"}}, &got)
	if err != nil {
		return err
	}
	g.token, g.expires = got.Token, got.Expires
	return nil
}

// checkRun is one as GitHub takes and shows it.
type checkRun struct {
	ID          int64       `json:"id,omitempty"`
	Name        string      `json:"name"`
	HeadSHA     string      `json:"head_sha,omitempty"`
	ExternalID  string      `json:"external_id,omitempty"`
	DetailsURL  string      `json:"details_url,omitempty"`
	Status      string      `json:"status"`
	Conclusion  string      `json:"conclusion,omitempty"`
	StartedAt   *time.Time  `json:"started_at,omitempty"`
	CompletedAt *time.Time  `json:"completed_at,omitempty"`
	Output      checkOutput `json:"output"`
}

type checkOutput struct {
	Title   string `json:"title"`
	Summary string `json:"summary"`
	Text    string `json:"text,omitempty"`
}

// says reports whether two check runs tell a reader the same.
func (c checkRun) says(o checkRun) bool {
	return c.Status == o.Status && c.Conclusion == o.Conclusion && c.DetailsURL == o.DetailsURL &&
		c.Output.Title == o.Output.Title && same(c.Output.Summary, o.Output.Summary) && same(c.Output.Text, o.Output.Text)
}

// checkConclusion is what a check run ends with, empty while it has not.
func checkConclusion(s Status) string {
	switch {
	case !s.State.final():
		return ""
	case s.State == Success:
		return "success"
	case s.State == Cancelled:
		return "cancelled"
	case s.State == Warning || s.Optional:
		return "neutral"
	}
	return "failure"
}

func newCheckRun(t Target, s Status) checkRun {
	run := checkRun{
		Name: s.Name, HeadSHA: t.Commit, ExternalID: s.ExternalID, DetailsURL: s.URL, Status: "completed", Conclusion: checkConclusion(s),
		Output: checkOutput{Title: s.Title, Summary: clip(s.Summary, maxOutput), Text: clip(s.Text, maxOutput)},
	}
	switch s.State {
	case Pending:
		run.Status = "queued"
	case Running:
		run.Status = "in_progress"
	}
	if !s.Started.IsZero() {
		started := s.Started.UTC().Truncate(time.Second)
		run.StartedAt = &started
	}
	if s.State.final() && !s.Completed.IsZero() {
		completed := s.Completed.UTC().Truncate(time.Second)
		run.CompletedAt = &completed
	}
	return run
}

// SetStatus changes the commit's check run of that name while it has not
// completed; one that has stays, and gets a successor.
func (g *checkRuns) SetStatus(ctx context.Context, t Target, s Status) error {
	if err := t.check(); err != nil {
		return err
	}
	if t.Repository != g.app.Repository {
		return fmt.Errorf("the GitHub App was asked about repository %q with a token for %q", t.Repository, g.app.Repository)
	}
	want := newCheckRun(t, s)
	return g.try(ctx, func() error {
		last, err := g.find(ctx, t, want)
		switch {
		case err != nil:
			return err
		case last == nil || last.Status == "completed" && !last.says(want):
			_, err = g.do(ctx, http.MethodPost, "/repos/"+t.Repository+"/check-runs", want, nil)
		case !last.says(want):
			want := want
			want.HeadSHA = ""
			_, err = g.do(ctx, http.MethodPatch, fmt.Sprintf("/repos/%s/check-runs/%d", t.Repository, last.ID), want, nil)
		}
		return err
	})
}

// find is the latest check run of ours, nil where there is none.
func (g *checkRuns) find(ctx context.Context, t Target, want checkRun) (*checkRun, error) {
	query := url.Values{"check_name": {want.Name}, "filter": {"latest"}, "per_page": {"100"}}
	if digits.MatchString(g.app.ID) { // it may be a client id, which this does not take
		query.Set("app_id", g.app.ID)
	}
	address := g.base.String() + fmt.Sprintf("/repos/%s/commits/%s/check-runs?%s", t.Repository, t.Commit, query.Encode())
	var last *checkRun
	for range maxPages {
		var page struct {
			Runs []checkRun `json:"check_runs"`
		}
		next, err := g.send(ctx, http.MethodGet, address, nil, &page)
		if err != nil {
			return nil, err
		}
		for i, run := range page.Runs {
			if run.ExternalID == want.ExternalID && (last == nil || run.ID > last.ID) {
				last = &page.Runs[i]
			}
		}
		if next == "" {
			return last, nil
		}
		if address, err = g.same(next); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("commit %s has more than %d pages of check runs", t.Commit, maxPages)
}

// SetComment refuses: a check run says it all.
func (g *checkRuns) SetComment(context.Context, Target, Comment) error { return ErrNoComments }
