package snapshot

import (
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
)

// Condition types and reasons of a scenario.
const (
	// ValidCondition and its reasons are upstream's.
	ValidCondition = "IntegrationTestScenarioValid"
	ValidReason    = "Valid"
	InvalidReason  = "Invalid"

	// FoundCondition is whether there is a pipeline where the scenario says.
	FoundCondition     = "PipelineFound"
	FoundReason        = "Found"
	NotFoundReason     = "NotFound"
	NotAPipelineReason = "NotAPipeline"
	LookingReason      = "LookingUp"
	NoAnswerReason     = "NoAnswer"

	// ContextsCondition is whether every context can be met.
	ContextsCondition     = "ContextsKnown"
	KnownReason           = "Known"
	UnknownContextsReason = "UnknownContexts"

	// ParamCondition is whether programs can take the param SNAPSHOT.
	ParamCondition     = "SnapshotParamFits"
	FitsReason         = "Fits"
	LargeReason        = "Large"
	PassedByNameReason = "PassedByName"
)

// NotFound reports whether what a scenario refers to was not found when it was
// last looked up, as it is now.
func NotFound(scenario *v1beta2.IntegrationTestScenario) bool {
	c := meta.FindStatusCondition(scenario.Status.Conditions, FoundCondition)
	return c != nil && c.Status == metav1.ConditionFalse && c.ObservedGeneration == scenario.Generation
}

// LookedUp reports whether what a scenario refers to was looked up as it is now.
func LookedUp(scenario *v1beta2.IntegrationTestScenario) bool {
	c := meta.FindStatusCondition(scenario.Status.Conditions, FoundCondition)
	return c != nil && c.ObservedGeneration == scenario.Generation && c.Reason != LookingReason
}

// Found is the condition of what a resolver answered about a scenario.
func Found(scenario *v1beta2.IntegrationTestScenario, answer Answer) metav1.Condition {
	c := metav1.Condition{Type: FoundCondition, Status: metav1.ConditionUnknown, ObservedGeneration: scenario.Generation}
	ref := scenario.Spec.ResolverRef
	var check func(v1beta2.ResolverRef, []byte) error = CheckFound
	if ref.ResourceKind == PipelineRunKind {
		check = func(ref v1beta2.ResolverRef, document []byte) error {
			_, err := PipelineRunFound(ref, document)
			return err
		}
	}
	switch {
	case answer.Wait > 0:
		c.Reason, c.Message = LookingReason, answer.Waiting
	case answer.Passing:
		c.Reason, c.Message = NoAnswerReason, "it could not be looked up: "+answer.Failure+". Test runs look for themselves"
	case answer.Failure != "":
		c.Status, c.Reason = metav1.ConditionFalse, NotFoundReason
		c.Message = fmt.Sprintf("what spec.resolverRef refers to was not found: %s. Correct its params, or put a %s there: the next Snapshot looks again",
			strings.TrimSuffix(answer.Failure, "."), tektonKinds[resourceKind(ref)])
	default:
		if err := check(ref, answer.Document); err != nil {
			c.Status, c.Reason, c.Message = metav1.ConditionFalse, NotAPipelineReason, err.Error()
			break
		}
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, FoundReason, "spec.resolverRef leads to a "+tektonKinds[resourceKind(ref)]
	}
	return c
}

// Valid is the condition of a scenario that is told what is missing and, by its
// other condition, what was found.
func Valid(scenario *v1beta2.IntegrationTestScenario, missing error) metav1.Condition {
	problems := []error{missing, CheckReference(scenario.Spec.ResolverRef)}
	if NotFound(scenario) {
		problems = append(problems, errors.New(meta.FindStatusCondition(scenario.Status.Conditions, FoundCondition).Message))
	}
	c := metav1.Condition{Type: ValidCondition, Status: metav1.ConditionTrue, Reason: ValidReason, ObservedGeneration: scenario.Generation,
		Message: "the scenario tests Snapshots of its contexts"}
	var texts []string
	for _, err := range problems {
		if err != nil {
			texts = append(texts, err.Error())
		}
	}
	if len(texts) > 0 {
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, InvalidReason, strings.Join(texts, "; ")
	}
	return c
}

// MissingOwner says that there is nothing that a scenario could test.
func MissingOwner(scenario *v1beta2.IntegrationTestScenario) error {
	kind, name := "Application", scenario.Spec.Application
	if scenario.Spec.ComponentGroup != "" {
		kind, name = "ComponentGroup", scenario.Spec.ComponentGroup
	}
	return fmt.Errorf("there is no %s %q in namespace %s: create it, or name another in the scenario's spec", kind, name, scenario.Namespace)
}

// Contexts is the condition of a scenario's contexts, given the components
// that there are.
func Contexts(scenario *v1beta2.IntegrationTestScenario, components []string) metav1.Condition {
	c := metav1.Condition{Type: ContextsCondition, Status: metav1.ConditionTrue, Reason: KnownReason, ObservedGeneration: scenario.Generation,
		Message: "every context can be met"}
	if unknown := UnknownContexts(scenario.Spec.Contexts, components); len(unknown) > 0 {
		c.Status, c.Reason = metav1.ConditionFalse, UnknownContextsReason
		c.Message = fmt.Sprintf("no Snapshot meets context %s: write %s", strings.Join(unknown, ", "), KnownContexts)
	}
	return c
}

// Param is the condition of param SNAPSHOT of a scenario's runs, given a
// Snapshot, and whether to warn of its size.
func Param(scenario *v1beta2.IntegrationTestScenario, s *v1alpha1.Snapshot) (metav1.Condition, bool) {
	_, size, named := SnapshotParam(scenario, s)
	c := metav1.Condition{Type: ParamCondition, Status: metav1.ConditionTrue, Reason: FitsReason, ObservedGeneration: scenario.Generation,
		Message: "param SNAPSHOT is small enough for every program"}
	fix := fmt.Sprintf("set annotation %s to \"true\" on the scenario and let the pipeline read the Snapshot by its name, with task get-snapshot", ParamAsName)
	switch {
	case scenario.Annotations[ParamAsName] == "true" || size <= LargeParam:
		return c, false
	case named:
		c.Status, c.Reason = metav1.ConditionFalse, PassedByNameReason
		c.Message = fmt.Sprintf("Snapshot %s is %d KiB of JSON, more than a program can take as one argument: param SNAPSHOT was its name instead. To say so yourself, %s", s.Name, size>>10, fix)
	default:
		c.Status, c.Reason = metav1.ConditionFalse, LargeReason
		c.Message = fmt.Sprintf("Snapshot %s is %d KiB of JSON in param SNAPSHOT, more than many programs take, and from %d KiB on it is the name: %s", s.Name, size>>10, maxParam>>10, fix)
	}
	return c, true
}
