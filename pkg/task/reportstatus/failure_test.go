package reportstatus_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	konfluxv1alpha1 "github.com/headrace-ci/headrace/pkg/apis/konflux/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/report"
	"github.com/headrace-ci/headrace/pkg/snapshot"
	"github.com/headrace-ci/headrace/pkg/task/reportstatus"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/test/fixture/faults"
	"github.com/headrace-ci/headrace/test/fixture/scm"
)

// TestFailures are written on the Snapshot, with when to try again, and the
// task fails; the next run that works takes them off.
func TestFailures(t *testing.T) {
	cases := map[string]struct {
		hosts     []string
		change    func(*world)
		want      string // in the error and on the Snapshot
		hint      string
		permanent bool
		pause     time.Duration
		comments  int
	}{
		"the token is not known": {
			hosts: []string{"github", "gitlab", "forgejo"}, change: func(w *world) { delete(w.Tokens, token) },
			want: "401 Unauthorized", hint: "put a valid one into the Secret", permanent: true, pause: time.Hour,
		},
		"the token may not write": {
			hosts: []string{"github", "gitlab", "forgejo"}, change: func(w *world) { w.Tokens[token] = scm.Token{User: me} },
			want: "403 Forbidden", hint: "let it write commit statuses", permanent: true, pause: time.Hour,
		},
		"only statuses are refused": {
			hosts: []string{"github", "gitlab", "forgejo"}, change: func(w *world) { w.Commits[w.project] = nil },
			want: "No commit found", permanent: true, pause: time.Hour, comments: 1,
		},
		"the App is not installed": {
			hosts: []string{"github-app"}, change: func(w *world) { w.labels[pac+"installation-id"] = "1" },
			want: "404 Not Found", permanent: true, pause: time.Hour,
		},
		"the PaC Repository is of another repository": {
			hosts: []string{"github-app"}, change: func(w *world) {
				r := w.repository(nil)
				r.Object["spec"].(map[string]any)["url"] = w.URL + "/shop/other"
				w.cluster(&faults.Write{}, component("web"), r)
			},
			want: "",
		},
		"the host is down": {
			hosts: []string{"github", "github-app", "gitlab", "forgejo"}, change: func(w *world) {
				w.Fault = func(*http.Request, int) (int, http.Header, bool) { return http.StatusServiceUnavailable, nil, false }
			},
			want: "503 Service Unavailable", pause: 30 * time.Second,
		},
		"the host wants two hours": {
			hosts: []string{"github", "github-app", "gitlab", "forgejo"}, change: func(w *world) { w.Budget, w.Reset = 1, 2*time.Hour },
			want: "", pause: 2 * time.Hour,
		},
		"no such Secret": {
			hosts: []string{"github", "github-app", "gitlab", "forgejo"}, change: func(w *world) { w.opts.SecretDir = t.TempDir() },
			want: `secret "login" has no key`, hint: "make the Secret", permanent: true, pause: time.Hour,
		},
		"an empty token": {
			hosts: []string{"forgejo"}, change: func(w *world) { w.file("token", " \n") },
			want: `secret "login" has no key "provider.token"`, permanent: true, pause: time.Hour,
		},
	}
	for name, tc := range cases {
		for _, host := range tc.hosts {
			t.Run(name+", "+host, func(t *testing.T) {
				var log bytes.Buffer
				slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
				w := hosts[host](t)
				tc.change(w)
				w.create(w.snapshot("shop-1", w.line("smoke", snapshot.TestPassed)))
				err := w.run()
				if tc.pause == 0 { // not this run's
					if err != nil || w.Writes() != 0 {
						t.Errorf("Run() = %v with %d writes", err, w.Writes())
					}
					return
				}
				var hinter interface{ Hint() string }
				if err == nil || !strings.Contains(err.Error(), tc.want) || tc.hint != "" && (!errors.As(err, &hinter) || !strings.Contains(hinter.Hint(), tc.hint)) {
					t.Fatalf("Run() = %v, want an error with %q and the hint %q", err, tc.want, tc.hint)
				}
				annotations := w.annotations()
				if text := annotations[report.FailureAnnotation]; text == "" || !strings.Contains(text, tc.want) || !strings.Contains(text, tc.hint) {
					t.Errorf("the Snapshot says %q", text)
				}
				failure := report.ReadBooks(&v1alpha1.Snapshot{ObjectMeta: objectMeta(annotations)}).Failures["web"]
				if wait := failure.NotBefore.Sub(w.now); failure.Permanent != tc.permanent || failure.Attempts != 1 || wait < tc.pause-2*time.Second || wait > tc.pause+2*time.Second {
					t.Errorf("after %+v it is tried again in %v, want %v, permanent %t", failure, wait, tc.pause, tc.permanent)
				}
				if n := len(w.Comments(w.project, 5)); n != tc.comments {
					t.Errorf("%d comments, want %d", n, tc.comments)
				}
				if text := fmt.Sprint(err, annotations, log.String()); strings.Contains(text, token) || strings.Contains(text, "PRIVATE KEY") {
					t.Errorf("the login is in %s", text)
				}
			})
		}
	}
}

func objectMeta(annotations map[string]string) (m metav1.ObjectMeta) {
	m.Annotations = annotations
	return m
}

// TestMended tells what it could not, and takes the failure off the Snapshot.
func TestMended(t *testing.T) {
	for name, open := range hosts {
		t.Run(name, func(t *testing.T) {
			w := open(t)
			w.create(w.snapshot("shop-1", w.line("smoke", snapshot.TestPassed)))
			w.Fault = func(*http.Request, int) (int, http.Header, bool) { return http.StatusInternalServerError, nil, false }
			if err := w.run(); err == nil {
				t.Fatal("a host that is down was told")
			}
			w.Fault = nil
			w.must()
			annotations := w.annotations()
			if text, ok := annotations[report.FailureAnnotation]; ok || strings.Contains(annotations[report.BooksAnnotation], "failures") {
				t.Errorf("the Snapshot still says %q, and %s", text, annotations[report.BooksAnnotation])
			}
			if len(w.Statuses()) != 1 {
				t.Errorf("statuses are %+v", w.Statuses())
			}
		})
	}
}

// TestBusyCluster writes down what was told although the API server refuses a
// write for a moment.
func TestBusyCluster(t *testing.T) {
	for name, err := range faults.Refusals() {
		w := hosts["forgejo"](t)
		w.cluster(&faults.Write{At: 1, Err: err}, component("web"), w.repository(nil), w.snapshot("shop-1", w.line("smoke", snapshot.TestPassed)))
		if err := w.run(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if books := w.annotations()[report.BooksAnnotation]; !strings.Contains(books, "smoke-shop-1") {
			t.Errorf("%s: the Snapshot says %q", name, books)
		}
	}
}

// TestWaits for the host in the same run where that is soon.
func TestWaits(t *testing.T) {
	w := hosts["forgejo"](t)
	w.create(w.snapshot("shop-1", w.line("smoke", snapshot.TestPassed), w.line("soak", snapshot.TestPassed)))
	w.Budget, w.Reset = 3, time.Minute
	w.must()
	if len(w.Statuses()) != 2 || len(w.Comments("shop/web", 5)) != 1 || w.slept < time.Minute {
		t.Errorf("statuses %+v after %v", w.Statuses(), w.slept)
	}
}

// TestMuted posts statuses and no comments, whoever asks for it.
func TestMuted(t *testing.T) {
	annotated, spec := component("web"), component("web")
	annotated.Annotations[report.MuteAnnotation] = "disable_all"
	spec.Spec.RepositorySettings = &v1alpha1.RepositorySettings{CommentStrategy: "Disable_All"}
	versioned := &konfluxv1alpha1.Component{ObjectMeta: at("web")}
	versioned.Spec.RepositorySettings = &v1alpha1.RepositorySettings{CommentStrategy: "disable_all"}
	for _, host := range []string{"github", "gitlab", "forgejo"} {
		for name, change := range map[string]func(w *world){
			"the Component's annotation":               func(w *world) { w.cluster(&faults.Write{}, annotated.DeepCopy(), w.repository(nil)) },
			"the Component's spec":                     func(w *world) { w.cluster(&faults.Write{}, spec.DeepCopy(), w.repository(nil)) },
			"the Component's spec, in the other group": func(w *world) { w.cluster(&faults.Write{}, versioned.DeepCopy(), w.repository(nil)) },
			"the PaC Repository": func(w *world) {
				w.cluster(&faults.Write{}, component("web"), w.repository(map[string]any{host: map[string]any{"comment_strategy": "disable_all"}}))
			},
		} {
			t.Run(host+" "+name, func(t *testing.T) {
				w := hosts[host](t)
				change(w)
				w.create(w.snapshot("shop-1", w.line("smoke", snapshot.TestPassed)))
				w.must()
				if len(w.Statuses()) != 1 || len(w.Comments(w.project, 5)) != 0 {
					t.Errorf("statuses %+v, comments %+v; want one and none", w.Statuses(), w.Comments(w.project, 5))
				}
			})
		}
	}
}

// TestNoComponent reports although the Component was deleted meanwhile.
func TestNoComponent(t *testing.T) {
	w := hosts["gitlab"](t)
	w.cluster(&faults.Write{}, w.repository(nil), w.snapshot("shop-1", w.line("smoke", snapshot.TestPassed)))
	w.must()
	if len(w.Statuses()) != 1 || len(w.Comments("42", 5)) != 1 {
		t.Errorf("statuses %+v, comments %+v; want one each", w.Statuses(), w.Comments("42", 5))
	}
}

// TestFork comments on GitHub and says why there are no statuses; the others
// tell the fork where the target does not know the commit.
func TestFork(t *testing.T) {
	w := hosts["github"](t)
	s := w.snapshot("shop-1", w.line("smoke", snapshot.TestPassed))
	s.Annotations[pac+"source-repo-url"] = "https://github.com/ada/web"
	w.create(s)
	w.must()
	comments := w.Comments("shop/web", 5)
	if len(w.Statuses()) != 0 || len(comments) != 1 || !strings.Contains(comments[0].Body, "it is in a fork, where the token cannot write them") {
		t.Errorf("statuses %+v, comments %+v", w.Statuses(), comments)
	}
	for _, name := range []string{"gitlab", "forgejo"} {
		w := hosts[name](t)
		fork := map[string]string{"gitlab": "43", "forgejo": "ada/web"}[name]
		w.labels[pac+"source-project-id"] = "43"
		w.Commits[w.project], w.Commits[fork] = nil, []string{commit}
		w.Tokens[token] = scm.Token{User: me, Writes: []string{w.project, fork}}
		s := w.snapshot("shop-1", w.line("smoke", snapshot.TestPassed))
		s.Annotations[pac+"source-repo-url"] = w.URL + "/ada/web"
		w.create(s)
		w.must()
		if got := w.Statuses(); len(got) != 1 || got[0].Repository != fork {
			t.Errorf("%s: statuses are %+v, want one in %s", name, got, fork)
		}
	}
}

// TestUsage refuses a call that cannot work, before anybody is asked.
func TestUsage(t *testing.T) {
	for flag, change := range map[string]func(*reportstatus.Options){
		"resource":      func(o *reportstatus.Options) { o.Resource = "shop-1" },
		"resource-type": func(o *reportstatus.Options) { o.ResourceType = "pod" },
		"repository":    func(o *reportstatus.Options) { o.Repository = "" },
	} {
		w := hosts["github"](t)
		change(&w.opts)
		var usage *taskcli.UsageError
		if err := w.run(); !errors.As(err, &usage) || usage.Flag != flag {
			t.Errorf("--%s: Run() = %v", flag, err)
		}
	}
}

// TestGone is done where there is nothing to report on any more, and fails
// where the PaC Repository is not there.
func TestGone(t *testing.T) {
	w := hosts["github"](t)
	w.must()
	w.opts.Resource, w.opts.ResourceType = "dev/web-1", "pipelinerun"
	w.must()
	if asked := w.Requests(); len(asked) != 0 {
		t.Errorf("the host was asked %v", asked)
	}
	w.opts.Resource, w.opts.ResourceType = "dev/shop-1", "snapshot"
	w.cluster(&faults.Write{}, w.snapshot("shop-1", w.line("smoke", snapshot.TestPassed)))
	if err := w.run(); err == nil || !strings.Contains(err.Error(), `PaC Repository "web"`) {
		t.Errorf("Run() = %v", err)
	}
}

// TestCommand runs the task's program with flags, as the Task does.
func TestCommand(t *testing.T) {
	cmd := reportstatus.Command()
	kubeconfig := filepath.Join(t.TempDir(), "none")
	t.Setenv("KUBECONFIG", kubeconfig)
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	if err := os.WriteFile(kubeconfig, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd.SetArgs([]string{"--resource=dev/shop-1", "--repository=web", "--provider=github"})
	var out bytes.Buffer
	if code := taskcli.Run(t.Context(), cmd, &out); code != 1 || !strings.Contains(out.String(), "finding the cluster") {
		t.Errorf("exit code %d: %s", code, out.String())
	}
}

// TestHostile takes any text in any param for text: it fails, or tells, and no
// address but the host's is asked.
func TestHostile(t *testing.T) {
	texts := []string{"$(touch x)", "a\nb", "--flag", "../../etc/passwd", strings.Repeat("x", 100_000), "\xff\xfe", "https://evil.example.com/", "a/b/c", "{{NAMESPACE}}"}
	for i, field := range []func(*reportstatus.Options) *string{
		func(o *reportstatus.Options) *string { return &o.Resource },
		func(o *reportstatus.Options) *string { return &o.ResourceType },
		func(o *reportstatus.Options) *string { return &o.Repository },
		func(o *reportstatus.Options) *string { return &o.Provider },
		func(o *reportstatus.Options) *string { return &o.GitHubAPIURL },
		func(o *reportstatus.Options) *string { return &o.SecretName },
		func(o *reportstatus.Options) *string { return &o.SecretKey },
		func(o *reportstatus.Options) *string { return &o.Links.ConsoleName },
		func(o *reportstatus.Options) *string { return &o.Links.Run },
		func(o *reportstatus.Options) *string { return &o.Links.Snapshot },
	} {
		for _, text := range texts {
			w := hosts["forgejo"](t)
			w.create(w.snapshot("shop-1", w.line("smoke", snapshot.TestPassed)))
			*field(&w.opts) = text
			err := w.run()
			if told := len(w.Statuses()) == 1; told && err != nil {
				t.Errorf("field %d, %.20q: told, and failed with %v", i, text, err)
			}
			for _, asked := range w.Requests() {
				if _, path, _ := strings.Cut(asked, " "); !strings.HasPrefix(path, "/api/v1/repos/shop/web/") && path != "/api/v1/user" {
					t.Errorf("field %d, %.20q: the host was asked %s", i, text, asked)
				}
			}
		}
	}
}
