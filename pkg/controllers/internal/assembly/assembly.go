// Package assembly finds what Snapshots are put together from, and makes each
// of them once: a controller that is killed in between finds what it made.
//
// What a user has to mend is a *snapshot.Refusal; any other error is worth
// trying again. Functions are safe for concurrent use, as their client is.
package assembly

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// Source is what Snapshots are put together from, and who owns them.
type Source struct {
	Whole snapshot.Whole
	Owner client.Object // the Application or ComponentGroup
}

// Application reads an application with its components.
func Application(ctx context.Context, c client.Reader, namespace, name string) (Source, error) {
	owner := &v1alpha1.Application{}
	err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, owner)
	if apierrors.IsNotFound(err) || err == nil && !owner.DeletionTimestamp.IsZero() {
		return Source{}, snapshot.Refuse(snapshot.ApplicationUnknown, "there is no Application %q in namespace %s: create it, and build again", name, namespace)
	}
	if err != nil {
		return Source{}, err
	}
	var all v1alpha1.ComponentList
	if err := c.List(ctx, &all, client.InNamespace(namespace)); err != nil {
		return Source{}, err
	}
	return Source{Whole: snapshot.OfApplication(name, all.Items), Owner: owner}, nil
}

// Groups reads every group of a namespace.
func Groups(ctx context.Context, c client.Reader, namespace string) ([]v1beta2.ComponentGroup, error) {
	var all v1beta2.ComponentGroupList
	err := c.List(ctx, &all, client.InNamespace(namespace))
	return all.Items, err
}

// Group takes a group, with those it nests, out of all of its namespace.
func Group(groups []v1beta2.ComponentGroup, namespace, name string) (Source, error) {
	for i := range groups {
		if groups[i].Name == name && groups[i].DeletionTimestamp.IsZero() {
			whole, err := snapshot.OfGroup(name, groups)
			return Source{Whole: whole, Owner: &groups[i]}, err
		}
	}
	return Source{}, snapshot.Refuse(snapshot.GroupUnknown, "there is no ComponentGroup %q in namespace %s: create it, and build again", name, namespace)
}

// Of reads what a Snapshot is of.
func Of(ctx context.Context, c client.Reader, s *v1alpha1.Snapshot) (Source, error) {
	if s.Spec.Application != "" {
		return Application(ctx, c, s.Namespace, s.Spec.Application)
	}
	groups, err := Groups(ctx, c, s.Namespace)
	if err != nil {
		return Source{}, err
	}
	return Group(groups, s.Namespace, s.Spec.ComponentGroup)
}

// Order is a Snapshot to make.
type Order struct {
	Snapshot *v1alpha1.Snapshot // without a name
	Omitted  []v1alpha1.OmittedComponent
	Owner    client.Object
	Names    []string // to try, in order
	// Same reports whether a Snapshot that has one of the names is this one.
	Same func(*v1alpha1.Snapshot) bool
}

// Make makes a Snapshot, or finds that it is made. The second result is
// whether it was made just now.
func Make(ctx context.Context, c client.Client, o Order) (*v1alpha1.Snapshot, bool, error) {
	if err := controllerutil.SetControllerReference(o.Owner, o.Snapshot, c.Scheme()); err != nil {
		return nil, false, err
	}
	for _, name := range o.Names {
		made := o.Snapshot.DeepCopy()
		made.Name = name
		err := c.Create(ctx, made)
		if err == nil {
			return made, true, Explain(ctx, c, made, o.Omitted)
		}
		if !apierrors.IsAlreadyExists(err) {
			return nil, false, refused(err)
		}
		// Not found is the cache that lags behind: that is tried again.
		if err := c.Get(ctx, client.ObjectKeyFromObject(made), made); err != nil {
			return nil, false, fmt.Errorf("reading Snapshot %q: %w", name, err)
		}
		if o.Same(made) {
			return made, false, Explain(ctx, c, made, o.Omitted)
		}
	}
	return nil, false, fmt.Errorf("every name for the Snapshot is taken: %s", strings.Join(o.Names, ", "))
}

// Explain writes in a Snapshot's status what it does not hold. Nothing else
// writes that field, so it needs no lock.
func Explain(ctx context.Context, c client.Client, s *v1alpha1.Snapshot, omitted []v1alpha1.OmittedComponent) error {
	if len(omitted) == 0 || len(s.Status.Omitted) > 0 {
		return nil
	}
	before := s.DeepCopy()
	s.Status.Omitted = omitted
	if err := c.Status().Patch(ctx, s, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("writing what Snapshot %s leaves out: %w", s.Name, err)
	}
	return nil
}

// refused tells what the API server has against a Snapshot from an error that
// passes. A quota that many write to at once is such a one, unless it is full.
func refused(err error) error {
	wrapped := fmt.Errorf("creating the Snapshot: %w", err)
	switch {
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return &snapshot.Refusal{Reason: snapshot.NamespaceGone, Err: wrapped}
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota"):
		return &snapshot.Refusal{Reason: snapshot.QuotaExceeded, Err: fmt.Errorf(
			"creating the Snapshot: the namespace has no room for another one: delete some, or ask for a larger quota: %w", err)}
	case apierrors.IsForbidden(err) && !strings.Contains(err.Error(), "quota"):
		return &snapshot.Refusal{Reason: snapshot.CreateForbidden, Err: wrapped}
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsRequestEntityTooLargeError(err):
		return &snapshot.Refusal{Reason: snapshot.Refused, Err: wrapped}
	}
	return wrapped
}
