// Package lookup asks Tekton's resolvers what a reference leads to, and leaves
// no ResolutionRequest behind. What an answer means is decided in pkg/snapshot.
package lookup

import (
	"context"
	"fmt"
	"slices"
	"time"

	resolutionv1 "github.com/tektoncd/pipeline/pkg/apis/resolution/v1beta1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// Asker asks in a namespace, for one owner.
type Asker struct {
	Client    client.Client
	Now       func() time.Time
	Namespace string
	Labels    map[string]string // of the requests, by which Forget finds them
	Owner     metav1.OwnerReference
}

// Ask says how far the question is, and makes the request that it needs.
func (a Asker) Ask(ctx context.Context, q snapshot.Question) (snapshot.Answer, error) {
	var made []*resolutionv1.ResolutionRequest
	for _, name := range q.Names() {
		request := &resolutionv1.ResolutionRequest{}
		err := a.Client.Get(ctx, client.ObjectKey{Namespace: a.Namespace, Name: name}, request)
		if apierrors.IsNotFound(err) {
			break
		}
		if err != nil {
			return snapshot.Answer{}, err
		}
		made = append(made, request)
	}
	answer := q.Weigh(made, a.Now())
	if answer.Ask == "" {
		return answer, nil
	}
	// That it exists already is the cache that lags behind.
	request := q.Request(a.Namespace, answer.Ask, a.Labels, a.Owner)
	if err := a.Client.Create(ctx, request); err != nil && !apierrors.IsAlreadyExists(err) {
		return snapshot.Answer{}, fmt.Errorf("asking resolver %s: %w", q.Ref.Resolver, err)
	}
	request.CreationTimestamp, request.Status = metav1.NewTime(a.Now()), resolutionv1.ResolutionRequestStatus{}
	return q.Weigh(append(made, request), a.Now()), nil
}

// Forget deletes the requests that have the labels, but those named.
func (a Asker) Forget(ctx context.Context, keep []string) error {
	var requests resolutionv1.ResolutionRequestList
	labels := client.MatchingLabels{snapshot.CreatedByLabel: snapshot.CreatedBy}
	for k, v := range a.Labels {
		labels[k] = v
	}
	if err := a.Client.List(ctx, &requests, client.InNamespace(a.Namespace), labels); err != nil {
		return err
	}
	for i := range requests.Items {
		if slices.Contains(keep, requests.Items[i].Name) {
			continue
		}
		if err := a.Client.Delete(ctx, &requests.Items[i]); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("deleting ResolutionRequest %s: %w", requests.Items[i].Name, err)
		}
	}
	return nil
}
