// Package scenario makes a namespace fit to run a scenario's tests, and tells
// on the scenario what keeps it from testing.
package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	resolutionv1 "github.com/tektoncd/pipeline/pkg/apis/resolution/v1beta1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/controllers/internal/lookup"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// Reconciler reconciles IntegrationTestScenarios.
type Reconciler struct {
	Client client.Client
	Now    func() time.Time // nil for the clock
}

// SetupWithManager registers the reconciler. What a scenario is for, and the
// components that its contexts name, wake it when they come and go.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	if r.Now == nil {
		r.Now = time.Now
	}
	comeAndGo := builder.WithPredicates(predicate.Funcs{UpdateFunc: func(event.UpdateEvent) bool { return false }})
	changed := builder.WithPredicates(predicate.GenerationChangedPredicate{})
	all := handler.EnqueueRequestsFromMapFunc(r.ofNamespace)
	return ctrl.NewControllerManagedBy(mgr).
		Named("scenario").
		For(&v1beta2.IntegrationTestScenario{}).
		Owns(&resolutionv1.ResolutionRequest{}).
		Watches(&v1alpha1.Application{}, all, comeAndGo).
		Watches(&v1alpha1.Component{}, all, comeAndGo).
		Watches(&v1beta2.ComponentGroup{}, all, changed).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// ofNamespace are the scenarios beside an object.
func (r *Reconciler) ofNamespace(ctx context.Context, o client.Object) []reconcile.Request {
	var list v1beta2.IntegrationTestScenarioList
	if err := r.Client.List(ctx, &list, client.InNamespace(o.GetNamespace())); err != nil {
		return nil
	}
	var requests []reconcile.Request
	for i := range list.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
	}
	return requests
}

// Reconcile makes the runner's account and role, and the scenario its
// application's or group's, so that it goes with it. Its conditions are written
// once, at the end.
func (r *Reconciler) Reconcile(ctx context.Context, scenario *v1beta2.IntegrationTestScenario) (ctrl.Result, error) {
	if !scenario.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	if err := r.translate(ctx, scenario); err != nil {
		return ctrl.Result{}, err
	}
	if err := r.prepare(ctx, scenario.Namespace); err != nil {
		return ctrl.Result{}, fmt.Errorf("preparing namespace %s for tests: %w", scenario.Namespace, err)
	}
	missing, err := r.adopt(ctx, scenario)
	if err != nil {
		return ctrl.Result{}, err
	}
	components, err := r.components(ctx, scenario)
	if err != nil {
		return ctrl.Result{}, err
	}
	before := scenario.DeepCopy()
	wait, err := r.lookUp(ctx, scenario)
	r.set(scenario, snapshot.Contexts(scenario, components))
	r.set(scenario, snapshot.Valid(scenario, missing))
	if !equality.Semantic.DeepEqual(before.Status, scenario.Status) {
		patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
		err = errors.Join(err, client.IgnoreNotFound(r.Client.Status().Patch(ctx, scenario, patch)))
	}
	if err == nil && wait == 0 {
		err = r.asker(scenario).Forget(ctx, nil)
	}
	return ctrl.Result{RequeueAfter: wait}, err
}

// translate writes what older versions say in words of their own as now.
func (r *Reconciler) translate(ctx context.Context, scenario *v1beta2.IntegrationTestScenario) error {
	before := scenario.DeepCopy()
	if !scenario.Spec.Translate() {
		return nil
	}
	return client.IgnoreNotFound(r.Client.Patch(ctx, scenario, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})))
}

// adopt gives the scenario its owner, and says where there is none.
func (r *Reconciler) adopt(ctx context.Context, scenario *v1beta2.IntegrationTestScenario) (missing, err error) {
	var owner client.Object = &v1alpha1.Application{}
	name := scenario.Spec.Application
	if scenario.Spec.ComponentGroup != "" {
		owner, name = &v1beta2.ComponentGroup{}, scenario.Spec.ComponentGroup
	}
	err = r.Client.Get(ctx, client.ObjectKey{Namespace: scenario.Namespace, Name: name}, owner)
	if apierrors.IsNotFound(err) {
		return snapshot.MissingOwner(scenario), nil
	}
	if err != nil || len(scenario.OwnerReferences) > 0 {
		return nil, err
	}
	before := scenario.DeepCopy()
	if err := controllerutil.SetOwnerReference(owner, scenario, r.Client.Scheme()); err != nil {
		return nil, err
	}
	return nil, client.IgnoreNotFound(r.Client.Patch(ctx, scenario, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})))
}

// components are the names that contexts may name.
func (r *Reconciler) components(ctx context.Context, scenario *v1beta2.IntegrationTestScenario) ([]string, error) {
	var names []string
	if name := scenario.Spec.ComponentGroup; name != "" {
		var group v1beta2.ComponentGroup
		err := r.Client.Get(ctx, client.ObjectKey{Namespace: scenario.Namespace, Name: name}, &group)
		for _, c := range group.Spec.Components {
			if !c.IsGroup() {
				names = append(names, c.Name)
			}
		}
		return names, client.IgnoreNotFound(err)
	}
	var list v1alpha1.ComponentList
	err := r.Client.List(ctx, &list, client.InNamespace(scenario.Namespace))
	for i := range list.Items {
		if list.Items[i].Spec.Application == scenario.Spec.Application {
			names = append(names, list.Items[i].Name)
		}
	}
	return names, err
}

// lookUp finds out once whether the scenario refers to a pipeline, so that its
// author learns of a mistake before a Snapshot does. It returns how long to
// wait for the answer.
func (r *Reconciler) lookUp(ctx context.Context, scenario *v1beta2.IntegrationTestScenario) (time.Duration, error) {
	if snapshot.LookedUp(scenario) || snapshot.CheckReference(scenario.Spec.ResolverRef) != nil {
		return 0, nil
	}
	answer, err := r.asker(scenario).Ask(ctx, snapshot.Question{
		Owner: scenario.UID, About: fmt.Sprint(scenario.Generation), Ref: snapshot.Resolver(scenario.Spec.ResolverRef),
	})
	if err != nil {
		return 0, err
	}
	r.set(scenario, snapshot.Found(scenario, answer))
	return answer.Wait, nil
}

func (r *Reconciler) set(scenario *v1beta2.IntegrationTestScenario, c metav1.Condition) {
	c.LastTransitionTime = metav1.NewTime(r.Now())
	meta.SetStatusCondition(&scenario.Status.Conditions, c)
}

// asker asks in the name of a scenario. The author of a scenario must not need
// a right to the finalizers of scenarios, so its requests do not hold it.
func (r *Reconciler) asker(scenario *v1beta2.IntegrationTestScenario) lookup.Asker {
	owner := *metav1.NewControllerRef(scenario, v1beta2.GroupVersion.WithKind("IntegrationTestScenario"))
	owner.BlockOwnerDeletion = nil
	return lookup.Asker{
		Client: r.Client, Now: r.Now, Namespace: scenario.Namespace, Owner: owner,
		Labels: map[string]string{snapshot.LookUpLabel: scenario.Name},
	}
}
