package snapshotgc

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// page is how many objects are read at once: with a thousand components each,
// Snapshots are large.
const page = 100

// each reads a list page by page, and hands every page to use.
func (c *Collector) each(ctx context.Context, list client.ObjectList, use func(), opts ...client.ListOption) error {
	next := ""
	for {
		if err := c.reader().List(ctx, list, append(opts, client.Limit(page), client.Continue(next))...); err != nil {
			return err
		}
		use()
		if next = list.GetContinue(); next == "" {
			return nil
		}
		list.SetContinue("")
	}
}

// candidates are all Snapshots that are not being deleted already.
func (c *Collector) candidates(ctx context.Context, namespace string) ([]snapshot.Candidate, error) {
	var all []snapshot.Candidate
	var list v1alpha1.SnapshotList
	return all, c.each(ctx, &list, func() {
		for i := range list.Items {
			if list.Items[i].DeletionTimestamp == nil {
				all = append(all, snapshot.NewCandidate(&list.Items[i]))
			}
		}
		list.Items = nil
	}, client.InNamespace(namespace))
}

// bound are the names of the Snapshots that Releases name.
func (c *Collector) bound(ctx context.Context, namespace string) (map[string]bool, error) {
	names := map[string]bool{}
	var list v1alpha1.ReleaseList
	return names, c.each(ctx, &list, func() {
		for i := range list.Items {
			names[list.Items[i].Spec.Snapshot] = true
		}
		list.Items = nil
	}, client.InNamespace(namespace))
}

// held are the runs that a finalizer of ours keeps.
func (c *Collector) held(ctx context.Context, namespace string) ([]tektonv1.PipelineRun, error) {
	var runs []tektonv1.PipelineRun
	for _, kind := range []string{snapshot.BuildRun, snapshot.TestRun} {
		var list tektonv1.PipelineRunList
		err := c.each(ctx, &list, func() {
			for i := range list.Items {
				run := &list.Items[i]
				for _, name := range run.Finalizers {
					if name == snapshot.RunFinalizer || name == snapshot.NudgeFinalizer {
						runs = append(runs, *run)
						break
					}
				}
			}
			list.Items = nil
		}, client.InNamespace(namespace), client.MatchingLabels{snapshot.RunTypeLabel: kind})
		if err != nil {
			return nil, err
		}
	}
	return runs, nil
}

// tellUnread tells a Snapshot's author that its annotation cannot be read, in
// one event a Snapshot.
func (c *Collector) tellUnread(ctx context.Context, namespace string, candidate snapshot.Candidate) error {
	if c.DryRun {
		return nil
	}
	sum := sha256.Sum256([]byte(candidate.UID))
	now := metav1.NewTime(c.Now())
	event := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: candidate.Name + "." + hex.EncodeToString(sum[:4])},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: v1alpha1.GroupVersion.String(), Kind: "Snapshot", Namespace: namespace, Name: candidate.Name, UID: candidate.UID,
		},
		Type: corev1.EventTypeWarning, Reason: "KeepSnapshotUnreadable",
		Message: "annotation " + snapshot.KeepSnapshot + ` cannot be read, so it keeps the Snapshot for 24 hours only: use "true", a number of days such as "30d", or a duration such as "36h"`,
		Source:  corev1.EventSource{Component: "snapshot-gc"}, FirstTimestamp: now, LastTimestamp: now, Count: 1,
	}
	if err := c.Client.Create(ctx, event); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("telling about annotation %s of Snapshot %q: %w", snapshot.KeepSnapshot, candidate.Name, err)
	}
	return nil
}
