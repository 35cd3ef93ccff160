package snapshot

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	resolutionv1 "github.com/tektoncd/pipeline/pkg/apis/resolution/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"knative.dev/pkg/apis"
)

// Labels of a ResolutionRequest, as Tekton and upstream have them.
const (
	ResolverLabel  = "resolution.tekton.dev/type"
	CreatedByLabel = "konflux-ci.dev/created-by"
	// CreatedBy is the value of CreatedByLabel on ours.
	CreatedBy = "integration-service"
	// LookUpLabel names the scenario whose reference is looked up beforehand.
	LookUpLabel = "test.appstudio.openshift.io/lookup"
)

const (
	// RetryAfter is how long to wait before trying once more what failed for
	// a reason that may be gone then: a resolver that was started again has
	// its lease by that time.
	RetryAfter = 30 * time.Second
	// answerWithin is how long a resolver may take: Tekton's own limit is one
	// minute, and where no resolver runs nobody sets that.
	answerWithin = 2 * time.Minute
	attempts     = 2
)

// Question asks Tekton's resolvers for a document.
type Question struct {
	Owner types.UID // of whom the question is
	About string    // tells apart an owner's questions
	Ref   tektonv1.ResolverRef
}

// name is a request's: the same each time that the same is asked.
func (q Question) name(attempt int) string {
	text := string(q.Owner) + "\x00" + q.About + "\x00" + string(q.Ref.Resolver)
	for _, p := range q.Ref.Params {
		text += "\x00" + p.Name + "\x00" + p.Value.StringVal
	}
	sum := sha256.Sum256([]byte(text))
	return fmt.Sprintf("headrace-%s-%d", hex.EncodeToString(sum[:8]), attempt)
}

// Names are those of the question's requests, one for each attempt.
func (q Question) Names() []string {
	var names []string
	for attempt := range attempts {
		names = append(names, q.name(attempt+1))
	}
	return names
}

// Request is the object by which to ask.
func (q Question) Request(namespace, name string, labels map[string]string, owner metav1.OwnerReference) *resolutionv1.ResolutionRequest {
	request := &resolutionv1.ResolutionRequest{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, OwnerReferences: []metav1.OwnerReference{owner},
			Labels: map[string]string{ResolverLabel: string(q.Ref.Resolver), CreatedByLabel: CreatedBy},
		},
		Spec: resolutionv1.ResolutionRequestSpec{Params: q.Ref.Params},
	}
	for k, v := range labels {
		request.Labels[k] = v
	}
	return request
}

// Answer is what is known of a question.
type Answer struct {
	Ask      string        // name of the request to make now
	Wait     time.Duration // until something changes or, at the latest, this long
	Waiting  string        // what is waited for
	Document []byte        // the answer
	Failure  string        // why there is none; Passing says whether it may be another in a while
	Passing  bool
}

// Weigh says how far a question is, from the requests that were made so far,
// by attempt. One that failed for a passing reason is made once more.
func (q Question) Weigh(made []*resolutionv1.ResolutionRequest, now time.Time) Answer {
	if len(made) == 0 {
		return Answer{Ask: q.name(1)}
	}
	last := made[len(made)-1]
	again := func(failure string, since time.Time) Answer {
		if len(made) >= attempts {
			return Answer{Failure: failure + " (asked " + fmt.Sprint(attempts) + " times)", Passing: true}
		}
		if wait := since.Add(RetryAfter).Sub(now); wait > 0 {
			return Answer{Wait: wait, Waiting: fmt.Sprintf("asking once more in %s: %s", RetryAfter, failure)}
		}
		return Answer{Ask: q.name(len(made) + 1)}
	}
	condition := last.Status.GetCondition(apis.ConditionSucceeded)
	switch {
	case condition.IsTrue():
		document, err := base64.StdEncoding.DecodeString(last.Status.Data)
		if err != nil {
			return Answer{Failure: fmt.Sprintf("resolver %s answered what is not base64: %v", q.Ref.Resolver, err)}
		}
		return Answer{Document: document}
	case condition.IsFalse() && (condition.Reason == "ResolutionTimedOut" || passing(condition.Message)):
		return again(condition.Message, condition.LastTransitionTime.Inner.Time)
	case condition.IsFalse():
		return Answer{Failure: condition.Message}
	}
	limit := last.CreationTimestamp.Add(answerWithin)
	if wait := limit.Sub(now); wait > 0 {
		return Answer{Wait: wait, Waiting: fmt.Sprintf("resolver %s is looking for it", q.Ref.Resolver)}
	}
	return again(fmt.Sprintf("resolver %s did not answer within %s", q.Ref.Resolver, answerWithin), limit)
}
