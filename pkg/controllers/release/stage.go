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
	"github.com/headrace-ci/headrace/pkg/controllers/internal/lastwords"
	"github.com/headrace-ci/headrace/pkg/release"
	"github.com/headrace-ci/headrace/pkg/tekton/failure"
)

func (r *Reconciler) tenant(ctx context.Context, s *scope) (bool, error) {
	return r.stage(ctx, s, release.Tenant, tenantProcessed, &s.facts.Release.Status.TenantProcessing)
}

func (r *Reconciler) managed(ctx context.Context, s *scope) (bool, error) {
	return r.stage(ctx, s, release.Managed, managedProcessed, &s.facts.Release.Status.ManagedProcessing)
}

// final runs whatever became of the stages before.
func (r *Reconciler) final(ctx context.Context, s *scope) (bool, error) {
	return r.stage(ctx, s, release.Final, finalProcessed, &s.facts.Release.Status.FinalProcessing)
}

// stage starts a stage's run, follows it and writes down how it ended. Only
// once that is written, in the next reconciliation, it lets the run go: before,
// the run is all there is to tell that it need not run again.
func (r *Reconciler) stage(ctx context.Context, s *scope, stage release.Stage, kind string, info **v1alpha1.PipelineInfo) (bool, error) {
	rel := s.facts.Release
	if c := condition(rel, kind); c != nil && c.Reason != progressing {
		if *info == nil && c.Reason == skipped {
			return true, nil
		}
		return true, r.letGo(ctx, rel, stage)
	}
	run, err := r.find(ctx, rel, stage, *info)
	if err != nil {
		return false, err
	}
	switch {
	case run == nil && *info != nil:
		r.set(rel, kind, metav1.ConditionFalse, failed, fmt.Sprintf("PipelineRun %s was deleted before it ended: create another Release", (*info).PipelineRun))
		return false, nil
	case run == nil && (!release.Defined(stage, s.facts) || stage != release.Final && failedBefore(rel)):
		r.set(rel, kind, metav1.ConditionTrue, skipped, "")
		return true, nil
	case run == nil:
		if problem := release.Startable(stage, s.facts); problem != nil {
			r.set(rel, kind, metav1.ConditionFalse, failed, problem.Error())
			return false, nil
		}
		run, err = r.start(ctx, s, stage)
		if apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsBadRequest(err) {
			r.set(rel, kind, metav1.ConditionFalse, failed, fmt.Sprintf("the %s PipelineRun was refused: %v", stage, err))
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return false, r.follow(ctx, rel, stage, kind, info, run)
}

// follow writes down how far a run is.
func (r *Reconciler) follow(ctx context.Context, rel *v1alpha1.Release, stage release.Stage, kind string, info **v1alpha1.PipelineInfo, run *tektonv1.PipelineRun) error {
	if *info == nil {
		*info = &v1alpha1.PipelineInfo{}
	}
	(*info).PipelineRun, (*info).StartTime = run.Namespace+"/"+run.Name, &run.CreationTimestamp
	if stage == release.Managed {
		(*info).RoleBindings = &v1alpha1.RoleBindings{TenantRoleBinding: release.RoleBindingKey(rel).String()}
	}
	switch {
	case !run.IsDone() && run.DeletionTimestamp != nil:
		r.set(rel, kind, metav1.ConditionFalse, failed, fmt.Sprintf("PipelineRun %s/%s was deleted before it ended: create another Release", run.Namespace, run.Name))
		return nil
	case !run.IsDone():
		r.set(rel, kind, metav1.ConditionFalse, progressing, fmt.Sprintf("PipelineRun %s/%s is running", run.Namespace, run.Name))
		return nil
	}
	(*info).CompletionTime = run.Status.CompletionTime
	attempt := v1alpha1.ManagedPipelineAttempt{PipelineInfo: **info}
	if err := r.conclude(ctx, rel, kind, run, &attempt); err != nil {
		return err
	}
	if stage == release.Managed {
		rel.Status.ManagedPipelineAttempts = []v1alpha1.ManagedPipelineAttempt{attempt}
	}
	return nil
}

func failedBefore(rel *v1alpha1.Release) bool {
	for _, kind := range []string{tenantProcessed, managedProcessed} {
		if c := condition(rel, kind); c != nil && c.Reason == failed {
			return true
		}
	}
	return false
}

// find returns the stage's run, or nil. The cache may not know yet of a run that
// was started a moment ago, so that one that should be there is asked for twice.
func (r *Reconciler) find(ctx context.Context, rel *v1alpha1.Release, stage release.Stage, info *v1alpha1.PipelineInfo) (*tektonv1.PipelineRun, error) {
	key := release.RunKey(stage, rel)
	if key.Namespace == "" {
		return nil, nil
	}
	run, err := get(ctx, r.Client, key, &tektonv1.PipelineRun{})
	if run != nil || err != nil || info == nil {
		return run, err
	}
	return get(ctx, r.Reader, key, &tektonv1.PipelineRun{})
}

// start makes the stage's run, unless it is there.
func (r *Reconciler) start(ctx context.Context, s *scope, stage release.Stage) (*tektonv1.PipelineRun, error) {
	run, err := release.NewRun(stage, s.facts, s.config)
	if err != nil {
		return nil, err
	}
	if stage == release.Managed && s.facts.Admission.Spec.Pipeline.ServiceAccountName != "" {
		// Before the run, which may ask at once.
		err := r.Client.Create(ctx, release.NewRoleBinding(s.facts))
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return nil, fmt.Errorf("letting the managed pipeline read the release: %w", err)
		}
	}
	if err := r.Client.Create(ctx, run); apierrors.IsAlreadyExists(err) {
		return run, r.Reader.Get(ctx, client.ObjectKeyFromObject(run), run)
	} else if err != nil {
		return nil, err
	}
	return run, nil
}

// conclude writes down how a run ended.
func (r *Reconciler) conclude(ctx context.Context, rel *v1alpha1.Release, kind string, run *tektonv1.PipelineRun, attempt *v1alpha1.ManagedPipelineAttempt) error {
	c := run.Status.GetCondition(apis.ConditionSucceeded)
	if c.IsTrue() {
		attempt.Status = succeeded
		r.set(rel, kind, metav1.ConditionTrue, succeeded, "")
		return nil
	}
	tasks, logs, err := lastwords.Of(ctx, r.Client, r.Logs, run)
	if err != nil {
		return err
	}
	attempt.Status, attempt.FailureReason = failed, failure.Reason(run, tasks)
	r.set(rel, kind, metav1.ConditionFalse, failed, failure.Text(run, c.Message, tasks, logs))
	return nil
}

// letGo takes back what a run needed while it ran.
func (r *Reconciler) letGo(ctx context.Context, rel *v1alpha1.Release, stage release.Stage) error {
	if stage == release.Managed {
		key := release.RoleBindingKey(rel)
		binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
		if err := r.Client.Delete(ctx, binding); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	run, err := r.find(ctx, rel, stage, nil)
	if run == nil || err != nil {
		return err
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
