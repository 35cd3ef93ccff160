package snapshot

import (
	"strconv"
	"strings"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
)

// maxResults bounds what results add to a Snapshot's annotations, of which
// the API server takes 256 KiB.
const maxResults = 64 << 10

// NewComponentSnapshot is the Snapshot that a build gets in a whole: the image
// it made, with the candidates of all other parts. warning is why the image
// may not be released, empty for none.
func NewComponentSnapshot(run *tektonv1.PipelineRun, built Built, w Whole, warning string) (*v1alpha1.Snapshot, []v1alpha1.OmittedComponent) {
	component, version := ComponentOf(run)
	own := w.Fresh(component, version, built)
	s := &v1alpha1.Snapshot{
		ObjectMeta: metav1.ObjectMeta{Namespace: run.Namespace, Labels: map[string]string{}, Annotations: map[string]string{}},
		Spec:       v1alpha1.SnapshotSpec{Application: w.Application, ComponentGroup: w.ComponentGroup},
	}
	var omitted []v1alpha1.OmittedComponent
	s.Spec.Components, omitted = w.Compose(own)
	describe(s, run, built)
	w.label(s)
	explain(s, omitted)
	if warning != "" {
		s.Annotations[SignedAnnotation] = "failed"
		s.Annotations[CreatedAnnotation] = join(warning, s.Annotations[CreatedAnnotation])
	}
	return s, omitted
}

// describe gives a Snapshot the labels and annotations of its build.
func describe(s *v1alpha1.Snapshot, run *tektonv1.PipelineRun, built Built) {
	handOver(run.Labels, s.Labels)
	handOver(run.Annotations, s.Annotations)
	for key, value := range run.Annotations {
		if key == VersionKey || key == spanContext {
			s.Annotations[key] = value
		}
	}
	room := maxResults
	for _, r := range run.Status.Results {
		key := resultPrefix + strings.ToLower(strings.ReplaceAll(r.Name, "_", "-"))
		value := strings.TrimSpace(r.Value.StringVal)
		// A pipeline may name a result as no annotation can be named.
		if r.Value.Type != tektonv1.ParamTypeString || len(validation.IsQualifiedName(key)) > 0 || len(value) > room {
			continue
		}
		s.Annotations[key] = value
		room -= len(value)
	}
	s.Labels[TypeLabel], s.Labels[BuildLabel] = ComponentType, run.Name
	s.Labels[ComponentLabel], _ = ComponentOf(run)
	if run.Status.CompletionTime != nil {
		s.Labels[FinishTimeLabel] = strconv.FormatInt(run.Status.CompletionTime.Unix(), 10)
	}
	s.Annotations[StartTimeKey] = startMillis(run)
	s.Annotations[SourceRepoKey] = built.URL
	s.Annotations[WorkflowAnnotation] = "push"
	if !PushRun(run) {
		s.Annotations[WorkflowAnnotation] = "pull-request"
		for key, value := range PRGroupOf(run).labels() {
			s.Labels[key] = value
		}
		for key, value := range PRGroupOf(run).annotations() {
			s.Annotations[key] = value
		}
		// A merge queue's number is in the name of its branch alone.
		if number := pullRequest(run); number != "" {
			s.Labels[PullRequestLabel], s.Annotations[PullRequestLabel] = number, number
		}
	}
}

// handOver gives a Snapshot what its build hands on, and what Pipelines as
// Code wrote on the build under a prefix of its own.
func handOver(from, to map[string]string) {
	for key, value := range from {
		if carries(key) {
			to[key] = value
		}
		if rest, ok := strings.CutPrefix(key, pacPrefix); ok {
			to[pacTestPrefix+rest] = value
		}
	}
}

func carries(key string) bool {
	if bookkeeping[key] {
		return false
	}
	for _, prefix := range copied {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}
