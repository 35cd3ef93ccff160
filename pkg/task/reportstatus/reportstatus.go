// Package reportstatus is the task report-status: it tells a git host what
// became of a Snapshot's tests, or of a build that has no Snapshot yet, and
// writes on the object what it told.
//
// It looks again when it is done, and tells what has changed meanwhile, so that
// one run of it serves many changes. It can be killed anywhere and run again:
// the host is asked what it has before it is told.
//
// What cannot be told is written on the object, with when to try again, and the
// task fails. Nothing else fails by it.
package reportstatus

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/config"

	konfluxv1alpha1 "github.com/headrace-ci/headrace/pkg/apis/konflux/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/report"
	"github.com/headrace-ci/headrace/pkg/scm"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

const (
	// patience is how long to wait, all in all, for a host that wants it. What
	// takes longer is another run's.
	patience = 5 * time.Minute
	// requestTimeout bounds one request to a git host.
	requestTimeout = 30 * time.Second
	// rounds bounds how often to look for more.
	rounds = 20
)

// Files in the folder of the login.
const (
	tokenFile  = "token"
	appIDFile  = "github-application-id"
	appKeyFile = "github-private-key"
)

// Options are the task's params.
type Options struct {
	Resource     string // namespace/name
	ResourceType string // snapshot or pipelinerun
	Repository   string // name of the PaC Repository to report to
	Provider     string
	GitHubAPIURL string // of the GitHub App
	SecretName   string
	SecretKey    string
	SecretDir    string
	Links        Links

	Client client.Client // nil for the cluster this runs in
	HTTP   *http.Client  // nil for the usual one
	Now    func() time.Time
	Sleep  func(context.Context, time.Duration) error
}

// Command returns the task's command.
func Command() *cobra.Command {
	opts := Options{Now: time.Now}
	cmd := &cobra.Command{
		Use: "report-status", Short: "Tell a git host what became of tests", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			trusting, err := oci.Transport()
			if err != nil {
				return err
			}
			opts.HTTP = &http.Client{Transport: trusting, Timeout: requestTimeout}
			if opts.Client == nil {
				rest, err := config.GetConfig()
				if err != nil {
					return fmt.Errorf("finding the cluster: %w", err)
				}
				if opts.Client, err = client.New(rest, client.Options{Scheme: Scheme()}); err != nil {
					return fmt.Errorf("connecting to the cluster: %w", err)
				}
			}
			return Run(cmd.Context(), opts)
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.Resource, "resource", "", "Object to report on, as namespace/name")
	f.StringVar(&opts.ResourceType, "resource-type", "snapshot", "Kind of the object: snapshot or pipelinerun")
	f.StringVar(&opts.Repository, "repository", "", "PaC Repository whose git repository to report to")
	f.StringVar(&opts.Provider, "provider", "", "Whom to report to, and as: github-app, github, gitlab or forgejo")
	f.StringVar(&opts.GitHubAPIURL, "github-api-url", "", "API of the GitHub App's host, empty for github.com")
	f.StringVar(&opts.SecretName, "secret-name", "", "Secret with the login, for messages")
	f.StringVar(&opts.SecretKey, "secret-key", "provider.token", "Key of the token in the Secret, for messages")
	f.StringVar(&opts.SecretDir, "secret-dir", "/mnt/git-host", "Folder with the files token, or github-application-id and github-private-key")
	f.StringVar(&opts.Links.ConsoleName, "console-name", "Integration Service", "What a report's name begins with")
	f.StringVar(&opts.Links.Run, "console-url", "", "Address of a PipelineRun, with {{NAMESPACE}} and {{PIPELINE_RUN_NAME}}")
	f.StringVar(&opts.Links.Task, "console-url-task-log", "", "Address of a task's log, with {{NAMESPACE}}, {{PIPELINE_RUN_NAME}} and {{TASK_NAME}}")
	f.StringVar(&opts.Links.Snapshot, "console-url-snapshot", "", "Address of a Snapshot, with {{NAMESPACE}} and {{SNAPSHOT_NAME}}")
	return cmd
}

// Scheme knows the kinds that the task reads and writes.
func Scheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{tektonv1.AddToScheme, v1alpha1.AddToScheme, v1beta2.AddToScheme, konfluxv1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			panic(err) // kinds of ours that collide
		}
	}
	return scheme
}

// task is one run.
type task struct {
	Options
	key  client.ObjectKey
	kind string
	host map[string]scm.Host // by target repository, for the App; else one for all
	runs map[string][]tektonv1.TaskRun
}

func newTask(opts Options) (*task, error) {
	namespace, name, ok := strings.Cut(opts.Resource, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return nil, &taskcli.UsageError{Flag: "resource", Problem: fmt.Sprintf("%q is not namespace/name", opts.Resource)}
	}
	kinds := map[string]string{"snapshot": report.KindSnapshot, "pipelinerun": report.KindBuild}
	kind, ok := kinds[strings.ToLower(opts.ResourceType)]
	if !ok {
		return nil, &taskcli.UsageError{Flag: "resource-type", Problem: fmt.Sprintf("%q cannot be reported on", opts.ResourceType), Fix: "use snapshot or pipelinerun"}
	}
	if opts.Repository == "" {
		return nil, &taskcli.UsageError{Flag: "repository", Problem: "is empty", Fix: "name the PaC Repository to report to"}
	}
	return &task{
		Options: opts, key: client.ObjectKey{Namespace: namespace, Name: name}, kind: kind,
		host: map[string]scm.Host{}, runs: map[string][]tektonv1.TaskRun{},
	}, nil
}

// Run reports until there is nothing more to report.
func Run(ctx context.Context, opts Options) error {
	t, err := newTask(opts)
	if err != nil {
		return err
	}
	for range rounds {
		again, err := t.round(ctx)
		if err != nil || !again {
			return err
		}
	}
	return nil
}

// round tells every target of the repository what it has not been told, and
// writes down how that went. It reports whether it told something.
func (t *task) round(ctx context.Context) (bool, error) {
	object, subject, err := t.load(ctx)
	if err != nil || object == nil {
		return false, err
	}
	repository, err := t.repository(ctx)
	if err != nil {
		return false, err
	}
	books := report.ReadBooks(object)
	told, failed := false, error(nil)
	for _, target := range subject.Targets {
		login, err := report.LoginFor(target, []report.Repository{repository}, t.app())
		if err != nil || login.Provider != t.Provider {
			continue // another run's
		}
		due := subject.Due(books, target, t.Now())
		if len(due) == 0 {
			continue
		}
		if err := t.tell(ctx, subject, target, login, due); err != nil {
			failed = errors.Join(failed, err)
			if ctx.Err() != nil {
				return false, ctx.Err()
			}
			continue
		}
		books.Note(target, due)
		told = true
		slog.InfoContext(ctx, "reported", "commit", target.Commit, "repository", target.URL, "tests", len(due))
	}
	if failed != nil {
		books.Fail(repository, explain(failed), permanent(failed), scm.RetryAfter(failed), t.Now())
	} else if told {
		delete(books.Failures, repository.Name)
	}
	if told || failed != nil {
		if err := t.write(ctx, object, subject, books); err != nil {
			return false, errors.Join(failed, err)
		}
	}
	return told && failed == nil, failed
}

// explain is an error as readers of an annotation should see it: in one line,
// with what to do.
func explain(err error) string {
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	var hinter interface{ Hint() string }
	if errors.As(err, &hinter) && hinter.Hint() != "" {
		text += " (" + hinter.Hint() + ")"
	}
	return text
}

// permanent reports whether time does not mend it; it does mend a cluster that
// does not answer.
func permanent(err error) bool {
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		return false
	}
	return scm.Permanent(err)
}

// app is the GitHub App, where this run reports as it.
func (t *task) app() report.App {
	if t.Provider != report.GitHubApp {
		return report.App{}
	}
	return report.App{Secret: t.SecretName, API: t.GitHubAPIURL}
}

// open is a client of the host that a target is at.
func (t *task) open(target report.Target, login report.Login, path string) (scm.Host, error) {
	id := login.Provider
	if login.Provider == report.GitHubApp {
		id += " " + target.Install + " " + path
	}
	if host, ok := t.host[id]; ok {
		return host, nil
	}
	options := scm.Options{URL: login.API, Patience: patience, HTTP: t.HTTP, Now: t.Now, Sleep: t.Sleep}
	host, err := t.connect(options, target, login, path)
	if err == nil {
		t.host[id] = host
	}
	return host, err
}

func (t *task) connect(options scm.Options, target report.Target, login report.Login, path string) (scm.Host, error) {
	if login.Provider == report.GitHubApp {
		id, err := t.secret(appIDFile, appIDFile)
		if err != nil {
			return nil, err
		}
		key, err := t.secret(appKeyFile, appKeyFile)
		if err != nil {
			return nil, err
		}
		return scm.NewGitHubApp(options, scm.App{ID: id, Key: []byte(key), Installation: target.Install, Repository: path})
	}
	var err error
	if options.Token, err = t.secret(tokenFile, t.SecretKey); err != nil {
		return nil, err
	}
	switch login.Provider {
	case report.GitHub:
		return scm.NewGitHub(options)
	case report.GitLab:
		return scm.NewGitLab(options)
	case report.Forgejo:
		return scm.NewForgejo(options)
	}
	return nil, fmt.Errorf("git provider %q is not supported", login.Provider)
}

// secretError is a login that is not there.
type secretError struct{ name, key string }

func (e *secretError) Error() string {
	return fmt.Sprintf("reading the login to the git host: secret %q has no key %q", e.name, e.key)
}

// Hint says who names the Secret.
func (e *secretError) Hint() string {
	return "make the Secret, or name another one in spec.git_provider.secret of the PaC Repository"
}

func (t *task) secret(file, key string) (string, error) {
	raw, err := os.ReadFile(filepath.Join(t.SecretDir, file))
	value := strings.TrimSpace(string(raw))
	if errors.Is(err, fs.ErrNotExist) || err == nil && value == "" {
		return "", &secretError{name: t.SecretName, key: key}
	}
	if err != nil {
		return "", fmt.Errorf("reading the login to the git host: %w", err)
	}
	return value, nil
}
