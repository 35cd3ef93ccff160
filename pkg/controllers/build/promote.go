package build

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/controllers/internal/assembly"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// ofApplication finds the application of a build's component.
func (r *Reconciler) ofApplication(ctx context.Context, s *scope, name string) error {
	component := &v1alpha1.Component{}
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: s.run.Namespace, Name: name}, component)
	if apierrors.IsNotFound(err) || err == nil && !component.DeletionTimestamp.IsZero() {
		return snapshot.Refuse(snapshot.ComponentUnknown, "there is no Component %q in namespace %s: label %s of the build must name one",
			name, s.run.Namespace, snapshot.ComponentLabel)
	}
	if err != nil {
		return err
	}
	s.component = component
	if component.Spec.Application == "" {
		return snapshot.Refuse(snapshot.ApplicationUnknown, "component %q has no spec.application, and the build no annotation %s: without either it belongs to no Snapshot",
			name, snapshot.VersionKey)
	}
	source, err := assembly.Application(ctx, r.Client, s.run.Namespace, component.Spec.Application)
	if err != nil {
		return err
	}
	if !source.Whole.Has(name, "") {
		return fmt.Errorf("component %q is not among those of application %q yet", name, component.Spec.Application)
	}
	s.sources = []assembly.Source{source}
	return nil
}

// ofGroups finds every group that names the version that was built. One that
// is nested in itself does not keep the others from their Snapshots, unless
// there are no others.
func (r *Reconciler) ofGroups(ctx context.Context, s *scope, name, version string) error {
	groups, err := assembly.Groups(ctx, r.Client, s.run.Namespace)
	if err != nil {
		return err
	}
	var problems []error
	for _, group := range snapshot.Containing(groups, name, version) {
		source, err := assembly.Group(groups, s.run.Namespace, group)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		s.sources = append(s.sources, source)
	}
	if s.problem = errors.Join(problems...); len(s.sources) > 0 {
		return nil
	}
	if len(problems) > 0 {
		return &snapshot.Refusal{Reason: snapshot.NestingInvalid, Err: s.problem}
	}
	return snapshot.Refuse(snapshot.GroupUnknown, "no ComponentGroup of namespace %s has version %q of component %q in spec.components: add it to one, and build again",
		s.run.Namespace, version, name)
}

// promote makes a pushed image the one that other builds' Snapshots hold,
// unless a later build was there first.
func (r *Reconciler) promote(ctx context.Context, s *scope) (bool, error) {
	if !snapshot.PushRun(s.run) || s.run.Annotations[snapshot.CandidateKey] != "" || s.warning != "" {
		return true, nil
	}
	nominee := snapshot.Nominee{Image: s.built.Image, URL: s.built.URL, Commit: s.built.Commit, Built: snapshot.Started(s.run)}
	var all []snapshot.Candidacy
	for i, source := range s.sources {
		var one snapshot.Candidacy
		var err error
		if group, ok := source.Owner.(*v1beta2.ComponentGroup); ok {
			one, err = r.promoteInGroup(ctx, s, group, nominee)
		} else {
			one, err = assembly.Promote(ctx, r.Client, s.component, nominee, false)
		}
		if err != nil {
			return false, fmt.Errorf("promoting the image in %s %q: %w", source.Whole.Kind(), s.sources[i].Whole.Name(), err)
		}
		all = append(all, one)
	}
	s.note(snapshot.CandidateKey, snapshot.Mark(all, r.Now()))
	return true, nil
}

func (r *Reconciler) promoteInGroup(ctx context.Context, s *scope, group *v1beta2.ComponentGroup, nominee snapshot.Nominee) (snapshot.Candidacy, error) {
	if group.Spec.PromotionPolicy == v1beta2.PromoteAfterTests {
		return snapshot.Deferred, nil
	}
	before := group.DeepCopy()
	name, version := snapshot.ComponentOf(s.run)
	candidacy := snapshot.PromoteInGroup(group, name, version, nominee, false)
	switch candidacy {
	case snapshot.Unlisted:
		return "", fmt.Errorf("its status.globalCandidateList has no entry for version %q of component %q yet", version, name)
	case snapshot.Promoted:
		return candidacy, r.Client.Status().Patch(ctx, group, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	}
	return candidacy, nil
}

// tellComponent keeps the Component's word on whether its last push build got
// a Snapshot. It is written when it changes alone: most builds are good.
func (r *Reconciler) tellComponent(ctx context.Context, s *scope, outcome snapshot.Outcome) error {
	if !snapshot.PushRun(s.run) || outcome.Status == snapshot.Waiting {
		return nil
	}
	component := s.component
	if component == nil {
		name, version := snapshot.ComponentOf(s.run)
		component = &v1alpha1.Component{}
		err := r.Client.Get(ctx, client.ObjectKey{Namespace: s.run.Namespace, Name: name}, component)
		if version != "" || apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	before := component.DeepCopy()
	condition := snapshot.ComponentCondition(s.run, outcome)
	condition.ObservedGeneration, condition.LastTransitionTime = component.Generation, metav1.NewTime(r.Now())
	if condition.Status == metav1.ConditionTrue && !meta.IsStatusConditionFalse(component.Status.Conditions, condition.Type) {
		return nil
	}
	if !snapshot.Tells(component, s.run) || !meta.SetStatusCondition(&component.Status.Conditions, condition) {
		return nil
	}
	err := r.Client.Status().Patch(ctx, component, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	return client.IgnoreNotFound(err)
}
