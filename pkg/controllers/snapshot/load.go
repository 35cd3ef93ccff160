package snapshot

import (
	"context"
	"fmt"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/controllers/internal/lookup"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// adopt makes the Snapshot its application's or group's, so that it goes with
// it.
func (r *Reconciler) adopt(ctx context.Context, sc *scope) (bool, error) {
	s := sc.snapshot
	var owner client.Object = &v1alpha1.Application{}
	kind, name, key := "Application", s.Spec.Application, snapshot.ApplicationLabel
	if s.Spec.ComponentGroup != "" {
		owner, kind, name, key = &v1beta2.ComponentGroup{}, "ComponentGroup", s.Spec.ComponentGroup, snapshot.ComponentGroupLabel
	}
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: name}, owner)
	if apierrors.IsNotFound(err) {
		// One that was made a moment ago may not have reached the cache.
		err = r.live().Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: name}, owner)
	}
	if apierrors.IsNotFound(err) {
		r.set(s, snapshot.IntegrationCondition, metav1.ConditionFalse, invalid,
			fmt.Sprintf("there is no %s %q in namespace %s: create it, and then another Snapshot", kind, name, s.Namespace))
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if group, ok := owner.(*v1beta2.ComponentGroup); ok {
		sc.graph = group.Spec.TestGraph
	}
	if s.Labels[key] == "" {
		metav1.SetMetaDataLabel(&s.ObjectMeta, key, name)
	}
	if metav1.GetControllerOf(s) != nil {
		return true, nil
	}
	return true, controllerutil.SetControllerReference(owner, s, r.Client.Scheme())
}

// load reads the scenarios, the runs, and the tests as they are written down.
func (r *Reconciler) load(ctx context.Context, sc *scope) (bool, error) {
	s := sc.snapshot
	required, err := r.scenarios(ctx, sc, r.Client)
	if err == nil && !required && !concluded(s) {
		// A Snapshot that nothing tests passes at once: that must not be
		// because the cache does not know its scenarios yet.
		_, err = r.scenarios(ctx, sc, r.live())
	}
	if err != nil {
		return false, err
	}
	if sc.runs, err = r.testRuns(ctx, client.ObjectKeyFromObject(s)); err != nil {
		return false, err
	}
	sc.tests, sc.loaded = snapshot.TestsOf(s), true
	return true, nil
}

func concluded(s *v1alpha1.Snapshot) bool {
	return meta.IsStatusConditionTrue(s.Status.Conditions, snapshot.IntegrationCondition)
}

// scenarios reads those that concern the Snapshot, and says whether any of
// them must pass.
func (r *Reconciler) scenarios(ctx context.Context, sc *scope, from client.Reader) (required bool, err error) {
	var list v1beta2.IntegrationTestScenarioList
	if err := from.List(ctx, &list, client.InNamespace(sc.snapshot.Namespace)); err != nil {
		return false, err
	}
	sc.scenarios = map[string]*v1beta2.IntegrationTestScenario{}
	for i := range list.Items {
		scenario := &list.Items[i]
		scenario.Spec.Translate()
		if snapshot.Concerns(scenario, sc.snapshot) {
			sc.scenarios[scenario.Name] = scenario
			required = required || snapshot.Applies(scenario, sc.snapshot) && !snapshot.Optional(scenario)
		}
	}
	return required, nil
}

func (r *Reconciler) testRuns(ctx context.Context, s client.ObjectKey) (map[string]*tektonv1.PipelineRun, error) {
	var list tektonv1.PipelineRunList
	err := r.Client.List(ctx, &list, client.InNamespace(s.Namespace), client.MatchingLabels{
		snapshot.SnapshotKey: s.Name, snapshot.RunTypeLabel: snapshot.TestRun,
	})
	if err != nil {
		return nil, err
	}
	runs := map[string]*tektonv1.PipelineRun{}
	for i := range list.Items {
		runs[list.Items[i].Name] = &list.Items[i]
	}
	return runs, nil
}

// write writes down what the steps came to: first the truth, then what others
// read and the label that is done with, and only then lets go of the runs whose
// outcome is safe now.
func (r *Reconciler) write(ctx context.Context, sc *scope, before *v1alpha1.Snapshot) error {
	s := sc.snapshot
	if sc.loaded && (len(sc.tests) > 0 || len(s.Status.TestResults) > 0) {
		metav1.SetMetaDataAnnotation(&s.ObjectMeta, snapshot.StatusAnnotation, sc.tests.String())
		s.Status.TestResults = sc.tests.Results()
	}
	if sc.note != nil {
		delete(s.Labels, snapshot.RerunLabel)
		metav1.SetMetaDataAnnotation(&s.ObjectMeta, snapshot.RerunAnnotation, sc.note.Text())
	}
	now := before.DeepCopy()
	if !equality.Semantic.DeepEqual(before.Status, s.Status) {
		now.Status = s.Status
		// The whole list of conditions is written, which others add to.
		if err := r.Client.Status().Patch(ctx, now, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
			return ignoreGone(err, "writing the status of Snapshot "+s.Name)
		}
	}
	base := now.DeepCopy()
	now.Labels, now.Annotations, now.OwnerReferences = s.Labels, s.Annotations, s.OwnerReferences
	if !equality.Semantic.DeepEqual(base.ObjectMeta, now.ObjectMeta) {
		if err := r.Client.Patch(ctx, now, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})); err != nil {
			return ignoreGone(err, "writing on Snapshot "+s.Name)
		}
	}
	if sc.note != nil {
		r.tell(s, len(sc.note.Start) == 0, sc.note.Reason, sc.note.Detail)
	}
	if !sc.loaded {
		return nil
	}
	if err := r.letGo(ctx, sc); err != nil {
		return err
	}
	var needed []string
	for _, test := range sc.tests {
		if test.Status == snapshot.Pending {
			needed = append(needed, sc.asked[test.Scenario]...)
		}
	}
	return r.asker(s).Forget(ctx, needed)
}

// ignoreGone is err with what was being done, and nil when the object is gone.
func ignoreGone(err error, doing string) error {
	if client.IgnoreNotFound(err) == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func (r *Reconciler) asker(s *v1alpha1.Snapshot) lookup.Asker {
	return lookup.Asker{
		Client: r.Client, Now: r.Now, Namespace: s.Namespace, Labels: map[string]string{snapshot.SnapshotKey: s.Name},
		Owner: *metav1.NewControllerRef(s, v1alpha1.GroupVersion.WithKind("Snapshot")),
	}
}
