package reportstatus_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/report"
	"github.com/headrace-ci/headrace/pkg/snapshot"
	"github.com/headrace-ci/headrace/pkg/task/reportstatus"
	"github.com/headrace-ci/headrace/test/fixture/faults"
	"github.com/headrace-ci/headrace/test/fixture/scm"
)

// TestMatrix is what each host shows of each status, on a pull request and
// after its merge.
func TestMatrix(t *testing.T) {
	statuses := []string{
		snapshot.Pending, snapshot.InProgress, snapshot.TestPassed, snapshot.TestWarning, snapshot.TestFail, snapshot.TestInvalid, snapshot.Deleted,
	}
	want := map[string]string{ // required, and optional where it differs
		"github":     "pending pending success success failure error error",
		"github-app": "queued in_progress completed/success completed/neutral completed/failure:completed/neutral completed/failure:completed/neutral completed/failure:completed/neutral",
		"gitlab":     "pending running success success failed:skipped failed:skipped canceled",
		"forgejo":    "pending pending success success failure:warning error:warning error:warning",
	}
	for name, open := range hosts {
		for _, merged := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, merged %t", name, merged), func(t *testing.T) {
				w := open(t)
				if merged { // the push that follows keeps the number of the pull request
					w.labels[pac+"event-type"] = "push"
				}
				lines, expected := snapshot.Tests{}, map[string][]string{}
				for i, words := range strings.Fields(want[name]) {
					required, other, differs := strings.Cut(words, ":")
					if !differs {
						other = required
					}
					must, may := strings.ToLower(statuses[i]), strings.ToLower(statuses[i])+"-optional"
					lines = append(lines, w.line(must, statuses[i]), optional(w.line(may, statuses[i])))
					expected[must], expected[may] = []string{required}, []string{other}
				}
				w.create(w.snapshot("shop-1", lines...))
				w.must()
				if diff := cmp.Diff(expected, w.words()); diff != "" {
					t.Errorf("statuses (-want +got):\n%s", diff)
				}
				for _, s := range w.Statuses() {
					if s.Commit != commit || !strings.HasPrefix(s.Name, "Integration Service / ") || !strings.HasSuffix(s.Name, " / web") {
						t.Errorf("a status is named %q, of commit %s", s.Name, s.Commit)
					}
				}
				comments := w.Comments(w.project, 5)
				if wanted := name != "github-app" && !merged; wanted != (len(comments) == 1) {
					t.Errorf("there are %d comments", len(comments))
				}
				before := w.Writes()
				w.must()
				if w.Writes() != before {
					t.Errorf("a second run wrote %d times", w.Writes()-before)
				}
			})
		}
	}
}

// buildRun is the build of the pull request, as Pipelines as Code makes it.
func (w *world) buildRun() *tektonv1.PipelineRun {
	run := &tektonv1.PipelineRun{ObjectMeta: at("web-1")}
	start := metav1.NewTime(w.now.Add(-10 * time.Minute))
	run.CreationTimestamp, run.Status.StartTime = start, &start
	for k, v := range w.labels {
		run.Labels["pipelinesascode.tekton.dev/"+strings.TrimPrefix(k, pac)] = v
	}
	run.Annotations["pipelinesascode.tekton.dev/repo-url"] = w.URL + "/shop/web"
	run.Labels[snapshot.ComponentLabel] = "web"
	return run
}

func smoke() *v1beta2.IntegrationTestScenario {
	s := &v1beta2.IntegrationTestScenario{ObjectMeta: at("smoke")}
	s.Spec.Application = "shop"
	return s
}

// TestLife goes from a build that runs to a test that passed: what is pending
// before there is a Snapshot becomes what the Snapshot's test is.
func TestLife(t *testing.T) {
	want := map[string][]string{
		"github": {"pending", "pending", "success"}, "github-app": {"completed/success"}, "gitlab": {"success"}, "forgejo": {"pending", "pending", "success"},
	}
	for name, open := range hosts {
		t.Run(name, func(t *testing.T) {
			w := open(t)
			w.create(w.buildRun(), smoke())
			w.opts.Resource, w.opts.ResourceType = "dev/web-1", "pipelinerun"
			w.must()
			if got := w.words()["smoke"]; len(got) != 1 || got[0] != map[bool]string{true: "queued", false: "pending"}[name == "github-app"] {
				t.Fatalf("before the build ends the host shows %v", got)
			}
			var run tektonv1.PipelineRun
			w.get(&run, "web-1")
			if got := run.Annotations[report.BuildAnnotation]; got != report.BuildInProgress {
				t.Errorf("the build says that %q was reported", got)
			}
			w.opts.Resource, w.opts.ResourceType = "dev/shop-1", "snapshot"
			s := w.snapshot("shop-1", w.line("smoke", snapshot.InProgress))
			s.Annotations[snapshot.StartTimeKey] = fmt.Sprint(w.now.Add(-10 * time.Minute).UnixMilli())
			w.create(s)
			w.must()
			done := w.line("smoke", snapshot.TestPassed)
			done.LastUpdateTime = w.now
			w.set(done)
			w.must()
			if diff := cmp.Diff(want[name], w.words()["smoke"]); diff != "" {
				t.Errorf("statuses (-want +got):\n%s", diff)
			}
			if comments := w.Comments(w.project, 5); name != "github-app" && (len(comments) != 1 || comments[0].Edits != 2 || !strings.Contains(comments[0].Body, "Succeeded")) {
				t.Errorf("comments are %+v, want one that was edited twice", comments)
			}
		})
	}
}

// TestBuildFails says so in the place of each test.
func TestBuildFails(t *testing.T) {
	want := map[string]string{"github": "failure", "github-app": "completed/cancelled", "gitlab": "canceled", "forgejo": "failure"}
	for name, open := range hosts {
		for title, tc := range map[string]struct {
			change func(*tektonv1.PipelineRun)
			state  string
			text   string
		}{
			"the build": {func(run *tektonv1.PipelineRun) {
				run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionFalse, Message: "task lint failed"})
			}, report.BuildFailed, "has not run because the build failed"},
			"the Snapshot": {func(run *tektonv1.PipelineRun) {
				run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionTrue})
				run.Annotations[snapshot.CreatedAnnotation] = `{"status":"failed","message":"pipeline result IMAGE_DIGEST is missing"}`
			}, report.SnapshotCreationFailed, "has not run because no Snapshot could be made"},
		} {
			t.Run(name+" "+title, func(t *testing.T) {
				w := open(t)
				run := w.buildRun()
				end := metav1.NewTime(w.now.Add(-time.Minute))
				run.Status.CompletionTime = &end
				tc.change(run)
				w.create(run, smoke())
				w.opts.Resource, w.opts.ResourceType = "dev/web-1", "pipelinerun"
				w.must()
				got := w.Statuses()
				if len(got) != 1 || got[0].State != want[name] || !strings.Contains(got[0].Description, tc.text) {
					t.Errorf("the host was told %+v, want %s", got, want[name])
				}
				w.get(run, "web-1")
				if said := run.Annotations[report.BuildAnnotation]; said != tc.state {
					t.Errorf("the build says that %q was reported, want %q", said, tc.state)
				}
			})
		}
	}
}

type end struct {
	Statuses    []scm.Status
	Comments    []scm.Comment
	Annotations map[string]string
}

func (w *world) end() end {
	annotations := w.annotations()
	delete(annotations, pac+"repo-url") // the host's address differs each time
	return end{Statuses: w.Statuses(), Comments: w.Comments(w.project, 5), Annotations: annotations}
}

// TestKilled ends the same wherever the task was killed: at a write to the host
// or to the API server, before it arrived or after.
func TestKilled(t *testing.T) {
	journey := func(t *testing.T, open func(*testing.T) *world, fault *faults.Write, dead func(r *http.Request, write int) (int, http.Header, bool)) end {
		w := open(t)
		w.cluster(fault, component("web"), w.repository(nil), w.snapshot("shop-1", w.line("smoke", snapshot.TestPassed), optional(w.line("soak", snapshot.TestFail))))
		w.Fault = dead
		for range 3 {
			// It dies where it would wait for the host.
			ctx, kill := context.WithCancel(t.Context())
			w.opts.Sleep = func(ctx context.Context, _ time.Duration) error {
				kill()
				return ctx.Err()
			}
			_ = reportstatus.Run(ctx, w.opts) // killed, or done
			kill()
			w.now = w.now.Add(time.Minute)
		}
		return w.end()
	}
	for name, open := range hosts {
		t.Run(name, func(t *testing.T) {
			whole, told := &faults.Write{}, 0
			want := journey(t, open, whole, func(_ *http.Request, n int) (int, http.Header, bool) {
				told = max(told, n)
				return 0, nil, false
			})
			if len(want.Statuses) != 2 || want.Annotations[report.FailureAnnotation] != "" || !strings.Contains(want.Annotations[report.BooksAnnotation], "smoke-shop-1") {
				t.Fatalf("undisturbed it ends in %+v", want)
			}
			same := func(title string, got end) {
				t.Helper()
				if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(scm.Status{}, "ID"), cmpopts.IgnoreFields(scm.Comment{}, "ID")); diff != "" {
					t.Errorf("%s it ended otherwise (-undisturbed +killed):\n%s", title, diff)
				}
			}
			for _, late := range []bool{false, true} {
				for i := 1; i <= whole.Seen(); i++ {
					same(fmt.Sprintf("killed at write %d to the cluster, late %t,", i, late), journey(t, open, &faults.Write{At: i, Late: late}, nil))
				}
				for i := 1; i <= told; i++ {
					failed := false
					same(fmt.Sprintf("without an answer to write %d to the host, late %t,", i, late), journey(t, open, &faults.Write{}, func(r *http.Request, n int) (int, http.Header, bool) {
						if n != i || failed || r.Method == http.MethodGet {
							return 0, nil, false
						}
						failed = true
						return http.StatusBadGateway, nil, late
					}))
				}
			}
		})
	}
}

// TestMeanwhile tells in one run what changed while it told.
func TestMeanwhile(t *testing.T) {
	w := hosts["forgejo"](t)
	w.create(w.snapshot("shop-1", w.line("smoke", snapshot.InProgress)))
	changed := false
	w.Fault = func(r *http.Request, n int) (int, http.Header, bool) {
		if n == 1 && !changed {
			changed = true
			done := w.line("smoke", snapshot.TestFail)
			done.LastUpdateTime = w.now
			w.set(done)
		}
		return 0, nil, false
	}
	w.must()
	if diff := cmp.Diff(map[string][]string{"smoke": {"pending", "failure"}}, w.words()); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
}

// TestCanceled takes back what was said to go on.
func TestCanceled(t *testing.T) {
	want := map[string][]string{"github": {"pending", "failure"}, "github-app": {"completed/cancelled"}, "gitlab": {"canceled"}, "forgejo": {"pending", "failure"}}
	for name, open := range hosts {
		t.Run(name, func(t *testing.T) {
			w := open(t)
			w.create(w.snapshot("shop-1", w.line("smoke", snapshot.InProgress)))
			w.must()
			var s v1alpha1.Snapshot
			w.get(&s, "shop-1")
			meta.SetStatusCondition(&s.Status.Conditions, metav1.Condition{
				Type: "AppStudioIntegrationStatus", Status: metav1.ConditionTrue, Reason: "Canceled", LastTransitionTime: metav1.NewTime(w.now),
			})
			if err := w.Status().Update(t.Context(), &s); err != nil {
				t.Fatal(err)
			}
			w.must()
			if diff := cmp.Diff(map[string][]string{"smoke": want[name]}, w.words()); diff != "" {
				t.Errorf("statuses (-want +got):\n%s", diff)
			}
		})
	}
}

// TestMany is one status on GitLab for more scenarios than it has room for.
func TestMany(t *testing.T) {
	for _, tc := range []struct {
		n    int
		want int
	}{{50, 50}, {51, 1}} {
		w := hosts["gitlab"](t)
		w.PageSize = 100
		var lines snapshot.Tests
		for i := range tc.n {
			status := snapshot.TestPassed
			if i == 0 {
				status = snapshot.TestFail
			}
			lines = append(lines, w.line(fmt.Sprintf("test-%02d", i), status))
		}
		w.create(w.snapshot("shop-1", lines...))
		w.must()
		got := w.Statuses()
		if len(got) != tc.want {
			t.Errorf("%d scenarios became %d statuses, want %d", tc.n, len(got), tc.want)
		}
		if tc.want == 1 && (got[0].Name != "Integration Service / Integration Tests" || got[0].State != "failed" || got[0].Description != "50/51 passed" ||
			got[0].URL != "https://console.example.com/ns/dev/snapshot/shop-1") {
			t.Errorf("the one status is %+v", got[0])
		}
		if n := len(w.Comments("42", 5)); n != 1 {
			t.Errorf("%d notes", n)
		}
	}
}

// TestGroup is reported to the pull requests of the members in the repository.
func TestGroup(t *testing.T) {
	w := hosts["forgejo"](t)
	const other = "1123456789abcdef0123456789abcdef01234567"
	w.Commits["shop/web"] = []string{commit, other}
	second := w.snapshot("web-b")
	second.Labels[pac+"sha"], second.Labels[pac+"pull-request"] = other, "6"
	elsewhere := w.snapshot("web-c")
	elsewhere.Annotations[pac+"repo-url"] = w.URL + "/shop/elsewhere"
	group := w.snapshot("shop-1", w.line("smoke", snapshot.TestPassed))
	group.Labels = maps.Clone(group.Labels)
	group.Labels[snapshot.TypeLabel] = snapshot.GroupType
	group.Annotations["test.appstudio.openshift.io/group-test-info"] = `[{"snapshot":"web-a","component":"web"},{"snapshot":"web-b","component":"api"},{"snapshot":"web-c","component":"c"}]`
	w.create(w.snapshot("web-a"), second, elsewhere, group)
	w.must()
	var got []string
	for _, s := range w.Statuses() {
		got = append(got, s.Commit[:2]+" "+s.Name)
	}
	if diff := cmp.Diff([]string{"01 Integration Service / smoke / pr group", "11 Integration Service / smoke / pr group"}, got); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
	for _, pull := range []int{5, 6} {
		if c := w.Comments("shop/web", pull); len(c) != 1 || !strings.HasPrefix(c[0].Body, "Integration test for pr group snapshot [shop-1]") {
			t.Errorf("pull request %d has comments %+v", pull, c)
		}
	}
	books := w.annotations()[report.BooksAnnotation]
	if !strings.Contains(books, "smoke-web-a") || !strings.Contains(books, "smoke-web-b") || strings.Contains(books, "smoke-web-c") {
		t.Errorf("what was told is %s", books)
	}
}

// TestAwaited is a neutral check that names what a group waits for, and is over
// when the group is there.
func TestAwaited(t *testing.T) {
	want := map[string][]string{"github": {"success", "success"}, "github-app": {"completed/neutral", "completed/success"}, "gitlab": {"success", "success"}, "forgejo": {"success", "success"}}
	for name, open := range hosts {
		t.Run(name, func(t *testing.T) {
			w := open(t)
			s := w.snapshot("shop-1")
			s.CreationTimestamp = metav1.NewTime(w.now)
			s.Annotations[snapshot.GroupReasonAnnotation], s.Annotations[snapshot.GroupStatusAnnotation] = snapshot.GroupWaiting, "build api-1 of component api is running"
			w.create(s)
			w.must()
			got := w.Statuses()
			if len(got) != 1 || got[0].Name != "Integration Service / pr group / web" || !strings.HasSuffix(got[0].Description, ": build api-1 of component api is running") {
				t.Errorf("statuses are %+v", got)
			}
			var again v1alpha1.Snapshot
			w.get(&again, "shop-1")
			again.Annotations[snapshot.GroupReasonAnnotation], again.Annotations[snapshot.GroupStatusAnnotation] = snapshot.GroupCreated, "Snapshot group-1"
			if err := w.Update(t.Context(), &again); err != nil {
				t.Fatal(err)
			}
			w.must()
			w.must()
			if diff := cmp.Diff(map[string][]string{"pr group": want[name]}, w.words()); diff != "" {
				t.Errorf("statuses (-want +got):\n%s", diff)
			}
		})
	}
}
