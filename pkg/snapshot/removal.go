package snapshot

import (
	"errors"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
)

// NewRemovalSnapshot is the Snapshot of an application that lost a component:
// what is left of it, which is tested and not released by itself. It is nil
// when nothing is left that has an image.
func NewRemovalSnapshot(c *v1alpha1.Component, w Whole) (*v1alpha1.Snapshot, []v1alpha1.OmittedComponent) {
	components, omitted := w.Compose()
	if len(components) == 0 {
		return nil, nil
	}
	s := &v1alpha1.Snapshot{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:   c.Namespace,
			Labels:      map[string]string{AutoReleaseKey: "false"},
			Annotations: map[string]string{RemovedAnnotation: c.Name + "/" + string(c.UID)},
		},
		Spec: v1alpha1.SnapshotSpec{
			Application: w.Application, Components: components,
			DisplayDescription: "what is left after Component " + c.Name + " was deleted",
		},
	}
	w.label(s)
	explain(s, omitted)
	return s, omitted
}

// removalWithin is how long the deletion of a Component waits for a Snapshot.
const removalWithin = 10 * time.Minute

// DecideRemoval says whether to go on trying to make the Snapshot without a
// Component, and after how long; err is why there is none. 0 is as soon as the
// error may have passed.
func DecideRemoval(c *v1alpha1.Component, err error, now time.Time) (again time.Duration, wait bool) {
	var refused *Refusal
	switch {
	case c.DeletionTimestamp == nil || now.Sub(c.DeletionTimestamp.Time) > removalWithin:
		return 0, false
	case !errors.As(err, &refused):
		return 0, true
	}
	return time.Minute, refused.Reason == QuotaExceeded || refused.Reason == CreateForbidden
}
