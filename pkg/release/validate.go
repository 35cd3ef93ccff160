package release

import (
	"fmt"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
)

// Facts are what a Release refers to, as far as it is there: what is missing
// is nil.
type Facts struct {
	Release   *v1alpha1.Release
	Plan      *v1alpha1.ReleasePlan
	Admission *v1alpha1.ReleasePlanAdmission
	// MatchProblem says why Admission is nil although the plan needs one.
	MatchProblem error
	Policy       *v1alpha1.EnterpriseContractPolicy
	Snapshot     *v1alpha1.Snapshot
	Debug        bool // of the ReleaseServiceConfig
}

// Defined says whether a stage has a pipeline to run. It also is when what
// would tell is gone: a release that cannot know must not pass for one that had
// nothing to do. Startable then says what is gone.
func Defined(stage Stage, f Facts) bool {
	switch {
	case f.Plan == nil:
		return true
	case stage == Tenant:
		return f.Plan.Spec.TenantPipeline != nil
	case stage == Final:
		return f.Plan.Spec.FinalPipeline != nil
	case f.Admission == nil:
		return f.Plan.Spec.Target != "" || f.Release.Status.Target != ""
	}
	return f.Admission.Spec.Pipeline != nil
}

// Startable returns what keeps a stage of a valid Release from starting: an
// object may have gone, or have been changed, since the Release was validated.
func Startable(stage Stage, f Facts) error {
	if err := there(f); err != nil || stage != Managed {
		return err
	}
	if f.MatchProblem != nil {
		return f.MatchProblem
	}
	if target := f.Release.Status.Target; f.Admission == nil || f.Admission.Namespace != target {
		return fmt.Errorf("the ReleasePlan %s does not target namespace %s any more, as it did when this Release began: create another Release", f.Plan.Name, target)
	}
	return validateAdmission(f)
}

// there says which of a Release's own references leads nowhere.
func there(f Facts) error {
	r := f.Release
	switch {
	case f.Plan == nil:
		return fmt.Errorf("there is no ReleasePlan %q in namespace %s, which spec.releasePlan names: create it, and then another Release", r.Spec.ReleasePlan, r.Namespace)
	case f.Snapshot == nil:
		return fmt.Errorf("there is no Snapshot %q in namespace %s, which spec.snapshot names: create another Release, of a Snapshot that is there", r.Spec.Snapshot, r.Namespace)
	}
	return nil
}

// Validate returns what keeps the Release from running, naming the object and
// what to do; nil when nothing does.
func Validate(f Facts) error {
	if err := there(f); err != nil {
		return err
	}
	switch {
	case f.MatchProblem != nil:
		return f.MatchProblem
	case f.Plan.Spec.TenantPipeline == nil && f.Plan.Spec.FinalPipeline == nil && (f.Admission == nil || f.Admission.Spec.Pipeline == nil):
		return fmt.Errorf("nothing would run: neither ReleasePlan %s has a tenantPipeline or finalPipeline nor its ReleasePlanAdmission a pipeline", f.Plan.Name)
	case f.Plan.Spec.Application != f.Snapshot.Spec.Application:
		return fmt.Errorf("the Snapshot %s is of application %q, and ReleasePlan %s is for application %q", f.Snapshot.Name, f.Snapshot.Spec.Application, f.Plan.Name, f.Plan.Spec.Application)
	case len(f.Snapshot.Spec.Components) == 0:
		return fmt.Errorf("the Snapshot %s holds no component: there is nothing to release", f.Snapshot.Name)
	}
	if err := validateAdmission(f); err != nil {
		return err
	}
	return validateAuthor(f)
}

func validateAdmission(f Facts) error {
	a := f.Admission
	switch {
	case a == nil:
		return nil
	case a.Labels[BlockLabel] == "true":
		return fmt.Errorf("the ReleasePlanAdmission %s/%s does not permit releases at present: its label %s is true", a.Namespace, a.Name, BlockLabel)
	case f.Policy == nil:
		return fmt.Errorf("there is no EnterpriseContractPolicy %q in namespace %s, which spec.policy of ReleasePlanAdmission %s names: ask the owner of %s to create it, then create another Release",
			a.Spec.Policy, a.Namespace, a.Name, a.Namespace)
	case a.Spec.Pipeline == nil:
		return nil
	case a.Spec.Pipeline.PipelineRef.Resolver == "cluster" && !f.Debug:
		return fmt.Errorf("the ReleasePlanAdmission %s/%s finds its pipeline with the cluster resolver, which only a ReleaseServiceConfig with debug allows: use bundles or git", a.Namespace, a.Name)
	}
	return nil
}

// validateAuthor wants somebody to be responsible.
func validateAuthor(f Facts) error {
	if f.Release.Labels[AutomatedLabel] != "true" {
		if f.Release.Labels[AuthorLabel] == "" {
			return fmt.Errorf("nobody is responsible for this Release: set label %s to who releases", AuthorLabel)
		}
		return nil
	}
	if f.Plan.Labels[StandingLabel] != "true" || f.Plan.Labels[AuthorLabel] == "" {
		return fmt.Errorf("nobody is responsible for automated Releases by ReleasePlan %s: set its labels %s=true and %s", f.Plan.Name, StandingLabel, AuthorLabel)
	}
	return nil
}

// Attribution is who is responsible for a valid Release.
func Attribution(f Facts) v1alpha1.Attribution {
	if f.Release.Labels[AutomatedLabel] == "true" {
		return v1alpha1.Attribution{Author: f.Plan.Labels[AuthorLabel], StandingAuthorization: true}
	}
	return v1alpha1.Attribution{Author: f.Release.Labels[AuthorLabel]}
}
