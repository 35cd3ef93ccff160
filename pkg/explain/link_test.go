package explain

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/release"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

var now = time.Date(2025, 3, 8, 12, 0, 0, 0, time.UTC)

func object(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "team", Name: name, Labels: map[string]string{}, Annotations: map[string]string{}}
}

func buildRun(status corev1.ConditionStatus, outcome *snapshot.Outcome) *tektonv1.PipelineRun {
	run := &tektonv1.PipelineRun{ObjectMeta: object("web-build")}
	run.Labels[snapshot.RunTypeLabel], run.Labels[snapshot.ComponentLabel] = snapshot.BuildRun, "web"
	run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: status, Reason: "Said", Message: "Tasks Completed: 3"})
	if outcome != nil {
		run.Annotations[snapshot.CreatedAnnotation] = outcome.String()
	}
	return run
}

func with(kind string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message}
}

// passed is a Snapshot that is tested and released; change makes it another.
func passed(change ...func(*SnapshotFacts)) SnapshotFacts {
	s := &v1alpha1.Snapshot{ObjectMeta: object("shop-1"), Spec: v1alpha1.SnapshotSpec{Application: "shop"}}
	s.Labels[snapshot.TypeLabel], s.Labels[snapshot.ComponentLabel], s.Labels[snapshot.BuildLabel] = snapshot.ComponentType, "web", "web-build"
	s.Annotations[snapshot.StatusAnnotation] = snapshot.Tests{{Scenario: "smoke", Status: snapshot.TestPassed}}.String()
	s.Status.Conditions = []metav1.Condition{
		with(snapshot.IntegrationCondition, metav1.ConditionTrue, "Finished", ""),
		with(snapshot.TestsSucceededCondition, metav1.ConditionTrue, "Passed", ""),
		with(snapshot.AutoReleasedCondition, metav1.ConditionTrue, "AutoReleased", snapshot.ReleasedMessage),
	}
	plan := v1alpha1.ReleasePlan{ObjectMeta: object("ship"), Spec: v1alpha1.ReleasePlanSpec{Application: "shop", Target: "releases"}}
	admission := v1alpha1.ReleasePlanAdmission{ObjectMeta: metav1.ObjectMeta{Namespace: "releases", Name: "take"},
		Spec: v1alpha1.ReleasePlanAdmissionSpec{Origin: "team", Applications: []string{"shop"}}}
	rel := v1alpha1.Release{ObjectMeta: object("rel-1"), Spec: v1alpha1.ReleaseSpec{Snapshot: "shop-1", ReleasePlan: "ship"}}
	rel.Status.ManagedProcessing = &v1alpha1.PipelineInfo{PipelineRun: "releases/managed-1"}
	rel.Status.Conditions = []metav1.Condition{
		with("Validated", metav1.ConditionTrue, "Succeeded", ""),
		with("TenantPipelineProcessed", metav1.ConditionTrue, "Skipped", ""),
		with("ManagedPipelineProcessed", metav1.ConditionTrue, "Succeeded", ""),
		with("Released", metav1.ConditionTrue, "Succeeded", ""),
	}
	f := SnapshotFacts{Snapshot: s, Plans: []v1alpha1.ReleasePlan{plan}, Releases: []v1alpha1.Release{rel},
		Admissions: map[string]Admissions{"releases": {Items: []v1alpha1.ReleasePlanAdmission{admission}}}}
	for _, do := range change {
		do(&f)
	}
	return f
}

func scenario(name string, contexts ...string) v1beta2.IntegrationTestScenario {
	s := v1beta2.IntegrationTestScenario{ObjectMeta: object(name), Spec: v1beta2.IntegrationTestScenarioSpec{Application: "shop"}}
	for _, context := range contexts {
		s.Spec.Contexts = append(s.Spec.Contexts, v1beta2.TestContext{Name: context})
	}
	return s
}

// unreleased takes the Releases away, and what is said of them.
func unreleased(f *SnapshotFacts) {
	f.Releases, f.Snapshot.Status.Conditions = nil, f.Snapshot.Status.Conditions[:2]
}

// untested takes the verdict away.
func undecided(tests ...snapshot.Test) func(*SnapshotFacts) {
	return func(f *SnapshotFacts) {
		unreleased(f)
		f.Snapshot.Status.Conditions = []metav1.Condition{with(snapshot.IntegrationCondition, metav1.ConditionUnknown, "InProgress", "")}
		f.Snapshot.Annotations[snapshot.StatusAnnotation] = snapshot.Tests(tests).String()
	}
}

func auto(status metav1.ConditionStatus, reason, message string) func(*SnapshotFacts) {
	return func(f *SnapshotFacts) {
		unreleased(f)
		f.Snapshot.Status.Conditions = append(f.Snapshot.Status.Conditions, with(snapshot.AutoReleasedCondition, status, reason, message))
	}
}

func releaseSays(conditions ...metav1.Condition) func(*SnapshotFacts) {
	return func(f *SnapshotFacts) { f.Releases[0].Status.Conditions = conditions }
}

// TestLinks asks of every place where a release can stop which link says so,
// why, and what it tells people to do.
func TestLinks(t *testing.T) {
	success := buildRun(corev1.ConditionTrue, &snapshot.Outcome{Status: snapshot.Success, Reason: snapshot.Created})
	failed := func(reason, message string) *tektonv1.PipelineRun {
		return buildRun(corev1.ConditionTrue, &snapshot.Outcome{Status: snapshot.Failure, Reason: reason, Message: message})
	}
	one := func(change ...func(*SnapshotFacts)) Facts {
		return Facts{Build: success, Snapshots: []SnapshotFacts{passed(change...)}, Now: now}
	}
	cases := map[string]struct {
		facts Facts
		chain string // stage:state of every link
		why   string // of the cause, reason: message
		fix   string
	}{
		"released":         {facts: one(), chain: "build:done signature:done snapshot:done test:done promotion:done release:done admission:done pipeline:done"},
		"no build":         {facts: Facts{Component: "web"}, chain: "build:stopped snapshot:ahead", why: "NoBuild: the component was never built", fix: "appstudio.openshift.io/component=web"},
		"it builds":        {facts: Facts{Build: buildRun(corev1.ConditionUnknown, nil)}, chain: "build:waiting signature:ahead snapshot:ahead", why: "Said: Tasks Completed: 3"},
		"the build failed": {facts: Facts{Build: buildRun(corev1.ConditionFalse, &snapshot.Outcome{Status: snapshot.Failure, Reason: snapshot.BuildFailed})}, chain: "build:stopped signature:ahead snapshot:ahead", why: "Said: Tasks Completed: 3", fix: "tkn -n team pipelinerun logs web-build"},
		"no build at all": {facts: Facts{Build: func() *tektonv1.PipelineRun {
			run := buildRun(corev1.ConditionTrue, nil)
			run.Labels = nil
			return run
		}()}, chain: "build:stopped signature:ahead snapshot:ahead", why: "NotABuild: label", fix: "pipelines.appstudio.openshift.io/type=build"},
		"to be signed":           {facts: Facts{Build: buildRun(corev1.ConditionTrue, nil)}, chain: "build:done signature:waiting snapshot:ahead", why: "WaitingForSigning"},
		"never signed":           {facts: Facts{Build: failed(snapshot.NotSigned, "not proven")}, chain: "build:done signature:stopped snapshot:ahead", why: "NotSigned: not proven", fix: "see that Tekton Chains runs"},
		"a result is missing":    {facts: Facts{Build: failed(snapshot.ResultMissing, "IMAGE_URL is missing")}, chain: "build:done signature:skipped snapshot:stopped", why: "ResultMissing: IMAGE_URL is missing", fix: "build again"},
		"no room":                {facts: Facts{Build: buildRun(corev1.ConditionTrue, &snapshot.Outcome{Status: snapshot.Waiting, Reason: snapshot.QuotaExceeded, Message: "full"})}, chain: "build:done signature:skipped snapshot:waiting", why: "QuotaExceeded: full"},
		"the Snapshot is gone":   {facts: Facts{Build: buildRun(corev1.ConditionTrue, &snapshot.Outcome{Status: snapshot.Success, Reason: snapshot.Created, Message: "Snapshot shop-1 was created"})}, chain: "build:done signature:skipped snapshot:stopped", why: "Deleted: Snapshot shop-1 was created; it is there no more", fix: "build again"},
		"signing failed":         {facts: one(auto("", "", ""), func(f *SnapshotFacts) { f.Snapshot.Annotations[snapshot.SignedAnnotation] = "failed" }), chain: "build:done signature:stopped snapshot:done test:done promotion:stopped", why: "SigningFailed: Chains could not sign", fix: "service account push"},
		"the build is collected": {facts: Facts{Snapshots: []SnapshotFacts{passed()}}, chain: "build:done snapshot:done test:done promotion:done release:done admission:done pipeline:done"},
		"made by hand": {facts: Facts{Snapshots: []SnapshotFacts{passed(func(f *SnapshotFacts) { f.Snapshot.Labels = nil })}},
			chain: "build:skipped snapshot:done test:done promotion:done release:done admission:done pipeline:done"},
		"invalid": {facts: one(unreleased, func(f *SnapshotFacts) {
			f.Snapshot.Status.Conditions[0].Reason, f.Snapshot.Status.Conditions[0].Message = "Invalid", "no application"
		}), chain: "build:done signature:done snapshot:stopped promotion:ahead release:ahead admission:done", why: "Invalid: no application", fix: "make another Snapshot"},
		"out of a backup": {facts: one(unreleased, func(f *SnapshotFacts) {
			f.Snapshot.Labels["velero.io/restore-name"], f.Snapshot.Status.Conditions = "r", nil
		}), chain: "build:done signature:done snapshot:stopped promotion:ahead release:ahead admission:done", why: "Restored: it came out of a backup", fix: "build again"},
		"canceled":    {facts: one(unreleased, func(f *SnapshotFacts) { f.Snapshot.Status.Conditions[0].Reason = "Canceled" }), chain: "build:done signature:done snapshot:stopped promotion:ahead release:ahead admission:done", why: "Canceled", fix: "newer build"},
		"not seen":    {facts: one(undecided(), func(f *SnapshotFacts) { f.Snapshot.Status.Conditions = nil }), chain: "build:done signature:done snapshot:done test:waiting promotion:ahead release:ahead admission:done", why: "is the controller running?"},
		"no scenario": {facts: one(func(f *SnapshotFacts) { f.Snapshot.Annotations[snapshot.StatusAnnotation] = "" }), chain: "build:done signature:done snapshot:done test:skipped promotion:done release:done admission:done pipeline:done"},
		"a scenario is new": {facts: one(undecided(snapshot.Test{Scenario: "smoke", Status: snapshot.TestPassed}), func(f *SnapshotFacts) {
			f.Scenarios = []v1beta2.IntegrationTestScenario{scenario("smoke"), scenario("soak")}
		}), chain: "build:done signature:done snapshot:done test:done test:waiting promotion:ahead release:ahead admission:done", why: "NotStarted: the test was not started yet"},
		"a scenario's context is misspelt": {facts: one(func(f *SnapshotFacts) {
			odd := scenario("soak", "psh")
			odd.Status.Conditions = []metav1.Condition{with(snapshot.ContextsCondition, metav1.ConditionFalse, "UnknownContexts", "no Snapshot meets psh")}
			f.Scenarios = []v1beta2.IntegrationTestScenario{scenario("smoke"), odd, scenario("pulls", "pull_request")}
		}), chain: "build:done signature:done snapshot:done test:done test:skipped promotion:done release:done admission:done pipeline:done"},
		"tests run": {facts: one(undecided(snapshot.Test{Scenario: "smoke", Status: snapshot.InProgress, Details: "smoke-1 runs"})), chain: "build:done signature:done snapshot:done test:waiting promotion:ahead release:ahead admission:done", why: "InProgress: smoke-1 runs"},
		"a test failed": {facts: one(undecided(snapshot.Test{Scenario: "lint", Status: snapshot.TestWarning}, snapshot.Test{Scenario: "smoke", Status: snapshot.TestFail, Details: "1 failure"})),
			chain: "build:done signature:done snapshot:done test:done test:stopped promotion:ahead release:ahead admission:done", why: "TestFail: 1 failure", fix: "kubectl -n team label snapshot shop-1 test.appstudio.openshift.io/run=smoke"},
		"an optional test failed": {facts: one(func(f *SnapshotFacts) {
			f.Snapshot.Annotations[snapshot.StatusAnnotation] = snapshot.Tests{{Scenario: "soak", Status: snapshot.TestFail, Optional: true}}.String()
		}), chain: "build:done signature:done snapshot:done test:skipped promotion:done release:done admission:done pipeline:done"},
		"a pull request": {facts: one(undecided(snapshot.Test{Scenario: "smoke", Status: snapshot.InProgress}), func(f *SnapshotFacts) {
			f.Snapshot.Labels["pac.test.appstudio.openshift.io/event-type"], f.Snapshot.Labels["pac.test.appstudio.openshift.io/pull-request"] = "pull_request", "1"
		}), chain: "build:done signature:done snapshot:done test:waiting promotion:stopped", why: "NotPush: ", fix: "by hand"},
		"no plan": {facts: one(auto(metav1.ConditionTrue, "AutoReleased", "Skipping auto-release, no plans"), func(f *SnapshotFacts) { f.Plans = nil }),
			chain: "build:done signature:done snapshot:done test:done promotion:stopped", why: "NotWanted: Skipping auto-release, no plans", fix: "create a ReleasePlan"},
		"the plan's label": {facts: one(auto(metav1.ConditionTrue, "AutoReleased", "Skipping")), chain: "build:done signature:done snapshot:done test:done promotion:stopped", why: "NotWanted: Skipping", fix: "of the ReleasePlans (ship)"},
		"superseded": {facts: one(auto(metav1.ConditionTrue, "AutoReleased", "Released in newer Snapshot"), func(f *SnapshotFacts) {
			f.Snapshot.Annotations[snapshot.StartTimeKey] = "1741064767000"
			newer := f.Snapshot.DeepCopy()
			newer.Name, newer.Annotations[snapshot.StartTimeKey] = "shop-2", "1741064768000"
			f.Others = []v1alpha1.Snapshot{*newer}
		}), chain: "build:done signature:done snapshot:done test:done promotion:stopped", why: "Released in newer Snapshot", fix: "look at Snapshot shop-2"},
		"an expression is wrong": {facts: one(auto(metav1.ConditionFalse, snapshot.ErrorReason, "Not released yet: x")), chain: "build:done signature:done snapshot:done test:done promotion:stopped", why: "ErrorOccured: Not released yet: x", fix: "mend what the message names before"},
		"about to be released":   {facts: one(unreleased), chain: "build:done signature:done snapshot:done test:done promotion:waiting release:ahead admission:done", why: "by ReleasePlan ship"},
		"released by hand":       {facts: one(func(f *SnapshotFacts) { f.Snapshot.Status.Conditions = f.Snapshot.Status.Conditions[:2] }), chain: "build:done signature:done snapshot:done test:done promotion:skipped release:done admission:done pipeline:done"},
		"not validated":          {facts: one(releaseSays()), chain: "build:done signature:done snapshot:done test:done promotion:done release:waiting admission:done pipeline:ahead", why: "is the controller running?"},
		"refused": {facts: one(releaseSays(with("Validated", metav1.ConditionFalse, "Failed", "nobody is responsible"))),
			chain: "build:done signature:done snapshot:done test:done promotion:done release:stopped admission:done", why: "Failed: nobody is responsible", fix: "create another Release of Snapshot shop-1 by ReleasePlan ship"},
		"no admission": {facts: one(unreleased, func(f *SnapshotFacts) { f.Admissions["releases"] = Admissions{} }),
			chain: "build:done signature:done snapshot:done test:done promotion:waiting release:ahead admission:stopped", why: "NotMatched: ReleasePlan ship targets namespace releases", fix: "message"},
		"blocked": {facts: one(unreleased, func(f *SnapshotFacts) {
			f.Admissions["releases"].Items[0].Labels = map[string]string{release.BlockLabel: "true"}
		}), chain: "build:done signature:done snapshot:done test:done promotion:waiting release:ahead admission:stopped", why: "Blocked: its label", fix: "owner of namespace releases"},
		"blocked since": {facts: one(func(f *SnapshotFacts) {
			f.Admissions["releases"].Items[0].Labels = map[string]string{release.BlockLabel: "true"}
		}), chain: "build:done signature:done snapshot:done test:done promotion:done release:done admission:done pipeline:done"},
		"admissions are secret, none": {facts: one(unreleased, func(f *SnapshotFacts) {
			f.Admissions["releases"] = Admissions{Forbidden: true}
			f.Plans[0].Status.Conditions = []metav1.Condition{with("Matched", metav1.ConditionFalse, "Matched", "there is none")}
		}), chain: "build:done signature:done snapshot:done test:done promotion:waiting release:ahead admission:stopped", why: "NotMatched: there is none", fix: "spec.origin team"},
		"admissions are secret, blocked": {facts: one(unreleased, func(f *SnapshotFacts) {
			f.Admissions["releases"] = Admissions{Forbidden: true}
			f.Plans[0].Status.ReleasePlanAdmission = &v1alpha1.MatchedReleasePlanAdmission{Name: "releases/take"}
		}), chain: "build:done signature:done snapshot:done test:done promotion:waiting release:ahead admission:stopped", why: "Blocked", fix: "owner of namespace releases"},
		"its own namespace": {facts: one(unreleased, func(f *SnapshotFacts) { f.Plans[0].Spec.Target = "" }), chain: "build:done signature:done snapshot:done test:done promotion:waiting release:ahead admission:skipped", why: "about to be made"},
		"the pipeline runs": {facts: one(releaseSays(with("Validated", metav1.ConditionTrue, "Succeeded", ""), with("ManagedPipelineProcessed", metav1.ConditionFalse, "Progressing", ""))),
			chain: "build:done signature:done snapshot:done test:done promotion:done release:done admission:done pipeline:waiting", why: "the managed pipeline runs"},
		"the pipeline failed": {facts: one(releaseSays(with("Validated", metav1.ConditionTrue, "Succeeded", ""), with("ManagedPipelineProcessed", metav1.ConditionFalse, "Failed", "push: denied"))),
			chain: "build:done signature:done snapshot:done test:done promotion:done release:done admission:done pipeline:stopped", why: "Failed: the managed pipeline failed: push: denied", fix: "another Release"},
		"a Release of what is gone": {facts: Facts{Snapshots: []SnapshotFacts{passed(releaseSays(with("Validated", metav1.ConditionFalse, "Failed", "there is no Snapshot")), func(f *SnapshotFacts) { f.Snapshot = nil })}},
			chain: "snapshot:skipped promotion:skipped release:stopped admission:done", why: "Failed: there is no Snapshot", fix: "create another Release"},
		"two groups": {facts: Facts{Build: success, Snapshots: []SnapshotFacts{passed(), passed(undecided(snapshot.Test{Scenario: "smoke", Status: snapshot.TestFail}))}},
			chain: "build:done signature:done snapshot:done test:done promotion:done release:done admission:done pipeline:done snapshot:done test:stopped promotion:ahead release:ahead admission:done", why: "TestFail", fix: "kubectl"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			chain := Chain{Links: Links(tc.facts)}
			var got []string
			for _, link := range chain.Links {
				got = append(got, link.Stage+":"+string(link.State))
				if link.State == Stopped && (link.Reason == "" || link.Fix == "") {
					t.Errorf("%s is stopped, and does not say why or what to do: %+v", link.Stage, link)
				}
				if link.Object == "" {
					t.Errorf("%s is about nothing", link.Stage)
				}
			}
			if diff := cmp.Diff(tc.chain, strings.Join(got, " ")); diff != "" {
				t.Errorf("chain (-want +got):\n%s", diff)
			}
			cause, open := chain.Cause()
			if open != (tc.why != "") || !strings.Contains(cause.Reason+": "+cause.Message, tc.why) || !strings.Contains(cause.Fix, tc.fix) {
				t.Errorf("the cause is %+v, want %q and %q", cause, tc.why, tc.fix)
			}
		})
	}
}
