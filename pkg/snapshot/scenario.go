package snapshot

import (
	"fmt"
	"slices"
	"strings"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
)

// Concerns reports whether a scenario is for the application or group that a
// Snapshot is of, whatever its contexts say.
func Concerns(scenario *v1beta2.IntegrationTestScenario, s *v1alpha1.Snapshot) bool {
	return scenario.Spec.Application == s.Spec.Application && scenario.Spec.ComponentGroup == s.Spec.ComponentGroup &&
		scenario.DeletionTimestamp == nil
}

// Applies reports whether a scenario tests a Snapshot by itself: one without
// contexts tests all, others what one of their contexts is met by.
func Applies(scenario *v1beta2.IntegrationTestScenario, s *v1alpha1.Snapshot) bool {
	if !Concerns(scenario, s) {
		return false
	}
	return len(scenario.Spec.Contexts) == 0 || slices.ContainsFunc(scenario.Spec.Contexts, func(c v1beta2.TestContext) bool {
		return met(c.Name, s)
	})
}

// Contexts that are met by kind of Snapshot, and the prefix of those that are
// met by component.
const (
	pushContext      = "push"
	pullContext      = "pull_request"
	disabledContext  = "disabled"
	componentContext = "component_"
)

var everyContext = []string{"application", "all"}

func met(context string, s *v1alpha1.Snapshot) bool {
	kind := s.Labels[TypeLabel]
	switch {
	case slices.Contains(everyContext, context):
		return true
	case context == pushContext:
		return Push(s)
	case context == pullContext:
		return !Push(s)
	case context == GroupType || context == OverrideType || context == ComponentType:
		return kind == context
	}
	component, ok := strings.CutPrefix(context, componentContext)
	return ok && kind == ComponentType && s.Labels[ComponentLabel] == component
}

// UnknownContexts are those that no Snapshot can ever meet, each with what is
// wrong. "disabled" is how that is said on purpose.
func UnknownContexts(contexts []v1beta2.TestContext, components []string) []string {
	known := append([]string{pushContext, pullContext, disabledContext, GroupType, OverrideType, ComponentType}, everyContext...)
	var unknown []string
	for _, c := range contexts {
		component, ofComponent := strings.CutPrefix(c.Name, componentContext)
		switch {
		case slices.Contains(known, c.Name), ofComponent && slices.Contains(components, component):
		case ofComponent:
			unknown = append(unknown, fmt.Sprintf("%q (there is no Component %q)", c.Name, component))
		default:
			unknown = append(unknown, fmt.Sprintf("%q", c.Name))
		}
	}
	return unknown
}

// KnownContexts is what to write instead, for a message.
const KnownContexts = "application, all, push, pull_request, component, component_<name>, group, override, or disabled for never"

// Optional reports whether a scenario's failure leaves the verdict alone.
func Optional(scenario *v1beta2.IntegrationTestScenario) bool {
	return scenario.Labels[OptionalLabel] == "true"
}
