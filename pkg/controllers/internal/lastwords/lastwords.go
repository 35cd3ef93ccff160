// Package lastwords reads what the steps of a run said before they failed.
package lastwords

import (
	"context"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/headrace-ci/headrace/pkg/tekton/failure"
)

// Logs returns the end of a container's log.
type Logs func(ctx context.Context, pod client.ObjectKey, container string) (string, error)

// FromPods reads them from the API server: 20 lines, and 8 KiB, at most.
func FromPods(config *rest.Config) (Logs, error) {
	pods, err := corev1client.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, pod client.ObjectKey, container string) (string, error) {
		lines, bytes := int64(20), int64(8192)
		raw, err := pods.Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Container: container, TailLines: &lines, LimitBytes: &bytes}).DoRaw(ctx)
		return string(raw), err
	}, nil
}

// Of are the tasks of a run, and the ends of the logs of those steps that
// failed, by the name of their TaskRun. A pod that is gone has none.
func Of(ctx context.Context, c client.Reader, read Logs, run *tektonv1.PipelineRun) ([]tektonv1.TaskRun, map[string]string, error) {
	var tasks tektonv1.TaskRunList
	err := c.List(ctx, &tasks, client.InNamespace(run.Namespace), client.MatchingLabels{"tekton.dev/pipelineRun": run.Name})
	if err != nil {
		return nil, nil, err
	}
	logs := map[string]string{}
	for i := range tasks.Items {
		t := &tasks.Items[i]
		step := failure.Step(t)
		if step == "" || t.Status.PodName == "" {
			continue
		}
		text, err := read(ctx, client.ObjectKey{Namespace: t.Namespace, Name: t.Status.PodName}, step)
		if err != nil {
			log.FromContext(ctx).V(1).Info("no log of a failed step", "pod", t.Status.PodName, "step", step, "reason", err.Error())
		}
		logs[t.Name] = text
	}
	return tasks.Items, logs, nil
}
