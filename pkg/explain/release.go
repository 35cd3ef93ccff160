package explain

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/release"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// promotionLink is whether Releases are made of a Snapshot by themselves.
func promotionLink(f *SnapshotFacts, now time.Time, made Link, tests []Link) Link {
	s := f.Snapshot
	if s == nil {
		return Link{Stage: Promotion, Object: made.Object, State: Skipped}
	}
	link := Link{Stage: Promotion, Object: made.Object, State: Ahead}
	auto := condition(s.Status.Conditions, snapshot.AutoReleasedCondition)
	decision := snapshot.DecideRelease(s, f.Plans, f.Releases, f.Others, now)
	passed := condition(s.Status.Conditions, snapshot.TestsSucceededCondition).Status == metav1.ConditionTrue
	switch {
	case auto.Status == metav1.ConditionTrue && auto.Message == snapshot.ReleasedMessage:
		link.State = Done
	case len(f.Releases) > 0:
		link.State, link.Message = Skipped, "it has a Release already"
	case auto.Status == metav1.ConditionTrue:
		link.State, link.Reason, link.Message = Stopped, "NotWanted", auto.Message
		link.Fix = notWantedFix(f)
	case decision.Reason == snapshot.NotPushReason || decision.Reason == snapshot.BlockedReason || decision.Reason == snapshot.UnsignedReason:
		// Known before any test ends.
		link.State, link.Reason, link.Message = Stopped, decision.Reason, decision.Message
		link.Fix = "see the message; a Release that names the Snapshot releases it by hand"
	case made.State == Stopped || slices.ContainsFunc(tests, func(t Link) bool { return t.State == Stopped }) || !passed:
	case auto.Reason == snapshot.ErrorReason:
		link.State, link.Reason, link.Message = Stopped, auto.Reason, auto.Message
		link.Fix = fmt.Sprintf("mend what the message names before %s, or create a Release by hand", snapshot.ReleaseDeadline(s).UTC().Format(time.RFC3339))
	case len(decision.Plans) > 0:
		link.State, link.Message = Waiting, "Releases are about to be made by ReleasePlan "+strings.Join(decision.Plans, ", ")
	default:
		link.State, link.Message = Waiting, decision.Message
	}
	return link
}

// notWantedFix says what a decision that is final would have needed.
func notWantedFix(f *SnapshotFacts) string {
	byHand := fmt.Sprintf("create a Release with spec.snapshot %s to release this one", f.Snapshot.Name)
	newer := snapshot.SupersededBy(f.Snapshot, f.Others)
	switch {
	case newer != "":
		return "look at Snapshot " + newer + ", of a newer build; or " + byHand
	case len(f.Plans) == 0:
		return "create a ReleasePlan for the next ones, and " + byHand
	}
	return fmt.Sprintf("look at label or annotation %s of the ReleasePlans (%s) for the next ones, and %s", snapshot.AutoReleaseKey, planNames(f.Plans), byHand)
}

func planNames(plans []v1alpha1.ReleasePlan) string {
	var names []string
	for i := range plans {
		names = append(names, plans[i].Name)
	}
	return strings.Join(names, ", ")
}

// releaseLinks are about every plan, and the Releases by it.
func releaseLinks(f *SnapshotFacts, promotion Link) []Link {
	var links []Link
	plans := map[string]*v1alpha1.ReleasePlan{}
	for i := range f.Plans {
		plan := &f.Plans[i]
		plans[plan.Name] = plan
		made := slices.ContainsFunc(f.Releases, func(r v1alpha1.Release) bool { return r.Spec.ReleasePlan == plan.Name })
		// What would stop a Release that is still to come is worth knowing now.
		if !made && (promotion.State == Ahead || promotion.State == Waiting) {
			links = append(links, Link{Stage: Release, Object: "ReleasePlan/" + plan.Name, State: Ahead}, admissionLink(plan, f.Admissions))
		}
	}
	for i := range f.Releases {
		links = append(links, ofRelease(&f.Releases[i], plans[f.Releases[i].Spec.ReleasePlan], f.Admissions)...)
	}
	return links
}

func ofRelease(r *v1alpha1.Release, plan *v1alpha1.ReleasePlan, admissions map[string]Admissions) []Link {
	link := Link{Stage: Release, Object: "Release/" + r.Name, State: Done}
	valid := condition(r.Status.Conditions, "Validated")
	switch valid.Status {
	case metav1.ConditionTrue:
	case metav1.ConditionFalse:
		link.State, link.Reason, link.Message = Stopped, valid.Reason, valid.Message
		link.Fix = fmt.Sprintf("mend it, and create another Release of Snapshot %s by ReleasePlan %s", r.Spec.Snapshot, r.Spec.ReleasePlan)
	default:
		link.State, link.Message = Waiting, "the Release was not validated yet: is the controller running?"
	}
	links := []Link{link}
	switch {
	case valid.Status == metav1.ConditionTrue && plan != nil && plan.Spec.Target != "":
		// It keeps the admission that it was validated with.
		links = append(links, Link{Stage: Admission, Object: "Namespace/" + plan.Spec.Target, State: Done})
	case plan != nil:
		links = append(links, admissionLink(plan, admissions))
	}
	if link.State == Stopped {
		return links
	}
	return append(links, pipelineLinks(r)...)
}

// admissionLink is whether a plan's releases are taken where they go.
func admissionLink(plan *v1alpha1.ReleasePlan, admissions map[string]Admissions) Link {
	link := Link{Stage: Admission, Object: "ReleasePlan/" + plan.Name, State: Done}
	if plan.Spec.Target == "" {
		link.State, link.Message = Skipped, "it releases in its own namespace"
		return link
	}
	there := admissions[plan.Spec.Target]
	if there.Forbidden {
		return toldByPlan(plan, link)
	}
	admission, err := release.Admission(plan, there.Items)
	if err != nil {
		link.State, link.Reason, link.Message = Stopped, "NotMatched", err.Error()
		link.Fix = "see the message"
		var hinter interface{ Hint() string }
		if errors.As(err, &hinter) {
			link.Fix = hinter.Hint()
		}
		return link
	}
	link.Object = "ReleasePlanAdmission/" + admission.Namespace + "/" + admission.Name
	if admission.Labels[release.BlockLabel] == "true" {
		return blocked(link, admission.Namespace)
	}
	return link
}

// toldByPlan goes by what the plan's status says of an admission that the
// asker may not read.
func toldByPlan(plan *v1alpha1.ReleasePlan, link Link) Link {
	matched := plan.Status.ReleasePlanAdmission
	if matched == nil || matched.Name == "" {
		c := condition(plan.Status.Conditions, "Matched")
		link.State, link.Reason, link.Message = Stopped, "NotMatched", c.Message
		link.Fix = fmt.Sprintf("ask the owner of namespace %s for a ReleasePlanAdmission with spec.origin %s", plan.Spec.Target, plan.Namespace)
		return link
	}
	link.Object = "ReleasePlanAdmission/" + matched.Name
	if !matched.Active {
		return blocked(link, plan.Spec.Target)
	}
	return link
}

func blocked(link Link, namespace string) Link {
	link.State, link.Reason, link.Message = Stopped, "Blocked", "its label "+release.BlockLabel+" is true"
	link.Fix = "ask the owner of namespace " + namespace + " to allow releases, then create another Release"
	return link
}

// pipelineLinks are the pipelines that a Release runs.
func pipelineLinks(r *v1alpha1.Release) []Link {
	managed := r.Status.ManagedProcessing
	if n := len(r.Status.ManagedPipelineAttempts); n > 0 {
		managed = &r.Status.ManagedPipelineAttempts[n-1].PipelineInfo
	}
	collectors := v1alpha1.CollectorsProcessing{}
	if r.Status.CollectorsProcessing != nil {
		collectors = *r.Status.CollectorsProcessing
	}
	var links []Link
	for _, stage := range []struct {
		name, kind string
		info       *v1alpha1.PipelineInfo
	}{
		{"tenant collectors", "TenantCollectorsPipelineProcessed", collectors.TenantCollectorsProcessing},
		{"managed collectors", "ManagedCollectorsPipelineProcessed", collectors.ManagedCollectorsProcessing},
		{"tenant", "TenantPipelineProcessed", r.Status.TenantProcessing},
		{"managed", "ManagedPipelineProcessed", managed},
		{"final", "FinalPipelineProcessed", r.Status.FinalProcessing},
	} {
		c := condition(r.Status.Conditions, stage.kind)
		if c.Type == "" || c.Reason == "Skipped" {
			continue
		}
		link := Link{Stage: Pipeline, Object: "Release/" + r.Name, State: Done}
		if stage.info != nil && stage.info.PipelineRun != "" {
			link.Object = "PipelineRun/" + stage.info.PipelineRun
		}
		switch c.Reason {
		case "Progressing":
			link.State, link.Message = Waiting, "the "+stage.name+" pipeline runs"
		case "Failed":
			link.State, link.Reason, link.Message = Stopped, c.Reason, "the "+stage.name+" pipeline failed: "+c.Message
			link.Fix = "mend it, and create another Release"
		}
		links = append(links, link)
	}
	released := condition(r.Status.Conditions, "Released")
	if len(links) == 0 && released.Status != metav1.ConditionTrue {
		links = append(links, Link{Stage: Pipeline, Object: "Release/" + r.Name, State: Ahead})
	}
	return links
}
