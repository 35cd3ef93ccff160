package snapshot

import (
	"slices"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
)

// HeldWithin is for how long a finalizer of ours may keep a run that has ended
// or is being deleted. Who looks for such runs every six hours finds them
// within a day.
const HeldWithin = 18 * time.Hour

// Overdue returns the finalizers of ours that a run should have lost by now:
// those of a test whose Snapshot is gone, and all that were held for too long.
// Whoever should have taken them off never will.
func Overdue(run *tektonv1.PipelineRun, snapshotThere bool, now time.Time) []string {
	var held []string
	for _, name := range []string{RunFinalizer, NudgeFinalizer} {
		if slices.Contains(run.Finalizers, name) {
			held = append(held, name)
		}
	}
	over := func(t time.Time) bool { return now.Sub(t) >= HeldWithin }
	switch {
	case run.Labels[RunTypeLabel] == TestRun && !snapshotThere:
		return held
	case run.DeletionTimestamp != nil && over(run.DeletionTimestamp.Time):
		return held
	case run.IsDone() && run.Status.CompletionTime != nil && over(run.Status.CompletionTime.Time):
		return held
	}
	return nil
}
