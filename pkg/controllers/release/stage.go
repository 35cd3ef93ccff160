package release

import (
	"context"
	"fmt"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/release"
)

func (r *Reconciler) tenant(ctx context.Context, s *scope) (bool, error) {
	return r.stage(ctx, s, release.Tenant, tenantProcessed, s.facts.Plan.Spec.TenantPipeline != nil, &s.facts.Release.Status.TenantProcessing)
}

func (r *Reconciler) managed(ctx context.Context, s *scope) (bool, error) {
	defined := s.facts.Admission != nil && s.facts.Admission.Spec.Pipeline != nil
	return r.stage(ctx, s, release.Managed, managedProcessed, defined, &s.facts.Release.Status.ManagedProcessing)
}

// final runs whatever became of the stages before.
func (r *Reconciler) final(ctx context.Context, s *scope) (bool, error) {
	return r.stage(ctx, s, release.Final, finalProcessed, s.facts.Plan.Spec.FinalPipeline != nil, &s.facts.Release.Status.FinalProcessing)
}

// stage starts a stage's run, follows it and writes down how it ended.
func (r *Reconciler) stage(ctx context.Context, s *scope, stage release.Stage, kind string, defined bool, info **v1alpha1.PipelineInfo) (bool, error) {
	rel := s.facts.Release
	if c := condition(rel, kind); c != nil && c.Reason != progressing {
		return true, nil
	}
	if !defined || stage != release.Final && failedBefore(rel) {
		r.set(rel, kind, metav1.ConditionTrue, skipped, "")
		return true, nil
	}
	run, err := r.run(ctx, s, stage)
	if apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsBadRequest(err) {
		r.set(rel, kind, metav1.ConditionFalse, failed, fmt.Sprintf("the %s PipelineRun was refused: %v", stage, err))
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if *info == nil {
		*info = &v1alpha1.PipelineInfo{}
	}
	(*info).PipelineRun, (*info).StartTime = run.Namespace+"/"+run.Name, &run.CreationTimestamp
	if !run.IsDone() {
		r.set(rel, kind, metav1.ConditionFalse, progressing, fmt.Sprintf("PipelineRun %s/%s is running", run.Namespace, run.Name))
		return false, nil
	}
	(*info).CompletionTime = run.Status.CompletionTime
	if err := r.conclude(ctx, rel, kind, run); err != nil {
		return false, err
	}
	if stage == release.Managed {
		r.recordAttempt(rel, **info, kind)
	}
	return true, r.letGo(ctx, s, stage, run)
}

func failedBefore(rel *v1alpha1.Release) bool {
	for _, kind := range []string{tenantProcessed, managedProcessed} {
		if c := condition(rel, kind); c != nil && c.Reason == failed {
			return true
		}
	}
	return false
}

// run returns the stage's run, and makes it when there is none.
func (r *Reconciler) run(ctx context.Context, s *scope, stage release.Stage) (*tektonv1.PipelineRun, error) {
	wanted, err := release.NewRun(stage, s.facts, s.config)
	if err != nil {
		return nil, err
	}
	run := &tektonv1.PipelineRun{}
	err = r.Client.Get(ctx, client.ObjectKeyFromObject(wanted), run)
	if !apierrors.IsNotFound(err) {
		return run, err
	}
	if stage == release.Managed && s.facts.Admission.Spec.Pipeline.ServiceAccountName != "" {
		// Before the run, which may ask at once.
		err := r.Client.Create(ctx, release.NewRoleBinding(s.facts))
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return nil, fmt.Errorf("letting the managed pipeline read the release: %w", err)
		}
	}
	if err := r.Client.Create(ctx, wanted); apierrors.IsAlreadyExists(err) {
		return wanted, r.Client.Get(ctx, client.ObjectKeyFromObject(wanted), wanted)
	} else if err != nil {
		return nil, err
	}
	return wanted, nil
}

func (r *Reconciler) conclude(ctx context.Context, rel *v1alpha1.Release, kind string, run *tektonv1.PipelineRun) error {
	c := run.Status.GetCondition(apis.ConditionSucceeded)
	if c.IsTrue() {
		r.set(rel, kind, metav1.ConditionTrue, succeeded, "")
		return nil
	}
	var tasks tektonv1.TaskRunList
	err := r.Client.List(ctx, &tasks, client.InNamespace(run.Namespace), client.MatchingLabels{"tekton.dev/pipelineRun": run.Name})
	if err != nil {
		return err
	}
	r.set(rel, kind, metav1.ConditionFalse, failed, release.Failure(run, c.Message, tasks.Items))
	return nil
}

func (r *Reconciler) recordAttempt(rel *v1alpha1.Release, info v1alpha1.PipelineInfo, kind string) {
	attempt := v1alpha1.ManagedPipelineAttempt{PipelineInfo: info, Status: condition(rel, kind).Reason}
	if attempt.Status == failed {
		attempt.FailureReason = "Error"
	}
	rel.Status.ManagedPipelineAttempts = []v1alpha1.ManagedPipelineAttempt{attempt}
}

// letGo takes back what a run needed while it ran.
func (r *Reconciler) letGo(ctx context.Context, s *scope, stage release.Stage, run *tektonv1.PipelineRun) error {
	if stage == release.Managed {
		if err := r.Client.Delete(ctx, release.NewRoleBinding(s.facts)); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	before := run.DeepCopy()
	if !controllerutil.RemoveFinalizer(run, release.Finalizer) {
		return nil
	}
	return client.IgnoreNotFound(r.Client.Patch(ctx, run, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})))
}

// cleanUp deletes a Release's runs before it goes. Its RoleBindings go with it.
func (r *Reconciler) cleanUp(ctx context.Context, rel *v1alpha1.Release) error {
	var runs tektonv1.PipelineRunList
	if err := r.Client.List(ctx, &runs, client.MatchingLabels{release.NameLabel: rel.Name, release.NamespaceLabel: rel.Namespace}); err != nil {
		return err
	}
	for i := range runs.Items {
		run := &runs.Items[i]
		before := run.DeepCopy()
		if controllerutil.RemoveFinalizer(run, release.Finalizer) {
			if err := r.Client.Patch(ctx, run, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
				return err
			}
		}
		if err := r.Client.Delete(ctx, run); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	var bindings rbacv1.RoleBindingList
	if err := r.Client.List(ctx, &bindings, client.InNamespace(rel.Namespace), client.MatchingLabels{release.NameLabel: rel.Name, release.ServiceLabel: release.ServiceValue}); err != nil {
		return err
	}
	for i := range bindings.Items {
		if err := r.Client.Delete(ctx, &bindings.Items[i]); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	before := rel.DeepCopy()
	if !controllerutil.RemoveFinalizer(rel, release.Finalizer) {
		return nil
	}
	return client.IgnoreNotFound(r.Client.Patch(ctx, rel, client.MergeFrom(before)))
}
