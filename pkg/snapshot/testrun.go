package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
)

const (
	// runnerAccount is who test runs run as.
	runnerAccount = "konflux-integration-runner"
	// RetryAnnotation is on a run that takes the place of one that Tekton
	// could not start: that one's name.
	RetryAnnotation = "test.appstudio.openshift.io/retry-of"
	// logAnnotation is the page on which to follow a run.
	logAnnotation = "pac.test.appstudio.openshift.io/log-url"
)

// Limits of param SNAPSHOT, in bytes of JSON. A program gets a param as one
// argument or one variable, and Linux takes none of 128 KiB or more.
const (
	// LargeParam is what people are warned of: shells and tools have limits
	// of their own.
	LargeParam = 32 << 10
	// maxParam is the most that is passed; of a larger Snapshot the run gets
	// the name, as with annotation snapshot-param-as-name.
	maxParam = 120 << 10
)

// Defaults are what an installation says of test runs; empty is Tekton's own.
type Defaults struct {
	Pipeline, Tasks, Finally time.Duration // timeouts
	// LogURL is the page of a run, where {{NAMESPACE}} and
	// {{PIPELINE_RUN_NAME}} stand for its own.
	LogURL string
}

// Attempt is what a test run is made from.
type Attempt struct {
	Scenario *v1beta2.IntegrationTestScenario
	Snapshot *v1alpha1.Snapshot
	// Previous is the test's run before, if any.
	Previous string
	// Retry says that Tekton could not start that one.
	Retry bool
	// Template is the run that the scenario refers to, where it refers to one.
	Template *tektonv1.PipelineRun
	Defaults Defaults
}

// SnapshotParam is the value of param SNAPSHOT, the size in bytes of the JSON
// and whether the value is the name instead of it.
func SnapshotParam(scenario *v1beta2.IntegrationTestScenario, s *v1alpha1.Snapshot) (value string, size int, named bool) {
	spec, err := json.Marshal(s.Spec)
	if err != nil {
		panic(err) // what came from JSON marshals
	}
	if scenario.Annotations[ParamAsName] == "true" || len(spec) > maxParam {
		return s.Name, len(spec), true
	}
	return string(spec), len(spec), false
}

// Run is the run of a scenario on a Snapshot. Its name is the same each time
// for the same previous run, so that a crash between making it and writing it
// down does not make two.
func (t Attempt) Run() *tektonv1.PipelineRun {
	s, scenario := t.Snapshot, t.Scenario
	run := &tektonv1.PipelineRun{Spec: tektonv1.PipelineRunSpec{PipelineRef: &tektonv1.PipelineRef{ResolverRef: Reference(scenario, s)}}}
	if t.Template != nil {
		run = ownSources(t.Template, s)
	}
	run.TypeMeta = metav1.TypeMeta{APIVersion: tektonv1.SchemeGroupVersion.String(), Kind: "PipelineRun"}
	run.ObjectMeta = metav1.ObjectMeta{
		Namespace: s.Namespace, Name: RunName(scenario.Name, s, t.Previous), GenerateName: scenario.Name + "-",
		Labels: with(run.Labels), Annotations: with(run.Annotations), Finalizers: []string{RunFinalizer},
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(s, v1alpha1.GroupVersion.WithKind("Snapshot"))},
	}
	run.Status = tektonv1.PipelineRunStatus{}
	value, _, named := SnapshotParam(scenario, s)
	params := tektonv1.Params{{Name: "SNAPSHOT", Value: *tektonv1.NewStructuredValues(value)}}
	for _, p := range scenario.Spec.Params {
		value := *tektonv1.NewStructuredValues(p.Value)
		if len(p.Values) > 0 {
			value = tektonv1.ParamValue{Type: tektonv1.ParamTypeArray, ArrayVal: p.Values}
		}
		params = append(params, tektonv1.Param{Name: p.Name, Value: value})
	}
	for _, p := range run.Spec.Params {
		if !slices.ContainsFunc(params, func(ours tektonv1.Param) bool { return ours.Name == p.Name }) {
			params = append(params, p)
		}
	}
	run.Spec.Params, run.Spec.Status = params, ""
	if run.Spec.TaskRunTemplate.ServiceAccountName == "" {
		run.Spec.TaskRunTemplate.ServiceAccountName = runnerAccount
	}
	run.Spec.Timeouts = timeouts(scenario.Annotations, run.Spec.Timeouts, t.Defaults)
	label(run, scenario, s)
	if named {
		run.Annotations[ParamAsName] = "true"
	}
	if t.Retry {
		run.Annotations[RetryAnnotation] = t.Previous
	}
	if t.Defaults.LogURL != "" {
		run.Annotations[logAnnotation] = strings.NewReplacer("{{NAMESPACE}}", run.Namespace, "{{PIPELINE_RUN_NAME}}", run.Name).Replace(t.Defaults.LogURL)
	}
	return run
}

// CheckRun says how the run that is there under a run's name is not that run:
// somebody made it, whose tests may be others.
func CheckRun(ctx context.Context, have, want *tektonv1.PipelineRun) error {
	have, want = have.DeepCopy(), want.DeepCopy()
	// Tekton fills in what a run leaves out when it is made.
	have.SetDefaults(ctx)
	want.SetDefaults(ctx)
	owner, wanted := metav1.GetControllerOf(have), metav1.GetControllerOf(want)
	switch {
	case owner == nil || owner.UID != wanted.UID, have.Labels[ScenarioLabel] != want.Labels[ScenarioLabel],
		!equality.Semantic.DeepEqual(have.Spec.PipelineRef, want.Spec.PipelineRef),
		!equality.Semantic.DeepEqual(have.Spec.PipelineSpec, want.Spec.PipelineSpec),
		!equality.Semantic.DeepEqual(have.Spec.Params, want.Spec.Params):
		return fmt.Errorf("there is a PipelineRun %s that does not run this scenario as it is: delete it, and set label %s of the Snapshot", have.Name, RerunLabel)
	}
	return nil
}

// ownSources is a template whose references to the branch that a pull request
// is for lead to the pull request's commit.
func ownSources(template *tektonv1.PipelineRun, s *v1alpha1.Snapshot) *tektonv1.PipelineRun {
	run := template.DeepCopy()
	if run.Spec.PipelineRef != nil {
		run.Spec.PipelineRef.ResolverRef = ownSource(run.Spec.PipelineRef.ResolverRef, s)
	}
	if run.Spec.PipelineSpec != nil {
		for _, tasks := range [][]tektonv1.PipelineTask{run.Spec.PipelineSpec.Tasks, run.Spec.PipelineSpec.Finally} {
			for i := range tasks {
				if tasks[i].TaskRef != nil {
					tasks[i].TaskRef.ResolverRef = ownSource(tasks[i].TaskRef.ResolverRef, s)
				}
			}
		}
	}
	return run
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
	if span := s.Annotations[spanContext]; span != "" {
		run.Annotations[spanContext] = span
	}
	run.Labels[RunTypeLabel], run.Labels[SnapshotKey], run.Labels[ScenarioLabel] = TestRun, s.Name, scenario.Name
	if s.Spec.ComponentGroup != "" {
		run.Labels[ComponentGroupLabel] = s.Spec.ComponentGroup
	} else {
		run.Labels[ApplicationLabel] = s.Spec.Application
	}
	run.Labels[OptionalLabel] = fmt.Sprint(Optional(scenario))
	if s.Labels[TypeLabel] == ComponentType {
		run.Labels[ComponentLabel] = s.Labels[ComponentLabel]
	}
}

// RunName is the name of a test's next run.
func RunName(scenario string, s *v1alpha1.Snapshot, previous string) string {
	sum := sha256.Sum256([]byte(s.Name + "\x00" + string(s.UID) + "\x00" + scenario + "\x00" + previous))
	return cut(scenario, 52) + "-" + hex.EncodeToString(sum[:5])
}

// tektonTimeout is how long a run may take where nobody says it. An
// installation may have another one.
const tektonTimeout = time.Hour

// timeouts are those of the scenario's annotations, then those of the run that
// it refers to, then the installation's. What cannot be read is as if it were
// not there; a pipeline's is never less than that of its parts, which Tekton
// would refuse.
func timeouts(annotations map[string]string, own *tektonv1.TimeoutFields, defaults Defaults) *tektonv1.TimeoutFields {
	if own == nil {
		own = &tektonv1.TimeoutFields{}
	}
	choose := func(key string, own *metav1.Duration, fallback time.Duration) *metav1.Duration {
		if d, err := time.ParseDuration(annotations[key]); err == nil && d > 0 {
			return &metav1.Duration{Duration: d}
		}
		if own == nil && fallback > 0 {
			return &metav1.Duration{Duration: fallback}
		}
		return own
	}
	t := &tektonv1.TimeoutFields{
		Pipeline: choose(PipelineTimeout, own.Pipeline, defaults.Pipeline),
		Tasks:    choose(TasksTimeout, own.Tasks, defaults.Tasks),
		Finally:  choose(FinallyTimeout, own.Finally, defaults.Finally),
	}
	if t.Pipeline == nil && t.Tasks == nil && t.Finally == nil {
		return nil
	}
	var parts time.Duration
	for _, part := range []*metav1.Duration{t.Tasks, t.Finally} {
		if part != nil {
			parts += part.Duration
		}
	}
	unlimited := t.Pipeline != nil && t.Pipeline.Duration == 0
	if t.Pipeline == nil && parts > tektonTimeout || t.Pipeline != nil && !unlimited && t.Pipeline.Duration < parts {
		t.Pipeline = &metav1.Duration{Duration: parts}
	}
	return t
}

// with is a copy of a map that can be written to.
func with(m map[string]string) map[string]string {
	c := map[string]string{}
	for k, v := range m {
		c[k] = v
	}
	return c
}
