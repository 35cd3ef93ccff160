package install

import (
	"context"
	"errors"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// wait waits until every Deployment among objects runs as applied and, if
// Tekton is among them, until it answers.
func (in *Installer) wait(ctx context.Context, objects []*unstructured.Unstructured) error {
	for _, u := range objects {
		if u.GetKind() != "Deployment" {
			continue
		}
		key := client.ObjectKeyFromObject(u)
		var d appsv1.Deployment
		err := wait.PollUntilContextCancel(ctx, poll, true, func(ctx context.Context) (bool, error) {
			err := in.client.Get(ctx, key, &d)
			return err == nil && available(&d), err
		})
		if err != nil {
			return in.notReady(u, &d, err)
		}
		in.progress.say("%s is ready", title(u))
	}
	if !in.Platform {
		return nil
	}
	for _, namespace := range []string{tektonNamespace, resolversNamespace, chainsNamespace} {
		if err := in.waitForLeaders(ctx, namespace); err != nil {
			return err
		}
	}
	return in.waitForTekton(ctx)
}

func available(d *appsv1.Deployment) bool {
	want := int32(1)
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}
	s := d.Status
	return s.ObservedGeneration == d.Generation && s.UpdatedReplicas == want && s.AvailableReplicas == want && s.Replicas == want
}

// waitForTekton waits until Tekton's webhook answers; a run that is created
// before would be refused.
func (in *Installer) waitForTekton(ctx context.Context) error {
	var last error
	err := wait.PollUntilContextCancel(ctx, poll, true, func(ctx context.Context) (bool, error) {
		task := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "tekton.dev/v1", "kind": "Task",
			"metadata": map[string]any{"name": "headrace-probe", "namespace": "default"},
			"spec": map[string]any{"steps": []any{map[string]any{
				"name": "probe", "image": "example.com/probe", "command": []any{"/probe"},
			}}},
		}}
		last = in.client.Create(ctx, task, client.DryRunAll)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for Tekton to answer: %w", errors.Join(err, last))
	}
	in.progress.say("Tekton answers")
	return nil
}

// notReadyError says what keeps a Deployment from running.
type notReadyError struct {
	title, reasons string
	err            error
}

func (e *notReadyError) Error() string {
	return fmt.Sprintf("waiting for %s to be ready: %v: %s", e.title, e.err, e.reasons)
}
func (e *notReadyError) Unwrap() error { return e.err }

// Hint says what to try.
func (e *notReadyError) Hint() string {
	return "if it only needs more time, run this again with a larger --timeout; if its image cannot be pulled, the cluster's nodes must reach and trust the registry"
}

func (in *Installer) notReady(u *unstructured.Unstructured, d *appsv1.Deployment, err error) error {
	// ctx has ended, and its end is what we explain.
	ctx := context.Background()
	var reasons []string
	var pods corev1.PodList
	selector, badSelector := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if badSelector == nil {
		// Best effort: without the pods the message is only shorter.
		_ = in.client.List(ctx, &pods, client.InNamespace(u.GetNamespace()), client.MatchingLabelsSelector{Selector: selector})
	}
	for _, pod := range pods.Items {
		for _, c := range append(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses...) {
			switch {
			case c.State.Waiting != nil:
				reasons = append(reasons, fmt.Sprintf("pod %s: %s: %s", pod.Name, c.State.Waiting.Reason, c.State.Waiting.Message))
			case c.LastTerminationState.Terminated != nil:
				reasons = append(reasons, fmt.Sprintf("pod %s: exited with %d", pod.Name, c.LastTerminationState.Terminated.ExitCode))
			}
		}
	}
	for _, c := range d.Status.Conditions {
		if c.Status != corev1.ConditionTrue && c.Message != "" {
			reasons = append(reasons, c.Message)
		}
	}
	return &notReadyError{title(u), strings.Join(reasons, "; "), err}
}
