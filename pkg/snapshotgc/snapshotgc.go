// Package snapshotgc deletes the Snapshots that a namespace keeps no longer,
// and lets go of runs that a finalizer of ours holds for too long.
//
// pkg/snapshot chooses; this package reads and deletes. Whatever happens in
// between, a Snapshot is deleted only as it was when it was chosen. Deleting
// one takes its test runs with it.
//
// Errors: those of one namespace, or of one object, do not keep the rest from
// being collected; they are joined.
package snapshotgc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// tenants are the labels of namespaces that teams have, as upstream has had
// them over time.
var tenants = []client.MatchingLabels{
	{"konflux-ci.dev/type": "tenant"}, {"konflux.ci/type": "user"}, {"toolchain.dev.openshift.com/type": "tenant"},
}

// Archive takes in Snapshots that are about to be deleted. One that it does
// not take stays. Taking the same one twice must be no error.
type Archive interface {
	Put(ctx context.Context, s *v1alpha1.Snapshot) error
}

// Collector collects the Snapshots of a cluster.
type Collector struct {
	Client client.Client
	// Reader must not be a cache, which cannot list page by page and may be
	// behind. Nil for Client, where that is none.
	Reader  client.Reader
	Limits  snapshot.Limits
	Archive Archive // nil for none
	DryRun  bool    // only say what would be deleted
	Now     func() time.Time
}

// Result counts what was done.
type Result struct {
	Snapshots int // before
	Deleted   int
	Released  int // runs let go
}

// All collects every tenant's namespace.
func (c *Collector) All(ctx context.Context) error {
	names := map[string]bool{}
	for _, labels := range tenants {
		var list corev1.NamespaceList
		if err := c.reader().List(ctx, &list, labels); err != nil {
			return fmt.Errorf("listing namespaces: %w", err)
		}
		for i := range list.Items {
			if list.Items[i].DeletionTimestamp == nil {
				names[list.Items[i].Name] = true
			}
		}
	}
	var failed []error
	for name := range names {
		if _, err := c.Namespace(ctx, name); err != nil {
			failed = append(failed, fmt.Errorf("namespace %s: %w", name, err))
		}
		if ctx.Err() != nil {
			return errors.Join(append(failed, ctx.Err())...)
		}
	}
	return errors.Join(failed...)
}

// Namespace collects one namespace.
func (c *Collector) Namespace(ctx context.Context, namespace string) (Result, error) {
	// In this order: a run or a Release that is made meanwhile finds its
	// Snapshot in a list that is read after it.
	runs, err := c.held(ctx, namespace)
	if err != nil {
		return Result{}, fmt.Errorf("listing PipelineRuns: %w", err)
	}
	all, err := c.candidates(ctx, namespace)
	if err != nil {
		return Result{}, fmt.Errorf("listing Snapshots: %w", err)
	}
	bound, err := c.bound(ctx, namespace)
	if err != nil {
		return Result{}, fmt.Errorf("listing Releases: %w", err)
	}
	result := Result{Snapshots: len(all)}
	var failed []error
	for _, candidate := range all {
		if candidate.KeepUnread() {
			failed = append(failed, c.tellUnread(ctx, namespace, candidate))
		}
	}
	for _, candidate := range snapshot.Collect(all, bound, c.Limits, c.Now()) {
		gone, err := c.delete(ctx, namespace, candidate)
		failed = append(failed, err)
		if gone {
			result.Deleted++
		}
	}
	there := make(map[string]bool, len(all))
	for _, candidate := range all {
		there[candidate.Name] = true
	}
	for i := range runs {
		gone, err := c.letGo(ctx, &runs[i], there[runs[i].Labels[snapshot.SnapshotKey]])
		failed = append(failed, err)
		if gone {
			result.Released++
		}
	}
	slog.InfoContext(ctx, "collected", "namespace", namespace, "snapshots", result.Snapshots,
		"deleted", result.Deleted, "letGo", result.Released, "dryRun", c.DryRun)
	return result, errors.Join(failed...)
}

// delete deletes a Snapshot as it was when it was listed. One that somebody
// has changed since is looked at another time.
func (c *Collector) delete(ctx context.Context, namespace string, candidate snapshot.Candidate) (bool, error) {
	slog.DebugContext(ctx, "deleting", "namespace", namespace, "snapshot", candidate.Name, "created", candidate.Created)
	if c.DryRun {
		return true, nil
	}
	s := &v1alpha1.Snapshot{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: candidate.Name}}
	if c.Archive != nil {
		if err := c.reader().Get(ctx, client.ObjectKeyFromObject(s), s); err != nil {
			return false, client.IgnoreNotFound(err)
		}
		if s.UID != candidate.UID || s.ResourceVersion != candidate.ResourceVersion {
			return false, nil
		}
		if err := c.Archive.Put(ctx, s); err != nil {
			return false, fmt.Errorf("archiving Snapshot %q, which therefore stays: %w", candidate.Name, err)
		}
	}
	err := c.Client.Delete(ctx, s, client.Preconditions{UID: &candidate.UID, ResourceVersion: &candidate.ResourceVersion},
		client.PropagationPolicy(metav1.DeletePropagationBackground))
	switch {
	case apierrors.IsConflict(err) || apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("deleting Snapshot %q: %w", candidate.Name, err)
	}
	return true, nil
}

// letGo takes off finalizers of ours that nobody else will.
func (c *Collector) letGo(ctx context.Context, run *tektonv1.PipelineRun, snapshotThere bool) (bool, error) {
	overdue := snapshot.Overdue(run, snapshotThere, c.Now())
	if len(overdue) == 0 || c.DryRun {
		return len(overdue) > 0, nil
	}
	before := run.DeepCopy()
	for _, name := range overdue {
		controllerutil.RemoveFinalizer(run, name)
	}
	slog.InfoContext(ctx, "letting go of a run that was held for too long", "namespace", run.Namespace, "run", run.Name, "finalizers", overdue)
	err := c.Client.Patch(ctx, run, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return false, nil // somebody is at it
	}
	if err != nil {
		return false, fmt.Errorf("letting go of PipelineRun %q: %w", run.Name, err)
	}
	return true, nil
}

func (c *Collector) reader() client.Reader {
	if c.Reader != nil {
		return c.Reader
	}
	return c.Client
}
