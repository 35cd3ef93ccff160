package reportstatus_test

import (
	"strings"
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"

	"github.com/headrace-ci/headrace/pkg/snapshot"
	"github.com/headrace-ci/headrace/pkg/task/reportstatus"
)

// taskRun is one of a test, with what it says of itself.
func (w *world) taskRun(name, output string, after time.Duration) *tektonv1.TaskRun {
	run := &tektonv1.TaskRun{ObjectMeta: at("smoke-run-" + name)}
	run.Labels["tekton.dev/pipelineRun"], run.Labels["tekton.dev/pipelineTask"] = "smoke-run", name
	start, end := metav1.NewTime(w.now.Add(after)), metav1.NewTime(w.now.Add(after+83*time.Second))
	run.Status.StartTime, run.Status.CompletionTime = &start, &end
	run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionTrue, Reason: "Succeeded"})
	if output != "" {
		run.Status.Results = []tektonv1.TaskRunResult{{Name: "TEST_OUTPUT", Value: *tektonv1.NewStructuredValues(output)}}
	}
	return run
}

// TestTexts are what a reader sees: a table of the scenarios, one of the tasks
// of each that has ended, and links.
func TestTexts(t *testing.T) {
	failed := func(w *world) *tektonv1.TaskRun {
		run := w.taskRun("crash", "", 3*time.Minute)
		run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionFalse, Reason: "Failed", Message: "step x exited with 1"})
		return run
	}
	want := []string{
		"| [unit](https://console.example.com/ns/dev/run/smoke-run/log/unit) | 1m23s | default | :x: FAILURE | 3 success(es), 1 failure(s). a\\|b &lt;img> @\u200bada |",
		"| [lint](https://console.example.com/ns/dev/run/smoke-run/log/lint) | 1m23s |  | :heavy_check_mark: Succeeded |  |",
		"| [odd](https://console.example.com/ns/dev/run/smoke-run/log/odd) | 1m23s |  | :heavy_exclamation_mark: Invalid result |",
		"| [crash](https://console.example.com/ns/dev/run/smoke-run/log/crash) | 1m23s |  | :x: Failed | step x exited with 1 |",
	}
	for name, open := range hosts {
		t.Run(name, func(t *testing.T) {
			w := open(t)
			s := w.snapshot("shop-1", w.line("smoke", snapshot.TestFail), optional(w.line("soak", snapshot.Pending)))
			s.Annotations[snapshot.CreatedAnnotation] = "left out, having no image yet: [api]"
			w.create(s,
				w.taskRun("lint", "", 0), w.taskRun("odd", `{"result":"FINE"}`, 2*time.Minute), failed(w),
				w.taskRun("unit", `{"result":"FAILURE","timestamp":"2026-01-02T03:04:05Z","successes":3,"failures":1,"warnings":0,"note":"a|b <img>\n@ada","namespace":"default"}`, time.Minute))
			w.must()
			status := w.Statuses()[0]
			if status.Description != "Integration test for component web snapshot shop-1 and scenario smoke has failed" || status.URL != "https://console.example.com/ns/dev/run/smoke-run" {
				t.Errorf("the status says %q, and leads to %s", status.Description, status.URL)
			}
			if second := w.Statuses()[1]; second.Description != "Integration test for component web snapshot shop-1 and optional scenario soak is pending" ||
				second.URL != "https://console.example.com/ns/dev/snapshot/shop-1" {
				t.Errorf("the status says %q, and leads to %s", second.Description, second.URL)
			}
			text := status.Text
			if name == "github-app" {
				want := append([]string{"details of smoke", "PipelineRun: [smoke-run](https://console.example.com/ns/dev/run/smoke-run)"}, want...)
				contains(t, text, want...)
				return
			}
			text = w.Comments(w.project, 5)[0].Body
			if !strings.HasPrefix(text, "Integration test for component web snapshot [shop-1](https://console.example.com/ns/dev/snapshot/shop-1)\n") {
				t.Errorf("the comment begins otherwise:\n%s", text)
			}
			contains(t, text, append([]string{
				"| [smoke](https://console.example.com/ns/dev/run/smoke-run) | :x: Failed | details of smoke |",
				"| [soak (optional)](https://console.example.com/ns/dev/snapshot/shop-1) | :hourglass: Pending | details of soak |",
				"\nleft out, having no image yet: [api]\n", "<details><summary>smoke</summary>",
			}, want...)...)
			if strings.Index(text, "[lint]") > strings.Index(text, "[unit]") || strings.Contains(text, "<summary>soak") {
				t.Errorf("the tasks are not in order, or one has not ended:\n%s", text)
			}
		})
	}
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("there is no %q in:\n%s", part, text)
		}
	}
}

// TestNoConsole leads to upstream's placeholder, and is told all the same.
func TestNoConsole(t *testing.T) {
	w := hosts["gitlab"](t)
	w.opts.Links = reportstatus.Links{ConsoleName: "Red Hat Konflux"}
	w.create(w.snapshot("shop-1", w.line("smoke", "SomethingNew")))
	w.must()
	got := w.Statuses()
	if len(got) != 1 || got[0].URL != "https://CONSOLE_URL_NOT_AVAILABLE" || got[0].Name != "Red Hat Konflux / smoke / web" || got[0].State != "failed" ||
		!strings.Contains(got[0].Description, "unknown status SomethingNew") {
		t.Errorf("statuses are %+v", got)
	}
}

// TestSeveralGroups has a comment of its own for each Snapshot of a build.
func TestSeveralGroups(t *testing.T) {
	w := hosts["forgejo"](t)
	for name, group := range map[string]string{"shop-1": "all", "shop-2": "old"} {
		s := w.snapshot(name, w.line("smoke-"+group, snapshot.TestPassed))
		s.Spec.Application, s.Spec.ComponentGroup = "", group
		w.create(s)
		w.opts.Resource = "dev/" + name
		w.must()
	}
	if all := w.Comments("shop/web", 5); len(all) != 2 || all[0].Edits+all[1].Edits != 0 {
		t.Errorf("comments are %+v, want one for each group", all)
	}
}
