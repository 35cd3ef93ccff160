// Package scenario makes a namespace fit to run a scenario's tests.
package scenario

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
)

// runner is who test runs run as, and the role it has.
const runner = "konflux-integration-runner"

// Reconciler reconciles IntegrationTestScenarios.
type Reconciler struct {
	Client client.Client
}

// SetupWithManager registers the reconciler.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("scenario").
		For(&v1beta2.IntegrationTestScenario{}).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// Reconcile makes the runner's account and role, and the scenario its
// application's, so that it goes with it.
func (r *Reconciler) Reconcile(ctx context.Context, scenario *v1beta2.IntegrationTestScenario) (ctrl.Result, error) {
	if !scenario.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	for _, object := range objects(scenario.Namespace) {
		if err := r.Client.Create(ctx, object); err != nil && !apierrors.IsAlreadyExists(err) {
			return ctrl.Result{}, fmt.Errorf("preparing namespace %s for tests: %w", scenario.Namespace, err)
		}
	}
	var application v1alpha1.Application
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: scenario.Namespace, Name: scenario.Spec.Application}, &application)
	if err != nil || len(scenario.OwnerReferences) > 0 {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	before := scenario.DeepCopy()
	if err := controllerutil.SetOwnerReference(&application, scenario, r.Client.Scheme()); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{}, client.IgnoreNotFound(r.Client.Patch(ctx, scenario, client.MergeFrom(before)))
}

func objects(namespace string) []client.Object {
	where := metav1.ObjectMeta{Namespace: namespace, Name: runner}
	return []client.Object{
		&corev1.ServiceAccount{ObjectMeta: where},
		&rbacv1.RoleBinding{
			ObjectMeta: where,
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: runner},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: runner}},
		},
	}
}
