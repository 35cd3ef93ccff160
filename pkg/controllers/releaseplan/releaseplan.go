// Package releaseplan matches ReleasePlans with ReleasePlanAdmissions, and
// tells both sides.
package releaseplan

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/release"
)

// matched is both the type and, in either case, the reason of the condition,
// as upstream has it.
const matched = "Matched"

// PlanReconciler reconciles ReleasePlans.
type PlanReconciler struct {
	Client client.Client
	Now    func() time.Time
}

// SetupWithManager registers the reconciler. An admission wakes every plan of
// its origin: which of them it is for is what there is to find out.
func (r *PlanReconciler) SetupWithManager(mgr ctrl.Manager) error {
	ofOrigin := handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, o client.Object) []reconcile.Request {
		admission, ok := o.(*v1alpha1.ReleasePlanAdmission)
		if !ok {
			return nil
		}
		var plans v1alpha1.ReleasePlanList
		if err := r.Client.List(ctx, &plans, client.InNamespace(admission.Spec.Origin)); err != nil {
			return nil // the cache is never unreachable; a closing one has nothing to wake
		}
		var requests []reconcile.Request
		for i := range plans.Items {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&plans.Items[i])})
		}
		return requests
	})
	return ctrl.NewControllerManagedBy(mgr).
		Named("releaseplan").
		For(&v1alpha1.ReleasePlan{}).
		Watches(&v1alpha1.ReleasePlanAdmission{}, ofOrigin).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// Reconcile writes down which admission a plan has, or why it has none.
func (r *PlanReconciler) Reconcile(ctx context.Context, plan *v1alpha1.ReleasePlan) (ctrl.Result, error) {
	if !plan.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	before := plan.DeepCopy()
	if plan.Spec.Target == "" {
		// It needs no admission, and what it may have had before is not true any more.
		meta.RemoveStatusCondition(&plan.Status.Conditions, matched)
		plan.Status.ReleasePlanAdmission = nil
	} else if err := r.match(ctx, plan); err != nil {
		return ctrl.Result{}, err
	}
	if equality.Semantic.DeepEqual(before.Status, plan.Status) {
		return ctrl.Result{}, nil
	}
	if err := r.Client.Status().Patch(ctx, plan, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("patching status: %w", err)
	}
	return ctrl.Result{}, nil
}

func (r *PlanReconciler) match(ctx context.Context, plan *v1alpha1.ReleasePlan) error {
	var admissions v1alpha1.ReleasePlanAdmissionList
	if err := r.Client.List(ctx, &admissions, client.InNamespace(plan.Spec.Target)); err != nil {
		return err
	}
	admission, problem := release.Admission(plan, admissions.Items)
	condition := metav1.Condition{Type: matched, Status: metav1.ConditionTrue, Reason: matched, ObservedGeneration: plan.Generation, LastTransitionTime: metav1.NewTime(r.Now())}
	if problem != nil {
		condition.Status, condition.Message = metav1.ConditionFalse, problem.Error()
		plan.Status.ReleasePlanAdmission = nil
	} else {
		plan.Status.ReleasePlanAdmission = &v1alpha1.MatchedReleasePlanAdmission{
			Name: admission.Namespace + "/" + admission.Name, Active: admission.Labels[release.BlockLabel] != "true",
		}
	}
	meta.SetStatusCondition(&plan.Status.Conditions, condition)
	return nil
}

// AdmissionReconciler reconciles ReleasePlanAdmissions.
type AdmissionReconciler struct {
	Client client.Client
	Now    func() time.Time
}

// SetupWithManager registers the reconciler. A plan wakes every admission of
// its target.
func (r *AdmissionReconciler) SetupWithManager(mgr ctrl.Manager) error {
	ofTarget := handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, o client.Object) []reconcile.Request {
		plan, ok := o.(*v1alpha1.ReleasePlan)
		if !ok || plan.Spec.Target == "" {
			return nil
		}
		var admissions v1alpha1.ReleasePlanAdmissionList
		if err := r.Client.List(ctx, &admissions, client.InNamespace(plan.Spec.Target)); err != nil {
			return nil // as above
		}
		var requests []reconcile.Request
		for i := range admissions.Items {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&admissions.Items[i])})
		}
		return requests
	})
	return ctrl.NewControllerManagedBy(mgr).
		Named("releaseplanadmission").
		For(&v1alpha1.ReleasePlanAdmission{}).
		Watches(&v1alpha1.ReleasePlan{}, ofTarget).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// Reconcile writes down which plans an admission admits.
func (r *AdmissionReconciler) Reconcile(ctx context.Context, admission *v1alpha1.ReleasePlanAdmission) (ctrl.Result, error) {
	if !admission.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	var plans v1alpha1.ReleasePlanList
	if err := r.Client.List(ctx, &plans, client.InNamespace(admission.Spec.Origin)); err != nil {
		return ctrl.Result{}, err
	}
	before := admission.DeepCopy()
	admission.Status.ReleasePlans = release.Plans(admission, plans.Items)
	condition := metav1.Condition{Type: matched, Status: metav1.ConditionTrue, Reason: matched, ObservedGeneration: admission.Generation, LastTransitionTime: metav1.NewTime(r.Now())}
	if len(admission.Status.ReleasePlans) == 0 {
		condition.Status = metav1.ConditionFalse
		condition.Message = fmt.Sprintf("no ReleasePlan of namespace %s targets namespace %s for one of its applications", admission.Spec.Origin, admission.Namespace)
	}
	meta.SetStatusCondition(&admission.Status.Conditions, condition)
	if equality.Semantic.DeepEqual(before.Status, admission.Status) {
		return ctrl.Result{}, nil
	}
	if err := r.Client.Status().Patch(ctx, admission, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("patching status: %w", err)
	}
	return ctrl.Result{}, nil
}
