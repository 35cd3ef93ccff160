package report

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// RepositoryVersion is the apiVersion of a PaC Repository.
const RepositoryVersion = "pipelinesascode.tekton.dev/v1alpha1"

// MuteAnnotation on a Component asks for no comments where it is disable_all.
const MuteAnnotation = "test.appstudio.openshift.io/comment_strategy"

// Repository is a Repository of Pipelines as Code, as far as it matters here.
type Repository struct {
	Name        string
	URL         string
	API         string // of the git host, empty for the usual one
	Secret, Key string // the login; no Secret where the GitHub App is used
	Muted       bool   // pull requests get no comments
	Fingerprint string // changes when the spec does
}

// defaultKey is where Pipelines as Code looks for a token in a Secret.
const defaultKey = "provider.token"

// ReadRepository reads an object as the API server has it.
func ReadRepository(object map[string]any) (Repository, error) {
	raw, err := json.Marshal(object)
	if err != nil {
		return Repository{}, err
	}
	var in struct {
		Metadata struct{ Name string }
		Spec     struct {
			URL      string
			Provider struct {
				URL    string
				Secret struct{ Name, Key string }
			} `json:"git_provider"`
			Settings map[string]json.RawMessage
		}
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return Repository{}, fmt.Errorf("reading a PaC Repository: %w", err)
	}
	spec, err := json.Marshal(object["spec"])
	if err != nil {
		return Repository{}, err
	}
	sum := sha256.Sum256(spec)
	r := Repository{
		Name: in.Metadata.Name, URL: in.Spec.URL, API: in.Spec.Provider.URL, Secret: in.Spec.Provider.Secret.Name,
		Key: cmp.Or(in.Spec.Provider.Secret.Key, defaultKey), Fingerprint: hex.EncodeToString(sum[:8]),
	}
	for _, provider := range []string{"gitlab", "github", "forgejo", "gitea"} {
		var settings struct {
			Strategy string `json:"comment_strategy"`
		}
		if err := json.Unmarshal(in.Spec.Settings[provider], &settings); err == nil {
			r.Muted = r.Muted || Muted(settings.Strategy)
		}
	}
	return r, nil
}

// Muted reports whether a comment strategy asks for no comments.
func Muted(strategy string) bool { return strings.EqualFold(strategy, "disable_all") }

// address is a repository's URL, taken apart.
type address struct{ scheme, host, path string }

// parse reads a URL as people write it: with .git, a slash at its end, or
// capitals in the host.
func parse(text string) (address, error) {
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return address{}, fmt.Errorf("%q is no repository's address: want https://host/owner/name", text)
	}
	path := strings.TrimSuffix(strings.Trim(u.Path, "/"), ".git")
	if path == "" {
		return address{}, fmt.Errorf("%q names no repository: want https://host/owner/name", text)
	}
	return address{scheme: u.Scheme, host: strings.ToLower(u.Host), path: path}, nil
}

// Match is the Repository for a URL, nil when there is none.
func Match(all []Repository, repoURL string) *Repository {
	want, err := parse(repoURL)
	if err != nil {
		return nil
	}
	for i := range all {
		if has, err := parse(all[i].URL); err == nil && has.host == want.host && strings.EqualFold(has.path, want.path) {
			return &all[i]
		}
	}
	return nil
}

// Path is a repository's path on its host, as owner/name.
func Path(repoURL string) (string, error) {
	a, err := parse(repoURL)
	return a.path, err
}

// Providers.
const (
	GitHubApp = "github-app"
	GitHub    = "github"
	GitLab    = "gitlab"
	Forgejo   = "forgejo"
)

// Login is whom to report as.
type Login struct {
	Provider   string
	Repository Repository
	API        string // of the git host, empty for the public one
	Secret     string
	Key        string // empty for the App
}

// App is where the GitHub App's login is, and for which GitHub.
type App struct {
	Secret string // empty where there is no App
	API    string // empty for github.com
}

// LoginFor is whom to report to a target as: the GitHub App where it sent the
// event, else whose token the PaC Repository names. There must be a Repository
// in any case: it is not for a Snapshot, which a team can write, to say to which
// repository the App reports.
func LoginFor(t Target, all []Repository, app App) (Login, error) {
	repository := Match(all, t.URL)
	if repository == nil {
		return Login{}, fmt.Errorf("no PaC Repository in the namespace is for %s: make one with that spec.url", t.URL)
	}
	at, err := parse(repository.URL)
	if err != nil {
		return Login{}, err
	}
	login := Login{Provider: t.Provider, Repository: *repository, API: repository.API, Secret: repository.Secret, Key: repository.Key}
	switch t.Provider {
	case GitHub:
		if t.Install != "" {
			return appLogin(login, at, app)
		}
		login.API = gitHubAPI(repository.API, at)
	case "gitea", Forgejo:
		login.Provider = Forgejo
		login.API = cmp.Or(repository.API, at.scheme+"://"+at.host)
	case GitLab:
		login.API = cmp.Or(repository.API, at.scheme+"://"+at.host)
	default:
		return Login{}, fmt.Errorf("git provider %q is not supported: it can be github, gitlab, forgejo or gitea", t.Provider)
	}
	if login.Secret == "" {
		return Login{}, fmt.Errorf("PaC Repository %s names no Secret in spec.git_provider.secret: without one nothing can be reported", repository.Name)
	}
	return login, nil
}

func appLogin(login Login, at address, app App) (Login, error) {
	if app.Secret == "" {
		return Login{}, fmt.Errorf("the GitHub App sent the event for %s, and no Secret is configured for it", login.Repository.URL)
	}
	home := "github.com"
	if u, err := url.Parse(app.API); err == nil && u.Host != "" && u.Host != "api.github.com" {
		home = strings.ToLower(u.Host)
	}
	if at.host != home {
		return Login{}, fmt.Errorf("the GitHub App is of %s, and %s is not there", home, login.Repository.URL)
	}
	login.Provider, login.API, login.Secret, login.Key = GitHubApp, app.API, app.Secret, ""
	return login, nil
}

// gitHubAPI is where GitHub's API is: of an own server below /api/v3.
func gitHubAPI(given string, at address) string {
	if given == "" {
		given = at.scheme + "://" + at.host
	}
	u, err := url.Parse(given)
	if err != nil || u.Host == "github.com" || u.Host == "api.github.com" {
		return ""
	}
	if strings.Trim(u.Path, "/") == "" {
		return u.Scheme + "://" + u.Host + "/api/v3"
	}
	return given
}
