package snapshot

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
)

// runnerAccount is who test runs run as.
const runnerAccount = "konflux-integration-runner"

// Applies reports whether a scenario is for a Snapshot.
func Applies(scenario *v1beta2.IntegrationTestScenario, s *v1alpha1.Snapshot) bool {
	if scenario.Spec.Application != s.Spec.Application || scenario.DeletionTimestamp != nil {
		return false
	}
	return len(scenario.Spec.Contexts) == 0 || slices.ContainsFunc(scenario.Spec.Contexts, func(c v1beta2.TestContext) bool {
		return met(c.Name, s)
	})
}

func met(context string, s *v1alpha1.Snapshot) bool {
	kind := s.Labels[TypeLabel]
	switch context {
	case "application", "all":
		return true
	case GroupType, OverrideType, ComponentType:
		return kind == context
	case "push":
		return Push(s)
	case "pull_request":
		return !Push(s)
	}
	component, ok := strings.CutPrefix(context, "component_")
	return ok && kind == ComponentType && s.Labels[ComponentLabel] == component
}

// Optional reports whether a scenario's failure leaves the verdict alone.
func Optional(scenario *v1beta2.IntegrationTestScenario) bool {
	return scenario.Labels[OptionalLabel] == "true"
}

// NewTestRun is the run of a scenario on a Snapshot. Its name is the same each
// time for the same previous run, so that a crash between making it and
// writing it down does not make two.
func NewTestRun(scenario *v1beta2.IntegrationTestScenario, s *v1alpha1.Snapshot, previous string) (*tektonv1.PipelineRun, error) {
	param := s.Name
	if scenario.Annotations[ParamAsName] != "true" {
		spec, err := json.Marshal(s.Spec)
		if err != nil {
			return nil, err
		}
		param = string(spec)
	}
	run := &tektonv1.PipelineRun{
		TypeMeta: metav1.TypeMeta{APIVersion: "tekton.dev/v1", Kind: "PipelineRun"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.Namespace, Name: runName(scenario.Name, s, previous),
			Labels: map[string]string{}, Annotations: map[string]string{}, Finalizers: []string{RunFinalizer},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(s, v1alpha1.GroupVersion.WithKind("Snapshot"))},
		},
		Spec: tektonv1.PipelineRunSpec{
			PipelineRef:     pipelineRef(scenario.Spec.ResolverRef),
			Params:          tektonv1.Params{{Name: "SNAPSHOT", Value: *tektonv1.NewStructuredValues(param)}},
			TaskRunTemplate: tektonv1.PipelineTaskRunTemplate{ServiceAccountName: runnerAccount},
			Timeouts:        timeouts(scenario),
		},
	}
	for _, p := range scenario.Spec.Params {
		value := *tektonv1.NewStructuredValues(p.Value)
		if len(p.Values) > 0 {
			value = tektonv1.ParamValue{Type: tektonv1.ParamTypeArray, ArrayVal: p.Values}
		}
		run.Spec.Params = append(run.Spec.Params, tektonv1.Param{Name: p.Name, Value: value})
	}
	label(run, scenario, s)
	return run, nil
}

func label(run *tektonv1.PipelineRun, scenario *v1beta2.IntegrationTestScenario, s *v1alpha1.Snapshot) {
	hand := func(from, to map[string]string) {
		for k, v := range from {
			if !bookkeeping[k] && slices.ContainsFunc(handedOn, func(p string) bool { return strings.HasPrefix(k, p) }) {
				to[k] = v
			}
		}
	}
	hand(s.Labels, run.Labels)
	hand(s.Annotations, run.Annotations)
	for k, v := range scenario.Annotations {
		if strings.Contains(k, "appstudio.openshift.io/") {
			run.Annotations[k] = v
		}
	}
	run.Labels[RunTypeLabel], run.Labels[SnapshotKey] = TestRun, s.Name
	run.Labels[ApplicationLabel], run.Labels[ScenarioLabel] = s.Spec.Application, scenario.Name
	run.Labels[OptionalLabel] = "false"
	if Optional(scenario) {
		run.Labels[OptionalLabel] = "true"
	}
	if s.Labels[TypeLabel] == ComponentType {
		run.Labels[ComponentLabel] = s.Labels[ComponentLabel]
	}
}

func runName(scenario string, s *v1alpha1.Snapshot, previous string) string {
	sum := sha256.Sum256([]byte(s.Name + "\x00" + string(s.UID) + "\x00" + scenario + "\x00" + previous))
	return cut(scenario, 52) + "-" + hex.EncodeToString(sum[:5])
}

func pipelineRef(ref v1beta2.ResolverRef) *tektonv1.PipelineRef {
	r := &tektonv1.PipelineRef{ResolverRef: tektonv1.ResolverRef{Resolver: tektonv1.ResolverName(ref.Resolver)}}
	for _, p := range ref.Params {
		r.Params = append(r.Params, tektonv1.Param{Name: p.Name, Value: *tektonv1.NewStructuredValues(p.Value)})
	}
	return r
}

// timeouts are those of the scenario's annotations. What cannot be read is as
// if it were not there; a pipeline's is never less than its parts'.
func timeouts(scenario *v1beta2.IntegrationTestScenario) *tektonv1.TimeoutFields {
	read := func(key string) *metav1.Duration {
		d, err := time.ParseDuration(scenario.Annotations[key])
		if err != nil || d <= 0 {
			return nil
		}
		return &metav1.Duration{Duration: d}
	}
	t := &tektonv1.TimeoutFields{Pipeline: read(PipelineTimeout), Tasks: read(TasksTimeout), Finally: read(FinallyTimeout)}
	if t.Pipeline == nil && t.Tasks == nil && t.Finally == nil {
		return nil
	}
	var parts time.Duration
	for _, part := range []*metav1.Duration{t.Tasks, t.Finally} {
		if part != nil {
			parts += part.Duration
		}
	}
	if t.Pipeline != nil && t.Pipeline.Duration < parts {
		t.Pipeline = &metav1.Duration{Duration: parts}
	}
	return t
}
