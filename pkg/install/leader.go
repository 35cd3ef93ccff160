package install

import (
	"context"
	"fmt"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// waitForLeaders waits until the controllers of a namespace hold their leases.
// A resolver of Tekton that takes its lease takes up every request there is,
// those for other resolvers too, and fails them: no request may be made
// between the first lease and the last.
func (in *Installer) waitForLeaders(ctx context.Context, namespace string) error {
	var waiting string
	err := wait.PollUntilContextCancel(ctx, poll, true, func(ctx context.Context) (bool, error) {
		var leases coordinationv1.LeaseList
		if err := in.client.List(ctx, &leases, client.InNamespace(namespace)); err != nil {
			return false, err
		}
		var pods corev1.PodList
		if err := in.client.List(ctx, &pods, client.InNamespace(namespace)); err != nil {
			return false, err
		}
		waiting = notLed(leases.Items, pods.Items, time.Now())
		return waiting == "", nil
	})
	if err != nil {
		return fmt.Errorf("waiting for a controller to take Lease %s/%s: %w", namespace, waiting, err)
	}
	return nil
}

// notLed is a lease that none of the pods holds yet and one may still take, or
// empty.
func notLed(leases []coordinationv1.Lease, pods []corev1.Pod, now time.Time) string {
	started := map[string]time.Time{}
	var last time.Time
	for _, pod := range pods {
		for _, c := range pod.Status.ContainerStatuses {
			if c.State.Running == nil {
				continue
			}
			started[pod.Name] = c.State.Running.StartedAt.Time
			if started[pod.Name].After(last) {
				last = started[pod.Name]
			}
		}
	}
	for _, lease := range leases {
		if lease.Spec.HolderIdentity == nil || lease.Spec.RenewTime == nil || lease.Spec.LeaseDurationSeconds == nil {
			return lease.Name
		}
		holder, _, _ := strings.Cut(*lease.Spec.HolderIdentity, "_")
		since, running := started[holder]
		duration := time.Duration(*lease.Spec.LeaseDurationSeconds) * time.Second
		held := running && lease.Spec.RenewTime.After(since) && now.Sub(lease.Spec.RenewTime.Time) < duration
		// What nobody took by then is of a controller that is no more.
		abandoned := now.Sub(last) > 2*duration
		if !held && !abandoned {
			return lease.Name
		}
	}
	return ""
}
