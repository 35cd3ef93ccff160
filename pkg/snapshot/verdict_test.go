package snapshot_test

import (
	"fmt"
	"strings"
	"testing"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"

	"github.com/headrace-ci/headrace/pkg/snapshot"
)

func output(result string) string {
	return `{"result":"` + result + `","timestamp":"2025-03-04T05:06:07Z","note":"see log","successes":1,"failures":0,"warnings":0}`
}

func TestVerdict(t *testing.T) {
	const yes, no, open = corev1.ConditionTrue, corev1.ConditionFalse, corev1.ConditionUnknown
	cases := map[string]struct {
		status  corev1.ConditionStatus
		outputs []string // of one task each; empty is none
		gone    int
		want    string
		details string
	}{
		"still running":               {status: open, want: snapshot.InProgress, details: "smoke-1 is in progress"},
		"no outputs":                  {status: yes, outputs: []string{""}, want: snapshot.TestPassed},
		"success and skipped":         {status: yes, outputs: []string{output("SUCCESS"), output("SKIPPED")}, want: snapshot.TestPassed},
		"a warning":                   {status: yes, outputs: []string{output("SUCCESS"), output("WARNING")}, want: snapshot.TestWarning, details: "see log"},
		"a failure among others":      {status: yes, outputs: []string{output("WARNING"), output("FAILURE"), output("SUCCESS")}, want: snapshot.TestFail, details: "FAILURE (see log)"},
		"a failure and no JSON":       {status: yes, outputs: []string{output("FAILURE"), "x", "y"}, want: snapshot.TestFail, details: "task t2"},
		"an error":                    {status: yes, outputs: []string{output("ERROR")}, want: snapshot.TestFail, details: "ERROR"},
		"a result nobody knows":       {status: yes, outputs: []string{output("FINE")}, want: snapshot.TestFail, details: "Invalid result: task t0"},
		"no JSON":                     {status: yes, outputs: []string{"SUCCESS"}, want: snapshot.TestFail, details: "Invalid result"},
		"counts are missing":          {status: yes, outputs: []string{`{"result":"SUCCESS","timestamp":"2025-03-04T05:06:07Z"}`}, want: snapshot.TestFail, details: "Invalid result"},
		"tasks were collected":        {status: yes, outputs: []string{output("SUCCESS")}, gone: 2, want: snapshot.TestInvalid, details: "2 of the 3 TaskRuns"},
		"failed, timed out, canceled": {status: no, want: snapshot.TestFail, details: "what Tekton says"},
		"failed with good outputs":    {status: no, outputs: []string{output("SUCCESS")}, want: snapshot.TestFail, details: "what Tekton says"},
		"failed with a finding":       {status: no, outputs: []string{output("FAILURE")}, want: snapshot.TestFail, details: "what Tekton says: t0: FAILURE"},
	}
	for name, tc := range cases {
		for _, result := range []string{"TEST_OUTPUT", "HACBS_TEST_OUTPUT"} {
			t.Run(name+", "+result, func(t *testing.T) {
				var tasks []tektonv1.TaskRun
				for i, text := range tc.outputs {
					task := tektonv1.TaskRun{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("task-%d", i), Labels: map[string]string{"tekton.dev/pipelineTask": "t" + string(rune('0'+i))}}}
					if text != "" {
						task.Status.Results = []tektonv1.TaskRunResult{{Name: result, Value: *tektonv1.NewStructuredValues(text)}}
					}
					tasks = append(tasks, task)
				}
				status, details := snapshot.Verdict(testRun(tc.status, "what Tekton says", len(tasks)+tc.gone), tasks)
				if status != tc.want || !strings.Contains(details, tc.details) {
					t.Errorf("Verdict() = %s, %q, want %s with %q", status, details, tc.want, tc.details)
				}
			})
		}
	}
}

// TestUnreached holds against what Tekton, its resolvers, registries and git
// hosts say.
func TestUnreached(t *testing.T) {
	const prefix = "Error retrieving pipeline for pipelinerun dev/smoke-1: resolver failed to get Pipeline : error requesting remote resource: "
	cases := map[string]struct {
		reason, message string
		children        int
		want            bool
	}{
		"a resolver that is away":     {"CouldntGetPipeline", prefix + "resolution took longer than global timeout of 1m0s", 0, true},
		"a slow registry":             {"CouldntGetPipeline", prefix + "cannot retrieve the oci image: Get \"https://r.test/v2/\": context deadline exceeded", 0, true},
		"a registry that restarts":    {"CouldntGetPipeline", prefix + "cannot retrieve the oci image: dial tcp 10.0.0.1:5000: connect: connection refused", 0, true},
		"a registry that is down":     {"CouldntGetPipeline", prefix + "GET https://r.test/v2/p/manifests/1: unexpected status code 503 Service Unavailable", 0, true},
		"a registry that throttles":   {"CouldntGetPipeline", prefix + "GET https://r.test/v2/p/manifests/1: TOOMANYREQUESTS: slow down", 0, true},
		"a connection that ends":      {"CouldntGetPipeline", prefix + "Get \"https://r.test/v2/\": EOF", 0, true},
		"a task that is away":         {"CouldntGetTask", "Tasks that don't exist: i/o timeout", 0, true},
		"a task that is away later":   {"CouldntGetTask", "Tasks that don't exist: i/o timeout", 1, false},
		"no such image":               {"CouldntGetPipeline", prefix + "cannot retrieve the oci image: GET https://r.test/v2/p/manifests/1: MANIFEST_UNKNOWN: manifest unknown", 0, false},
		"a digest with digits of 503": {"CouldntGetPipeline", prefix + "GET https://r.test:5000/v2/p/manifests/sha256:aa503bb: MANIFEST_UNKNOWN", 0, false},
		"no rights":                   {"CouldntGetPipeline", prefix + "GET https://r.test/v2/: UNAUTHORIZED: authentication required", 0, false},
		"no such host":                {"CouldntGetPipeline", prefix + "dial tcp: lookup git.tset: no such host", 0, false},
		"no such file":                {"CouldntGetPipeline", prefix + "error opening file \"x.yaml\": file does not exist", 0, false},
		"not a pipeline":              {"CouldntGetPipeline", prefix + "could not find object in image with kind: pipeline and name: x", 0, false},
		"a run that took too long":    {"PipelineRunTimeout", "PipelineRun \"smoke-1\" failed to finish within \"1h0m0s\": context deadline exceeded", 0, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			run := testRun(corev1.ConditionFalse, "", tc.children)
			run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionFalse, Reason: tc.reason, Message: tc.message})
			if got := snapshot.Unreached(run); got != tc.want {
				t.Errorf("Unreached() = %t", got)
			}
		})
	}
	if snapshot.Unreached(testRun(corev1.ConditionTrue, "", 0)) || snapshot.Unreached(&tektonv1.PipelineRun{}) {
		t.Error("a run that passed, or that runs, is taken for one that could not start")
	}
}
