package install

import (
	"context"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// poll is how often the cluster is asked again.
const poll = 300 * time.Millisecond

// apply applies objects in the order given and counts those that are new or
// changed by it.
func (in *Installer) apply(ctx context.Context, objects []*unstructured.Unstructured) (changed int, err error) {
	for _, u := range objects {
		was, err := in.version(ctx, u)
		if err != nil {
			return changed, fmt.Errorf("looking for %s: %w", title(u), err)
		}
		now := u.DeepCopy()
		var last error
		err = wait.PollUntilContextCancel(ctx, poll, true, func(ctx context.Context) (bool, error) {
			now = u.DeepCopy()
			last = in.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(now), client.FieldOwner(fieldManager), client.ForceOwnership)
			if last != nil && !passing(last) {
				return false, last
			}
			return last == nil, nil
		})
		if err != nil {
			if last == nil {
				last = err
			}
			return changed, fmt.Errorf("applying %s: %w", title(u), last)
		}
		if now.GetResourceVersion() != was {
			changed++
		}
	}
	return changed, nil
}

// version is the resource version the object has on the cluster, "" if it is
// not there.
func (in *Installer) version(ctx context.Context, u *unstructured.Unstructured) (string, error) {
	found := &unstructured.Unstructured{}
	found.SetGroupVersionKind(u.GroupVersionKind())
	err := in.client.Get(ctx, client.ObjectKeyFromObject(u), found)
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return "", nil
	}
	return found.GetResourceVersion(), err
}

// passing reports whether a cluster that is still coming up may well accept
// tomorrow what it refuses now: a kind it does not serve yet, or a webhook
// whose program is not running yet.
func passing(err error) bool {
	return meta.IsNoMatchError(err) || apierrors.IsServerTimeout(err) || apierrors.IsTooManyRequests(err) ||
		apierrors.IsServiceUnavailable(err) || apierrors.IsConflict(err) ||
		(apierrors.IsInternalError(err) && strings.Contains(err.Error(), "failed calling webhook"))
}

func title(u *unstructured.Unstructured) string {
	if u.GetNamespace() == "" {
		return u.GetKind() + " " + u.GetName()
	}
	return u.GetKind() + " " + u.GetNamespace() + "/" + u.GetName()
}
