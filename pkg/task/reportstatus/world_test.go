package reportstatus_test

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/report"
	"github.com/headrace-ci/headrace/pkg/snapshot"
	"github.com/headrace-ci/headrace/pkg/task/reportstatus"
	"github.com/headrace-ci/headrace/test/fixture/faults"
	"github.com/headrace-ci/headrace/test/fixture/scm"
)

const (
	commit = "0123456789abcdef0123456789abcdef01234567"
	token  = "s3cr3t-token"
	pac    = "pac.test.appstudio.openshift.io/"
	me     = 7
)

// world is a cluster with a Snapshot of a pull request, and the git host that
// the pull request is at.
type world struct {
	client.Client
	*scm.Server
	t       *testing.T
	now     time.Time
	slept   time.Duration
	opts    reportstatus.Options
	project string // what the host calls the repository
	labels  map[string]string
}

// hosts are all that are reported to.
var hosts = map[string]func(*testing.T) *world{
	"github": func(t *testing.T) *world {
		return newWorld(t, scm.GitHub(t), "github", "github", "shop/web")
	},
	"github-app": func(t *testing.T) *world {
		app := scm.GitHubApp(t)
		app.Installed = []string{"shop/web"}
		w := newWorld(t, app.Server, "github-app", "github", "shop/web")
		w.labels[pac+"installation-id"] = app.Installation
		w.opts.GitHubAPIURL = app.URL + "/api/v3"
		w.file("github-application-id", app.ID)
		w.file("github-private-key", string(app.Key))
		return w
	},
	"gitlab": func(t *testing.T) *world {
		w := newWorld(t, scm.GitLab(t), "gitlab", "gitlab", "42")
		w.labels[pac+"target-project-id"], w.labels[pac+"source-project-id"] = "42", "42"
		return w
	},
	"forgejo": func(t *testing.T) *world {
		return newWorld(t, scm.Forgejo(t), "forgejo", "gitea", "shop/web")
	},
}

func newWorld(t *testing.T, server *scm.Server, provider, pacProvider, project string) *world {
	t.Helper()
	w := &world{t: t, Server: server, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), project: project, labels: map[string]string{
		pac + "git-provider": pacProvider, pac + "event-type": "pull_request", pac + "pull-request": "5", pac + "sha": commit,
	}}
	server.Now = func() time.Time { return w.now }
	server.Tokens[token] = scm.Token{User: me, Writes: []string{project}}
	server.Commits[project] = []string{commit}
	w.opts = reportstatus.Options{
		Resource: "dev/shop-1", ResourceType: "snapshot", Repository: "web", Provider: provider, SecretName: "login", SecretKey: "provider.token", SecretDir: t.TempDir(),
		Links: reportstatus.Links{
			ConsoleName: "Integration Service", Run: "https://console.example.com/ns/{{NAMESPACE}}/run/{{PIPELINE_RUN_NAME}}",
			Task: "https://console.example.com/ns/{{NAMESPACE}}/run/{{PIPELINE_RUN_NAME}}/log/{{TASK_NAME}}", Snapshot: "https://console.example.com/ns/{{NAMESPACE}}/snapshot/{{SNAPSHOT_NAME}}",
		},
		HTTP: server.HTTP, Now: func() time.Time { return w.now },
		Sleep: func(_ context.Context, d time.Duration) error {
			w.now, w.slept = w.now.Add(d), w.slept+d
			return nil
		},
	}
	w.file("token", token+"\n")
	w.cluster(&faults.Write{}, component("web"), w.repository(nil))
	return w
}

func (w *world) file(name, content string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.opts.SecretDir, name), []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// cluster starts anew with objects.
func (w *world) cluster(fault *faults.Write, objects ...client.Object) {
	w.t.Helper()
	w.Client = fake.NewClientBuilder().WithScheme(reportstatus.Scheme()).WithInterceptorFuncs(fault.Funcs()).
		WithStatusSubresource(&v1alpha1.Snapshot{}, &tektonv1.PipelineRun{}).WithObjects(objects...).Build()
	w.opts.Client = w.Client
}

func at(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "dev", Name: name, Labels: map[string]string{}, Annotations: map[string]string{}}
}

func component(name string) *v1alpha1.Component {
	return &v1alpha1.Component{ObjectMeta: at(name), Spec: v1alpha1.ComponentSpec{Application: "shop"}}
}

// repository is the PaC Repository for the host.
func (w *world) repository(settings map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": report.RepositoryVersion, "kind": "Repository", "metadata": map[string]any{"namespace": "dev", "name": "web"},
		"spec": map[string]any{
			"url": w.URL + "/shop/web", "git_provider": map[string]any{"secret": map[string]any{"name": "login"}}, "settings": settings,
		},
	}}
}

func (w *world) line(scenario, status string) snapshot.Test {
	l := snapshot.Test{Scenario: scenario, Status: status, LastUpdateTime: w.now.Add(-time.Minute), Details: "details of " + scenario}
	if status != snapshot.Pending {
		l.Run = scenario + "-run"
	}
	return l
}

func optional(l snapshot.Test) snapshot.Test {
	l.Optional = true
	return l
}

func (w *world) snapshot(name string, lines ...snapshot.Test) *v1alpha1.Snapshot {
	s := &v1alpha1.Snapshot{ObjectMeta: at(name), Spec: v1alpha1.SnapshotSpec{Application: "shop"}}
	s.CreationTimestamp = metav1.NewTime(w.now.Add(-time.Hour))
	maps.Copy(s.Labels, w.labels)
	s.Labels[snapshot.TypeLabel], s.Labels[snapshot.ComponentLabel] = snapshot.ComponentType, "web"
	s.Annotations[pac+"repo-url"], s.Annotations[snapshot.StartTimeKey] = w.URL+"/shop/web", "1700000000000"
	s.Annotations[snapshot.StatusAnnotation] = snapshot.Tests(lines).String()
	return s
}

func (w *world) create(objects ...client.Object) {
	w.t.Helper()
	for _, o := range objects {
		if err := w.Create(w.t.Context(), o); err != nil {
			w.t.Fatal(err)
		}
	}
}

// get reads an object anew.
func (w *world) get(o client.Object, name string) {
	w.t.Helper()
	if err := w.Get(w.t.Context(), client.ObjectKey{Namespace: "dev", Name: name}, o); err != nil {
		w.t.Fatal(err)
	}
}

// set gives the Snapshot other lines, as its controller does.
func (w *world) set(lines ...snapshot.Test) {
	w.t.Helper()
	var s v1alpha1.Snapshot
	w.get(&s, "shop-1")
	s.Annotations[snapshot.StatusAnnotation] = snapshot.Tests(lines).String()
	if err := w.Update(w.t.Context(), &s); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) run() error { return reportstatus.Run(w.t.Context(), w.opts) }

// must runs the task and wants it to work.
func (w *world) must() {
	w.t.Helper()
	if err := w.run(); err != nil {
		w.t.Fatal(err)
	}
}

// words are the states that the host was told, by scenario, in order.
func (w *world) words() map[string][]string {
	words := map[string][]string{}
	for _, s := range w.Statuses() {
		parts := strings.Split(s.Name, " / ")
		words[parts[1]] = append(words[parts[1]], s.State)
	}
	return words
}

// annotations are the Snapshot's.
func (w *world) annotations() map[string]string {
	w.t.Helper()
	var s v1alpha1.Snapshot
	w.get(&s, "shop-1")
	return s.Annotations
}
