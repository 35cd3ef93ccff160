// Package build makes the Snapshots of every build that succeeded and is proven
// to be signed, and promotes what was pushed.
package build

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/client-go/tools/events"
	"knative.dev/pkg/apis"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/controllers/internal/assembly"
	"github.com/headrace-ci/headrace/pkg/controllers/internal/lastwords"
	"github.com/headrace-ci/headrace/pkg/snapshot"
	"github.com/headrace-ci/headrace/pkg/tekton/failure"
)

// proofTimeout bounds one look at a registry.
const proofTimeout = 20 * time.Second

// Prover looks for what Chains signed. An image by digest is proven when it
// has a signature and an attestation by the cluster's key.
type Prover interface {
	Prove(ctx context.Context, image string) error
}

// Reconciler reconciles build PipelineRuns.
type Reconciler struct {
	Client client.Client
	Prover Prover
	Now    func() time.Time
	// Reader sees what is there now; SetupWithManager sets it.
	Reader client.Reader
	// Logs returns the end of a container's log; SetupWithManager sets it.
	Logs lastwords.Logs

	Events events.EventRecorder // optional
	// Collect deletes Snapshots of a namespace that nothing needs any more, to
	// make room where a quota is full. It is optional.
	Collect func(ctx context.Context, namespace string) error
}

// SetupWithManager registers the reconciler.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	r.Reader = mgr.GetAPIReader()
	var err error
	if r.Logs, err = lastwords.FromPods(mgr.GetConfig()); err != nil {
		return err
	}
	builds := predicate.NewPredicateFuncs(func(o client.Object) bool {
		return o.GetLabels()[snapshot.RunTypeLabel] == snapshot.BuildRun
	})
	return ctrl.NewControllerManagedBy(mgr).
		Named("build").
		For(&tektonv1.PipelineRun{}, builder.WithPredicates(builds)).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// scope is what the steps of one reconciliation hand on to each other.
type scope struct {
	run     *tektonv1.PipelineRun
	built   snapshot.Built
	sources []assembly.Source // what the build gets a Snapshot of, each
	// component is the one that was built, nil in the model of groups.
	component *v1alpha1.Component
	warning   string
	problem   error             // of groups that get no Snapshot, nil for none
	names     []string          // of the build's Snapshots
	notes     map[string]string // annotations, for when the build is written
	again     time.Duration     // after which to look again, 0 for not by itself
}

// note has an annotation written on the build with whatever comes of it.
func (s *scope) note(key, value string) {
	if s.notes == nil {
		s.notes = map[string]string{}
	}
	s.notes[key] = value
}

// step does one thing, idempotently. False with a nil error means that there
// is nothing to do until something changes, or until it is looked at again.
type step func(context.Context, *scope) (next bool, err error)

// Reconcile takes a build from its end to its Snapshots. Every step can be
// taken twice: a Snapshot's name follows from its build, and what was written
// down is not written again. The build itself is written once, at the end.
func (r *Reconciler) Reconcile(ctx context.Context, run *tektonv1.PipelineRun) (ctrl.Result, error) {
	s := &scope{run: run}
	var err error
	switch snapshot.TurnOf(run) {
	case snapshot.Leave:
		return ctrl.Result{}, nil
	case snapshot.Hold:
		err = r.hold(ctx, s)
	case snapshot.LetGo:
		err = r.letGo(ctx, s)
	case snapshot.Report:
		err = r.report(ctx, s)
	case snapshot.Make:
		err = r.assemble(ctx, s)
		if err != nil && snapshot.HeldTooLong(run, r.Now()) {
			err = errors.Join(err, r.letGo(ctx, s))
		}
	}
	return ctrl.Result{RequeueAfter: s.again}, err
}

// assemble makes the Snapshots of a build that succeeded.
func (r *Reconciler) assemble(ctx context.Context, s *scope) error {
	for _, run := range []step{r.merged, r.identify, r.prove, r.promote, r.create} {
		next, err := run(ctx, s)
		var refused *snapshot.Refusal
		if errors.As(err, &refused) {
			return r.refuse(ctx, s, refused)
		}
		if err != nil || !next {
			return err
		}
	}
	return r.conclude(ctx, s)
}

// hold keeps a run that is not done from being collected, and says which pull
// requests it belongs with.
func (r *Reconciler) hold(ctx context.Context, s *scope) error {
	if _, err := r.merged(ctx, s); err != nil {
		return err
	}
	return r.write(ctx, s, func() { controllerutil.AddFinalizer(s.run, snapshot.RunFinalizer) })
}

// letGo allows a run to be collected.
func (r *Reconciler) letGo(ctx context.Context, s *scope) error {
	return r.write(ctx, s, func() { controllerutil.RemoveFinalizer(s.run, snapshot.RunFinalizer) })
}

// report writes down what failed in a build.
func (r *Reconciler) report(ctx context.Context, s *scope) error {
	tasks, logs, err := lastwords.Of(ctx, r.Reader, r.Logs, s.run)
	if err != nil {
		return err
	}
	why := failure.Text(s.run, s.run.Status.GetCondition(apis.ConditionSucceeded).Message, tasks, logs)
	return r.refuse(ctx, s, snapshot.BuildFailure(s.run, why))
}

// identify finds what was built, and what it is a part of.
func (r *Reconciler) identify(ctx context.Context, s *scope) (_ bool, err error) {
	name, version := snapshot.ComponentOf(s.run)
	if name == "" {
		return false, snapshot.Refuse(snapshot.ComponentUnknown, "label %s of the build must name a Component", snapshot.ComponentLabel)
	}
	if version == "" {
		err = r.ofApplication(ctx, s, name)
	} else {
		err = r.ofGroups(ctx, s, name, version)
	}
	if err != nil {
		return false, err
	}
	s.built, err = snapshot.BuiltBy(s.run)
	return err == nil, err
}

// prove waits until the registry has the image signed.
func (r *Reconciler) prove(ctx context.Context, s *scope) (bool, error) {
	look, cancel := context.WithTimeout(ctx, proofTimeout)
	defer cancel()
	err := r.Prover.Prove(look, s.built.Image)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	proof := snapshot.DecideProof(s.run, err, r.Now())
	if proof.Proceed {
		s.warning = proof.Warning
		return true, nil
	}
	log.FromContext(ctx).V(1).Info("image is not proven yet", "image", s.built.Image, "reason", err.Error())
	s.again = proof.Again
	if proof.Say == nil {
		return false, nil
	}
	return false, r.say(ctx, s, *proof.Say)
}

// create makes the Snapshots that the build does not have yet.
func (r *Reconciler) create(ctx context.Context, s *scope) (bool, error) {
	var had v1alpha1.SnapshotList
	err := r.Client.List(ctx, &had, client.InNamespace(s.run.Namespace), client.MatchingLabels{snapshot.BuildLabel: s.run.Name})
	if err != nil {
		return false, err
	}
	for _, source := range s.sources {
		wanted, omitted := snapshot.NewComponentSnapshot(s.run, s.built, source.Whole, s.warning)
		same := func(o *v1alpha1.Snapshot) bool { return snapshot.Of(o, s.run) && source.Whole.Of(o) }
		if i := slices.IndexFunc(had.Items, func(o v1alpha1.Snapshot) bool { return same(&o) }); i >= 0 {
			s.names = append(s.names, had.Items[i].Name)
			if err := assembly.Explain(ctx, r.Client, &had.Items[i], omitted); err != nil {
				return false, err
			}
			continue
		}
		made, isNew, err := assembly.Make(ctx, r.Client, assembly.Order{
			Snapshot: wanted, Omitted: omitted, Owner: source.Owner, Same: same,
			Names: snapshot.Names(source.Whole.Name(), snapshot.Started(s.run), string(s.run.UID)+"/"+source.Whole.Name()),
		})
		if err != nil {
			return false, err
		}
		if isNew && len(omitted) > 0 {
			r.event(made, corev1.EventTypeWarning, "ComponentsOmitted", "Create", "%s", made.Annotations[snapshot.CreatedAnnotation])
		}
		s.names = append(s.names, made.Name)
	}
	return true, nil
}

// conclude writes down which Snapshots the build has, and lets go of it.
func (r *Reconciler) conclude(ctx context.Context, s *scope) error {
	outcome := snapshot.Outcome{Status: snapshot.Success, Reason: snapshot.Created, Message: "Snapshot " + strings.Join(s.names, ", ") + " was created"}
	if s.warning != "" {
		outcome.Reason, outcome.Message = snapshot.SigningFailed, outcome.Message+"; "+s.warning
	}
	if s.problem != nil {
		outcome.Message += "; none was created where: " + s.problem.Error()
	}
	if err := r.tellComponent(ctx, s, outcome); err != nil {
		return err
	}
	if s.component != nil {
		s.note(snapshot.SnapshotKey, s.names[0])
	} else {
		s.note(snapshot.SnapshotsKey, strings.Join(s.names, ","))
	}
	s.note(snapshot.CreatedAnnotation, outcome.String())
	return r.letGo(ctx, s)
}

// refuse writes down why the build has no Snapshot. It is tried again where
// there may be room for one later; until then the build is held.
func (r *Reconciler) refuse(ctx context.Context, s *scope, refused *snapshot.Refusal) error {
	var outcome snapshot.Outcome
	outcome, s.again = snapshot.DecideRefused(s.run, refused, r.Now())
	if refused.Reason == snapshot.QuotaExceeded {
		// Once an hour, with nothing to remember it by.
		if snapshot.Since(s.run, r.Now())%time.Hour < s.again {
			r.event(s.run, corev1.EventTypeWarning, snapshot.QuotaExceeded, "Create", "%s", outcome.Message)
		}
		if r.Collect != nil {
			if err := r.Collect(ctx, s.run.Namespace); err != nil {
				log.FromContext(ctx).Error(err, "making room for a Snapshot")
			}
		}
	}
	return r.say(ctx, s, outcome)
}

// say writes an outcome that is no Snapshot on the build. One that failed is
// held no longer.
func (r *Reconciler) say(ctx context.Context, s *scope, outcome snapshot.Outcome) error {
	if err := r.tellComponent(ctx, s, outcome); err != nil {
		return err
	}
	had, _ := snapshot.ParseOutcome(s.run.Annotations[snapshot.CreatedAnnotation])
	// The rest of a message may be another one at each look.
	if had.Status != outcome.Status || had.Reason != outcome.Reason {
		s.note(snapshot.CreatedAnnotation, outcome.String())
	}
	if outcome.Status == snapshot.Failure {
		return r.letGo(ctx, s)
	}
	return r.write(ctx, s, func() {})
}

// write changes the build and writes what was noted, unless somebody else
// wrote at the same time: a finalizer of theirs must not get lost. A run that
// is gone needs nothing.
func (r *Reconciler) write(ctx context.Context, s *scope, change func()) error {
	before := s.run.DeepCopy()
	if s.run.Annotations == nil {
		s.run.Annotations = map[string]string{}
	}
	maps.Copy(s.run.Annotations, s.notes)
	snapshot.JoinGroup(s.run)
	change()
	if equality.Semantic.DeepEqual(before.ObjectMeta, s.run.ObjectMeta) {
		return nil
	}
	err := r.Client.Patch(ctx, s.run, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	return client.IgnoreNotFound(err)
}

func (r *Reconciler) event(o client.Object, kind, reason, action, format string, args ...any) {
	if r.Events != nil {
		r.Events.Eventf(o, nil, kind, reason, action, format, args...)
	}
}
