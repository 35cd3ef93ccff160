package failure_test

import (
	"testing"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"

	"github.com/headrace-ci/headrace/pkg/tekton/failure"
)

func TestText(t *testing.T) {
	task := func(name, reason, message string) tektonv1.TaskRun {
		tr := tektonv1.TaskRun{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"tekton.dev/pipelineTask": name}}}
		tr.Status.PodName = name + "-pod"
		status := corev1.ConditionFalse
		if reason == "Succeeded" {
			status = corev1.ConditionTrue
		}
		tr.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: status, Reason: reason, Message: message})
		return tr
	}
	run := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: "managed"}}
	tasks := []tektonv1.TaskRun{task("collect-data", "Succeeded", ""), task("verify", "Failed", `"step-validate" exited with code 1`)}
	tasks[1].Name = "managed-verify"
	want := `Tasks Completed: 2; task verify failed: "step-validate" exited with code 1 (kubectl -n managed logs verify-pod --all-containers)`
	if got := failure.Text(run, "Tasks Completed: 2", tasks, nil); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	failed := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1}}
	tasks[1].Status.Steps = []tektonv1.StepState{{Container: "step-prepare"}, {Container: "step-validate", ContainerState: failed}}
	want = `Tasks Completed: 2; task verify failed: "step-validate" exited with code 1 (kubectl -n managed logs verify-pod -c step-validate):
cloning https://***@git.example.com/a: no such repository`
	logs := map[string]string{"managed-verify": "cloning https://ada:secret@git.example.com/a: no such repository\n"}
	if got := failure.Text(run, "Tasks Completed: 2", tasks, logs); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := failure.Reason(run, tasks); got != "Error" {
		t.Errorf("got reason %s, want Error", got)
	}
	if got := failure.Reason(run, []tektonv1.TaskRun{task("push", "TaskRunTimeout", "")}); got != "TaskRunTimeout" {
		t.Errorf("got reason %s, want TaskRunTimeout", got)
	}
	tasks[1].Status.Steps = []tektonv1.StepState{{ContainerState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "OOMKilled"}}}}
	if got := failure.Reason(run, tasks); got != "OOMKill" {
		t.Errorf("got reason %s, want OOMKill", got)
	}
}
