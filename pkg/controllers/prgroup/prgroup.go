// Package prgroup makes a Snapshot of pull requests that belong together, those
// from branches of one name, and tells each of them how far that is.
package prgroup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/controllers/internal/assembly"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// Reconciler reconciles PR groups: a request's name is a group's sum.
type Reconciler struct {
	Client client.Client
}

// SetupWithManager registers the reconciler. Builds and Snapshots of pull
// requests wake their group.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	group := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: o.GetNamespace(), Name: o.GetLabels()[snapshot.PRGroupLabel]}}}
	})
	in := func(is func(client.Object) bool) builder.Predicates {
		return builder.WithPredicates(predicate.NewPredicateFuncs(func(o client.Object) bool {
			return o.GetLabels()[snapshot.PRGroupLabel] != "" && is(o)
		}))
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("prgroup").
		Watches(&tektonv1.PipelineRun{}, group, in(func(o client.Object) bool { return o.GetLabels()[snapshot.RunTypeLabel] == snapshot.BuildRun })).
		Watches(&v1alpha1.Snapshot{}, group, in(func(o client.Object) bool { return o.GetLabels()[snapshot.TypeLabel] == snapshot.ComponentType })).
		Complete(r)
}

// scope is what a group's Snapshots are decided from.
type scope struct {
	namespace string
	group     snapshot.PRGroup
	builds    []tektonv1.PipelineRun
	snapshots []v1alpha1.Snapshot
}

// Reconcile gives a group its Snapshot in every application and ComponentGroup
// that it changes.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
	s := &scope{namespace: request.Namespace}
	var builds tektonv1.PipelineRunList
	var snapshots v1alpha1.SnapshotList
	of := client.MatchingLabels{snapshot.PRGroupLabel: request.Name}
	err := r.Client.List(ctx, &builds, client.InNamespace(request.Namespace), of, client.MatchingLabels{snapshot.RunTypeLabel: snapshot.BuildRun})
	if err != nil {
		return ctrl.Result{}, err
	}
	if err := r.Client.List(ctx, &snapshots, client.InNamespace(request.Namespace), of); err != nil {
		return ctrl.Result{}, err
	}
	s.builds, s.snapshots = builds.Items, snapshots.Items
	again := time.Duration(0)
	var problems []error
	// Until there is a Snapshot there is nobody to tell.
	for _, one := range firstOfEach(s.snapshots) {
		s.group = snapshot.PRGroup{Name: one.Annotations[snapshot.PRGroupAnnotation]}
		later, err := r.decide(ctx, s, one)
		again = max(again, later)
		problems = append(problems, err)
	}
	return ctrl.Result{RequeueAfter: again}, errors.Join(problems...)
}

// firstOfEach are Snapshots of which each is of another application or
// ComponentGroup.
func firstOfEach(all []v1alpha1.Snapshot) []*v1alpha1.Snapshot {
	first := map[string]*v1alpha1.Snapshot{}
	for i := range all {
		s := &all[i]
		key := s.Spec.Application + "/" + s.Spec.ComponentGroup
		if s.Labels[snapshot.TypeLabel] == snapshot.ComponentType && first[key] == nil && !snapshot.Restored(s) {
			first[key] = s
		}
	}
	var found []*v1alpha1.Snapshot
	for _, key := range slices.Sorted(maps.Keys(first)) {
		found = append(found, first[key])
	}
	return found
}

// decide makes the Snapshot that the group should have in what one of its
// Snapshots is of.
func (r *Reconciler) decide(ctx context.Context, s *scope, one *v1alpha1.Snapshot) (again time.Duration, err error) {
	source, err := assembly.Of(ctx, r.Client, one)
	var refused *snapshot.Refusal
	if errors.As(err, &refused) {
		return 0, nil // each member says so itself
	}
	if err != nil {
		return 0, err
	}
	d := snapshot.DecideGroup(source.Whole, s.group, s.builds, s.snapshots)
	if d.Snapshot != nil {
		made, err := r.make(ctx, s, source, d)
		switch {
		case errors.As(err, &refused):
			again = time.Minute
			d.Reason, d.Note = snapshot.GroupFailed, fmt.Sprintf("the Snapshot of PR group %q cannot be made: %v; it is tried again every minute", s.group.Name, err)
		case err != nil:
			return 0, err
		default:
			d.Note = fmt.Sprintf("Snapshot %s was created for PR group %q", made.Name, s.group.Name)
		}
	}
	return again, r.tell(ctx, s, d)
}

// make makes the group's Snapshot, unless it is there.
func (r *Reconciler) make(ctx context.Context, s *scope, source assembly.Source, d snapshot.GroupDecision) (*v1alpha1.Snapshot, error) {
	for i := range s.snapshots {
		if d.Same(&s.snapshots[i]) {
			return &s.snapshots[i], assembly.Explain(ctx, r.Client, &s.snapshots[i], d.Omitted)
		}
	}
	made, _, err := assembly.Make(ctx, r.Client, assembly.Order{
		Snapshot: d.Snapshot, Omitted: d.Omitted, Owner: source.Owner, Same: d.Same,
		Names: snapshot.Names(source.Whole.Name(), d.At, d.Seed),
	})
	return made, err
}

// tell writes on each member what became of the group. Nothing else writes
// these annotations, so it needs no lock.
func (r *Reconciler) tell(ctx context.Context, s *scope, d snapshot.GroupDecision) error {
	for i := range s.snapshots {
		member := &s.snapshots[i]
		_, is := slices.BinarySearch(d.Members, member.Name)
		if !is || member.Annotations[snapshot.GroupStatusAnnotation] == d.Note && member.Annotations[snapshot.GroupReasonAnnotation] == d.Reason {
			continue
		}
		before := member.DeepCopy()
		member.Annotations[snapshot.GroupStatusAnnotation], member.Annotations[snapshot.GroupReasonAnnotation] = d.Note, d.Reason
		if err := r.Client.Patch(ctx, member, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("telling Snapshot %s about its PR group: %w", member.Name, err)
		}
	}
	return nil
}
