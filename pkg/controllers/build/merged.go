package build

import (
	"context"
	"fmt"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// merged tells the Snapshots and builds of a pull request that it was merged,
// which the push build of the merge knows.
func (r *Reconciler) merged(ctx context.Context, s *scope) (bool, error) {
	if !snapshot.Merges(s.run) || s.run.Annotations[snapshot.PRStatusAnnotation] != "" {
		return true, nil
	}
	var snapshots v1alpha1.SnapshotList
	err := r.Client.List(ctx, &snapshots, client.InNamespace(s.run.Namespace), client.MatchingLabels(snapshot.PullRequestLabels(s.run)))
	if err != nil {
		return false, err
	}
	for i := range snapshots.Items {
		if one := &snapshots.Items[i]; snapshot.MergedBy(one, s.run) {
			if err := r.markMerged(ctx, one); err != nil {
				return false, err
			}
		}
	}
	var builds tektonv1.PipelineRunList
	err = r.Client.List(ctx, &builds, client.InNamespace(s.run.Namespace), client.MatchingLabels(snapshot.BuildPullRequestLabels(s.run)))
	if err != nil {
		return false, err
	}
	for i := range builds.Items {
		if one := &builds.Items[i]; snapshot.MergedBuild(one, s.run) {
			if err := r.markMerged(ctx, one); err != nil {
				return false, err
			}
		}
	}
	s.note(snapshot.PRStatusAnnotation, snapshot.PRMerged)
	return true, nil
}

func (r *Reconciler) markMerged(ctx context.Context, o client.Object) error {
	before := o.DeepCopyObject().(client.Object)
	annotations := o.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[snapshot.PRStatusAnnotation] = snapshot.PRMerged
	o.SetAnnotations(annotations)
	if err := r.Client.Patch(ctx, o, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("marking %s as merged: %w", o.GetName(), err)
	}
	return nil
}
