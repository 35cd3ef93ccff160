package snapshot

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// askPlansAgain is how long to wait for a plan's author to mend it.
const askPlansAgain = time.Minute

// release makes the Releases of a Snapshot that passed, once.
func (r *Reconciler) release(ctx context.Context, sc *scope) (bool, error) {
	s := sc.snapshot
	if meta.IsStatusConditionTrue(s.Status.Conditions, snapshot.AutoReleasedCondition) {
		return false, nil
	}
	decision, err := r.decide(ctx, s, r.Client)
	if err == nil && decision.Done && len(decision.Plans) == 0 {
		// That is final, and a plan that was made a moment ago may not have
		// reached the cache.
		decision, err = r.decide(ctx, s, r.live())
	}
	if err != nil {
		return false, err
	}
	failure := decision.Err
	for _, plan := range decision.Plans {
		if err := r.createRelease(ctx, snapshot.NewRelease(s, plan)); err != nil {
			failure = errors.Join(failure, fmt.Errorf("releasing by ReleasePlan %q: %w", plan, err))
		}
	}
	if failure != nil {
		return false, r.notReleased(sc, failure)
	}
	status := metav1.ConditionFalse
	if decision.Done {
		status = metav1.ConditionTrue
	}
	r.set(s, snapshot.AutoReleasedCondition, status, decision.Reason, decision.Message)
	return decision.Done, nil
}

// decide reads what the decision depends on: there may be thousands of each,
// so they are read where they are, and must not be changed. The plans are read
// from where it is said.
func (r *Reconciler) decide(ctx context.Context, s *v1alpha1.Snapshot, from client.Reader) (snapshot.Promotion, error) {
	var plans v1alpha1.ReleasePlanList
	if err := from.List(ctx, &plans, client.InNamespace(s.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return snapshot.Promotion{}, err
	}
	var releases v1alpha1.ReleaseList
	if err := r.Client.List(ctx, &releases, client.InNamespace(s.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return snapshot.Promotion{}, err
	}
	var others v1alpha1.SnapshotList
	if component := s.Labels[snapshot.ComponentLabel]; component != "" {
		err := r.Client.List(ctx, &others, client.InNamespace(s.Namespace), client.MatchingLabels{snapshot.ComponentLabel: component}, client.UnsafeDisableDeepCopy)
		if err != nil {
			return snapshot.Promotion{}, err
		}
	}
	return snapshot.DecideRelease(s, plans.Items, releases.Items, others.Items, r.Now()), nil
}

// createRelease makes a Release and marks it as ours: what a person makes has
// that mark in no way.
func (r *Reconciler) createRelease(ctx context.Context, wanted *v1alpha1.Release) error {
	release := wanted.DeepCopy()
	if err := r.Client.Create(ctx, release); apierrors.IsAlreadyExists(err) {
		// Not found is the cache that lags behind: that is tried again.
		if err := r.Client.Get(ctx, client.ObjectKeyFromObject(wanted), release); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	if err := snapshot.CheckRelease(release, wanted); err != nil {
		return err
	}
	if release.Status.Automated {
		return nil
	}
	before := release.DeepCopy()
	release.Status.Automated = true
	return r.Client.Status().Patch(ctx, release, client.MergeFrom(before))
}

// notReleased says what went wrong, and gives up when it did for too long. A
// plan or a Release that somebody has to mend is looked at again in a while;
// everything else is tried again as any error is.
func (r *Reconciler) notReleased(sc *scope, failure error) error {
	s := sc.snapshot
	r.set(s, snapshot.AutoReleasedCondition, metav1.ConditionFalse, snapshot.ErrorReason, "Not released yet: "+snapshot.ErrorText(failure))
	if !r.Now().Before(snapshot.ReleaseDeadline(s)) {
		r.set(s, snapshot.IntegrationCondition, metav1.ConditionFalse, invalid,
			"giving up to release the Snapshot: "+snapshot.ErrorText(failure)+". To release it after all, create a Release that names it")
		return nil
	}
	if mendable(failure) {
		sc.again = askPlansAgain
		return nil
	}
	return failure
}

// mendable reports whether every part of a failure waits for a person.
func mendable(failure error) bool {
	if joined, ok := failure.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			if !mendable(err) {
				return false
			}
		}
		return true
	}
	var expression *snapshot.ExpressionError
	var taken *snapshot.TakenError
	return errors.As(failure, &expression) || errors.As(failure, &taken)
}
