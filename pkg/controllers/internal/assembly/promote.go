package assembly

import (
	"context"

	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// Promote makes an image the candidate of a component. Both halves of it are
// written under one lock: of two builds that end at once the later one must
// have the last word.
func Promote(ctx context.Context, c client.Client, component *v1alpha1.Component, n snapshot.Nominee, byHand bool) (snapshot.Candidacy, error) {
	before := component.DeepCopy()
	candidacy := snapshot.Promote(component, n, byHand)
	if candidacy != snapshot.Promoted {
		return candidacy, nil
	}
	status := component.Status
	component.Status = before.Status
	if !equality.Semantic.DeepEqual(before.Annotations, component.Annotations) {
		if err := c.Patch(ctx, component, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
			return "", err
		}
	}
	before = component.DeepCopy()
	component.Status = status
	return candidacy, c.Status().Patch(ctx, component, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
}
