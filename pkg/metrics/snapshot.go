package metrics

import (
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// change is a Snapshot before and after; before is nil for one that was not
// known. Then only what happened since counts.
type change struct {
	before, after *v1alpha1.Snapshot
	was, is       snapshot.Tests
	since         time.Time
}

// OfSnapshot are the samples of a change to a Snapshot. before is nil for one
// seen for the first time, of which nothing earlier than since counts.
func OfSnapshot(before, after *v1alpha1.Snapshot, since time.Time) []Sample {
	c := change{before: before, after: after, since: since}
	// What cannot be read was edited by somebody, and is not counted.
	c.is, _ = snapshot.ParseTests(after.Annotations[snapshot.StatusAnnotation])
	if before != nil {
		c.was, _ = snapshot.ParseTests(before.Annotations[snapshot.StatusAnnotation])
	}
	samples := append(c.response(), c.runs()...)
	return append(append(samples, c.verdicts()...), c.release()...)
}

// condition is a condition of the Snapshot as it is, if the change brought it.
func (c change) condition(kind string) (metav1.Condition, bool) {
	is := meta.FindStatusCondition(c.after.Status.Conditions, kind)
	if is == nil {
		return metav1.Condition{}, false
	}
	if c.before == nil {
		return *is, !is.LastTransitionTime.Time.Before(c.since)
	}
	was := meta.FindStatusCondition(c.before.Status.Conditions, kind)
	return *is, was == nil || was.Status != is.Status || was.Reason != is.Reason
}

// response is how long the service took to begin with a build's Snapshot.
func (c change) response() []Sample {
	if c.before != nil && meta.FindStatusCondition(c.before.Status.Conditions, snapshot.IntegrationCondition) != nil {
		return nil // a later change, such as tests that run again
	}
	begun, ok := c.condition(snapshot.IntegrationCondition)
	if !ok || begun.Reason != snapshot.InProgress && (begun.Reason != "Finished" || len(c.is) > 0) {
		return nil
	}
	finished, err := strconv.ParseInt(c.after.Labels[snapshot.FinishTimeLabel], 10, 64)
	if err != nil {
		return nil
	}
	return []Sample{{Metric: ResponseSeconds, Value: seconds(time.Unix(finished, 0), begun.LastTransitionTime.Time)}}
}

// runs are the test runs that were started, and how long the first of each
// scenario took. What was started again by hand says nothing about that.
func (c change) runs() []Sample {
	concluded := c.before != nil && meta.IsStatusConditionTrue(c.before.Status.Conditions, snapshot.IntegrationCondition)
	var samples []Sample
	for _, is := range c.is {
		was := c.was.Find(is.Scenario)
		switch {
		case is.Run == "" || is.StartTime == nil:
			continue
		case c.before == nil && is.StartTime.Before(c.since), was != nil && was.Run == is.Run:
			continue
		}
		samples = append(samples, Sample{Metric: RunsTotal, Value: 1})
		if (was == nil || was.Run == "") && !concluded {
			samples = append(samples, Sample{Metric: StartedSeconds, Value: seconds(c.after.CreationTimestamp.Time, *is.StartTime)})
		}
	}
	return samples
}

// verdicts are how the Snapshot ended, and after how long.
func (c change) verdicts() []Sample {
	var samples []Sample
	for _, kind := range []string{snapshot.TestsSucceededCondition, snapshot.IntegrationCondition} {
		is, ok := c.condition(kind)
		labels := []string{kind, is.Reason}
		switch {
		case !ok:
		case kind == snapshot.IntegrationCondition && is.Reason == "Invalid":
			samples = append(samples, Sample{Metric: AttemptsTotal, Labels: labels, Value: 1})
		case kind == snapshot.TestsSucceededCondition && is.Status != metav1.ConditionUnknown,
			kind == snapshot.IntegrationCondition && is.Reason == "Canceled":
			samples = append(samples, Sample{Metric: AttemptsTotal, Labels: labels, Value: 1},
				Sample{Metric: AttemptSeconds, Labels: labels, Value: seconds(c.after.CreationTimestamp.Time, is.LastTransitionTime.Time)})
		}
	}
	return samples
}

// release is how long after its tests a Snapshot was released.
func (c change) release() []Sample {
	is, ok := c.condition(snapshot.AutoReleasedCondition)
	if !ok || is.Status != metav1.ConditionTrue || is.Message != snapshot.ReleasedMessage {
		return nil
	}
	passed := meta.FindStatusCondition(c.after.Status.Conditions, snapshot.TestsSucceededCondition)
	if passed == nil {
		return nil
	}
	var ended time.Time
	for _, test := range c.is {
		if !test.Optional && test.CompletionTime != nil && test.CompletionTime.After(ended) {
			ended = *test.CompletionTime
		}
	}
	if ended.IsZero() {
		ended = passed.LastTransitionTime.Time
	}
	return []Sample{{Metric: ReleaseLatencySecs, Value: seconds(ended, is.LastTransitionTime.Time)}}
}

// seconds lie between two times. Rounding may put the later one first.
func seconds(from, to time.Time) float64 { return max(0, to.Sub(from).Seconds()) }
