// Package build makes a Snapshot of every build that succeeded and is proven
// to be signed, and promotes what was pushed.
package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"knative.dev/pkg/apis"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

const (
	// signedWithin is how long after a build its signature may take.
	signedWithin = 5 * time.Minute
	// askAgain is how long to wait before looking for a signature again.
	askAgain = time.Second
	// proofTimeout bounds one look at a registry.
	proofTimeout = 20 * time.Second
)

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
}

// SetupWithManager registers the reconciler.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	builds := predicate.NewPredicateFuncs(func(o client.Object) bool {
		return o.GetLabels()[snapshot.RunTypeLabel] == snapshot.BuildRun
	})
	return ctrl.NewControllerManagedBy(mgr).
		Named("build").
		For(&tektonv1.PipelineRun{}, builder.WithPredicates(builds)).
		WithOptions(controller.Options{MaxConcurrentReconciles: 8}).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// scope is what the steps of one reconciliation hand on to each other.
type scope struct {
	run       *tektonv1.PipelineRun
	component *v1alpha1.Component
	built     snapshot.Built
	snapshot  *v1alpha1.Snapshot
}

// refusal is a build that will never have a Snapshot, and why: it is written
// on the run, and not tried again.
type refusal struct{ error }

// Reconcile takes a build from its end to its Snapshot. Every step can be
// taken twice: a Snapshot's name follows from its build, and what was written
// down is not written again.
func (r *Reconciler) Reconcile(ctx context.Context, run *tektonv1.PipelineRun) (ctrl.Result, error) {
	condition := run.Status.GetCondition(apis.ConditionSucceeded)
	switch {
	case run.Annotations[snapshot.SnapshotKey] != "" || run.Annotations[snapshot.CreatedAnnotation] != "":
		return ctrl.Result{}, r.letGo(ctx, run)
	case !run.IsDone() && run.DeletionTimestamp.IsZero():
		return ctrl.Result{}, r.hold(ctx, run)
	case !run.IsDone():
		return ctrl.Result{}, r.letGo(ctx, run)
	case condition.IsFalse():
		return ctrl.Result{}, r.conclude(ctx, run, "", fmt.Errorf("build PipelineRun %s failed: %s", run.Name, condition.Message))
	}
	s := &scope{run: run}
	for _, step := range []func(context.Context, *scope) (ctrl.Result, error){r.identify, r.prove, r.promote, r.create} {
		result, err := step(ctx, s)
		var refused refusal
		if errors.As(err, &refused) {
			return ctrl.Result{}, r.conclude(ctx, run, "", refused.error)
		}
		if err != nil || result.RequeueAfter > 0 {
			return result, err
		}
	}
	return ctrl.Result{}, r.conclude(ctx, run, s.snapshot.Name, nil)
}

// identify finds what was built, and for which component.
func (r *Reconciler) identify(ctx context.Context, s *scope) (ctrl.Result, error) {
	name := s.run.Labels[snapshot.ComponentLabel]
	s.component = &v1alpha1.Component{}
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: s.run.Namespace, Name: name}, s.component)
	if name == "" || apierrors.IsNotFound(err) {
		return ctrl.Result{}, refusal{fmt.Errorf("there is no Component %q in namespace %s: label %s of the build must name one",
			name, s.run.Namespace, snapshot.ComponentLabel)}
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	if s.component.Spec.Application == "" {
		return ctrl.Result{}, refusal{fmt.Errorf("component %q has no spec.application: without one its builds belong to no Snapshot", name)}
	}
	if s.built, err = snapshot.BuiltBy(s.run); err != nil {
		return ctrl.Result{}, refusal{err}
	}
	return ctrl.Result{}, nil
}

// prove waits until the registry has the image signed.
func (r *Reconciler) prove(ctx context.Context, s *scope) (ctrl.Result, error) {
	look, cancel := context.WithTimeout(ctx, proofTimeout)
	defer cancel()
	err := r.Prover.Prove(look, s.built.Image)
	if err == nil {
		return ctrl.Result{}, nil
	}
	if ctx.Err() != nil {
		return ctrl.Result{}, ctx.Err()
	}
	ended := s.run.Status.CompletionTime
	if ended != nil && r.Now().Sub(ended.Time) > signedWithin {
		text := fmt.Sprintf("the image was not proven to be signed within %v of its build: %v", signedWithin, err)
		var hinter interface{ Hint() string }
		if errors.As(err, &hinter) {
			text += "; " + hinter.Hint()
		}
		return ctrl.Result{}, refusal{errors.New(text)}
	}
	log.FromContext(ctx).V(1).Info("image is not proven yet", "image", s.built.Image, "reason", err.Error())
	return ctrl.Result{RequeueAfter: askAgain}, nil
}

// candidate is the mark of a build whose image was promoted, or was not.
type candidate struct {
	Result          bool   `json:"result"`
	Reason          string `json:"reason"`
	LastUpdatedTime string `json:"lastupdatedtime"`
}

// promote makes a pushed image the one that other components' Snapshots hold,
// unless a later build was there first.
func (r *Reconciler) promote(ctx context.Context, s *scope) (ctrl.Result, error) {
	if !snapshot.PushRun(s.run) || s.run.Annotations[snapshot.CandidateKey] != "" {
		return ctrl.Result{}, nil
	}
	mark := candidate{Result: true, Reason: "Success", LastUpdatedTime: r.Now().UTC().Format(time.RFC3339)}
	start := snapshot.Started(s.run).Unix()
	if last, err := strconv.ParseInt(s.component.Annotations[snapshot.LastBuiltTime], 10, 64); err == nil && last > start {
		mark.Result, mark.Reason = false, "Skipped: a later build of the component is promoted already"
	} else if err := r.setCandidate(ctx, s, start); err != nil {
		return ctrl.Result{}, err
	}
	text, err := json.Marshal(mark)
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{}, r.annotate(ctx, s.run, map[string]string{snapshot.CandidateKey: string(text)})
}

func (r *Reconciler) setCandidate(ctx context.Context, s *scope, start int64) error {
	before := s.component.DeepCopy()
	if s.component.Annotations == nil {
		s.component.Annotations = map[string]string{}
	}
	s.component.Annotations[snapshot.LastBuiltTime] = strconv.FormatInt(start, 10)
	// Two builds that end at once must not both be the last.
	if err := r.Client.Patch(ctx, s.component, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("promoting the image of component %q: %w", s.component.Name, err)
	}
	before = s.component.DeepCopy()
	s.component.Status.LastPromotedImage, s.component.Status.LastBuiltCommit = s.built.Image, s.built.Commit
	if err := r.Client.Status().Patch(ctx, s.component, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("promoting the image of component %q: %w", s.component.Name, err)
	}
	return nil
}

// create makes the Snapshot, unless the build has one.
func (r *Reconciler) create(ctx context.Context, s *scope) (_ ctrl.Result, err error) {
	if s.snapshot, err = r.find(ctx, s.run); s.snapshot != nil || err != nil {
		return ctrl.Result{}, err
	}
	var application v1alpha1.Application
	key := client.ObjectKey{Namespace: s.run.Namespace, Name: s.component.Spec.Application}
	if err := r.Client.Get(ctx, key, &application); apierrors.IsNotFound(err) {
		return ctrl.Result{}, refusal{fmt.Errorf("there is no Application %q, which Component %q belongs to", key.Name, s.component.Name)}
	} else if err != nil {
		return ctrl.Result{}, err
	}
	var all v1alpha1.ComponentList
	if err := r.Client.List(ctx, &all, client.InNamespace(s.run.Namespace)); err != nil {
		return ctrl.Result{}, err
	}
	wanted, left := snapshot.NewComponentSnapshot(s.run, s.built, s.component, all.Items)
	if len(left) > 0 {
		wanted.Annotations[snapshot.CreatedAnnotation] = fmt.Sprintf("left out, having no image yet: %v", left)
	}
	if err := controllerutil.SetControllerReference(&application, wanted, r.Client.Scheme()); err != nil {
		return ctrl.Result{}, err
	}
	for _, name := range snapshot.Names(wanted, s.run) {
		made := wanted.DeepCopy()
		made.Name = name
		err := r.Client.Create(ctx, made)
		if err == nil {
			s.snapshot = made
			return ctrl.Result{}, nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return refusedCreate(err)
		}
		// Not found is the cache that lags behind: that is tried again.
		if err := r.Client.Get(ctx, client.ObjectKeyFromObject(made), made); err != nil {
			return ctrl.Result{}, fmt.Errorf("reading Snapshot %q: %w", name, err)
		}
		if snapshot.Of(made, s.run) {
			s.snapshot = made
			return ctrl.Result{}, nil
		}
	}
	return ctrl.Result{}, fmt.Errorf("every name for the Snapshot of build %s is taken", s.run.Name)
}

// find looks for the Snapshot that the build has, whatever its name.
func (r *Reconciler) find(ctx context.Context, run *tektonv1.PipelineRun) (*v1alpha1.Snapshot, error) {
	var list v1alpha1.SnapshotList
	err := r.Client.List(ctx, &list, client.InNamespace(run.Namespace), client.MatchingLabels{snapshot.BuildLabel: run.Name})
	if err != nil {
		return nil, err
	}
	for i := range list.Items {
		if snapshot.Of(&list.Items[i], run) {
			return &list.Items[i], nil
		}
	}
	return nil, nil
}

// refusedCreate tells what to do about a Snapshot that could not be made. A
// namespace that may hold no more of them needs some to be cleared out first.
func refusedCreate(err error) (ctrl.Result, error) {
	switch {
	case apierrors.IsForbidden(err):
		return ctrl.Result{RequeueAfter: time.Hour}, nil
	case apierrors.IsInvalid(err):
		return ctrl.Result{}, refusal{fmt.Errorf("the Snapshot is refused: %w", err)}
	}
	return ctrl.Result{}, fmt.Errorf("creating the Snapshot: %w", err)
}

// conclude writes down what became of the build, and lets go of it.
func (r *Reconciler) conclude(ctx context.Context, run *tektonv1.PipelineRun, name string, failure error) error {
	outcome := map[string]string{"status": "success", "message": "Snapshot " + name + " was created"}
	annotations := map[string]string{}
	if failure != nil {
		outcome = map[string]string{"status": "failed", "message": failure.Error()}
	} else {
		annotations[snapshot.SnapshotKey] = name
	}
	text, err := json.Marshal(outcome)
	if err != nil {
		return err
	}
	annotations[snapshot.CreatedAnnotation] = string(text)
	if err := r.annotate(ctx, run, annotations); err != nil {
		return err
	}
	return r.letGo(ctx, run)
}

func (r *Reconciler) annotate(ctx context.Context, run *tektonv1.PipelineRun, annotations map[string]string) error {
	before := run.DeepCopy()
	if run.Annotations == nil {
		run.Annotations = map[string]string{}
	}
	for k, v := range annotations {
		run.Annotations[k] = v
	}
	if err := r.Client.Patch(ctx, run, client.MergeFrom(before)); err != nil {
		return client.IgnoreNotFound(err)
	}
	return nil
}

// hold keeps a run that is not done from being collected.
func (r *Reconciler) hold(ctx context.Context, run *tektonv1.PipelineRun) error {
	before := run.DeepCopy()
	if !controllerutil.AddFinalizer(run, snapshot.RunFinalizer) {
		return nil
	}
	return r.Client.Patch(ctx, run, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
}

// letGo allows a run to be collected.
func (r *Reconciler) letGo(ctx context.Context, run *tektonv1.PipelineRun) error {
	before := run.DeepCopy()
	if !controllerutil.RemoveFinalizer(run, snapshot.RunFinalizer) {
		return nil
	}
	err := r.Client.Patch(ctx, run, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	return client.IgnoreNotFound(err)
}
