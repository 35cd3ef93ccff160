// Package release is what the release service decides, without a client and
// without a clock: which admission a plan has, whether a Release may run, and
// what its pipeline run looks like.
package release

import (
	"fmt"
	"slices"
	"strings"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
)

// Labels, as upstream has them.
const (
	AutoReleaseLabel = "release.appstudio.openshift.io/auto-release"
	BlockLabel       = "release.appstudio.openshift.io/block-releases"
	AdmissionLabel   = "release.appstudio.openshift.io/releasePlanAdmission"
	StandingLabel    = "release.appstudio.openshift.io/standing-attribution"
	AuthorLabel      = "release.appstudio.openshift.io/author"
	AutomatedLabel   = "release.appstudio.openshift.io/automated"
	SnapshotLabel    = "release.appstudio.openshift.io/snapshot"
	PlanLabel        = "release.appstudio.openshift.io/releasePlan"
)

// MatchError says why a plan has no admission, and what would mend it.
type MatchError struct{ text string }

func (e *MatchError) Error() string { return e.text }

func matchf(format string, args ...any) error { return &MatchError{fmt.Sprintf(format, args...)} }

// Admission returns the admission of a plan among all of its target namespace.
// A plan without a target has none, and needs none.
func Admission(plan *v1alpha1.ReleasePlan, admissions []v1alpha1.ReleasePlanAdmission) (*v1alpha1.ReleasePlanAdmission, error) {
	if plan.Spec.Target == "" {
		return nil, nil
	}
	if name := plan.Labels[AdmissionLabel]; name != "" {
		return named(plan, name, admissions)
	}
	var found []*v1alpha1.ReleasePlanAdmission
	for i := range admissions {
		if admits(&admissions[i], plan) {
			found = append(found, &admissions[i])
		}
	}
	switch len(found) {
	case 0:
		return nil, matchf("ReleasePlan %s targets namespace %s, but no ReleasePlanAdmission there has spec.origin %s and %s %q in its list: ask the owner of %s to create one, or correct spec.target",
			plan.Name, plan.Spec.Target, plan.Namespace, kind(plan), subject(plan), plan.Spec.Target)
	case 1:
		return found[0], nil
	}
	var names []string
	for _, f := range found {
		names = append(names, f.Name)
	}
	slices.Sort(names)
	return nil, matchf("ReleasePlan %s is admitted by multiple ReleasePlanAdmissions of namespace %s (%s): choose one with label %s",
		plan.Name, plan.Spec.Target, strings.Join(names, ", "), AdmissionLabel)
}

func named(plan *v1alpha1.ReleasePlan, name string, admissions []v1alpha1.ReleasePlanAdmission) (*v1alpha1.ReleasePlanAdmission, error) {
	for i := range admissions {
		a := &admissions[i]
		if a.Name != name || a.Namespace != plan.Spec.Target {
			continue
		}
		if a.Spec.Origin != plan.Namespace {
			return nil, matchf("ReleasePlan %s names ReleasePlanAdmission %s/%s by label, which admits releases from namespace %s only: its spec.origin must be %s",
				plan.Name, a.Namespace, a.Name, a.Spec.Origin, plan.Namespace)
		}
		return a, nil
	}
	return nil, matchf("ReleasePlan %s names ReleasePlanAdmission %q by label %s, and namespace %s has none of that name",
		plan.Name, name, AdmissionLabel, plan.Spec.Target)
}

func admits(a *v1alpha1.ReleasePlanAdmission, plan *v1alpha1.ReleasePlan) bool {
	if a.Namespace != plan.Spec.Target || a.Spec.Origin != plan.Namespace || a.DeletionTimestamp != nil {
		return false
	}
	if plan.Spec.Application != "" {
		return slices.Contains(a.Spec.Applications, plan.Spec.Application)
	}
	return slices.Contains(a.Spec.ComponentGroups, plan.Spec.ComponentGroup)
}

// Plans returns those of plans that an admission admits, by name.
func Plans(a *v1alpha1.ReleasePlanAdmission, plans []v1alpha1.ReleasePlan) []v1alpha1.MatchedReleasePlan {
	var matched []v1alpha1.MatchedReleasePlan
	for i := range plans {
		p := &plans[i]
		if other := p.Labels[AdmissionLabel]; other != "" && other != a.Name || !admits(a, p) || p.DeletionTimestamp != nil {
			continue
		}
		matched = append(matched, v1alpha1.MatchedReleasePlan{
			Name: p.Namespace + "/" + p.Name, Active: p.Labels[AutoReleaseLabel] == "true",
		})
	}
	slices.SortFunc(matched, func(x, y v1alpha1.MatchedReleasePlan) int { return strings.Compare(x.Name, y.Name) })
	return matched
}

func kind(plan *v1alpha1.ReleasePlan) string {
	if plan.Spec.Application != "" {
		return "application"
	}
	return "component group"
}

func subject(plan *v1alpha1.ReleasePlan) string {
	if plan.Spec.Application != "" {
		return plan.Spec.Application
	}
	return plan.Spec.ComponentGroup
}
