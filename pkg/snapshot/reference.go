package snapshot

import (
	"fmt"
	"strings"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"sigs.k8s.io/yaml"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
)

// Kinds that a scenario may refer to, as spec.resolverRef.resourceKind and as
// Tekton name them.
const (
	PipelineKind    = "pipeline"
	PipelineRunKind = "pipelinerun"
)

var tektonKinds = map[string]string{PipelineKind: "Pipeline", PipelineRunKind: "PipelineRun"}

// ReferenceError says that a scenario refers to what cannot test a Snapshot.
type ReferenceError struct{ Problem, Fix string }

func (e *ReferenceError) Error() string { return e.Problem + ": " + e.Fix }

// Hint is what to do about it.
func (e *ReferenceError) Hint() string { return e.Fix }

// CheckReference finds what is wrong with a reference by itself: it names a
// Task, or another kind than it says.
func CheckReference(ref v1beta2.ResolverRef) error {
	want := resourceKind(ref)
	for _, p := range ref.Params {
		if p.Name == "kind" && !strings.EqualFold(p.Value, want) {
			return &ReferenceError{
				Problem: fmt.Sprintf("spec.resolverRef refers to a %s", p.Value),
				Fix:     fmt.Sprintf("refer to a %s, and set its param kind to %s; put a single Task into a Pipeline", tektonKinds[want], want),
			}
		}
	}
	return nil
}

func resourceKind(ref v1beta2.ResolverRef) string {
	if ref.ResourceKind == PipelineRunKind {
		return PipelineRunKind
	}
	return PipelineKind
}

// CheckFound finds what is wrong with the document that a reference leads to.
func CheckFound(ref v1beta2.ResolverRef, document []byte) error {
	want := tektonKinds[resourceKind(ref)]
	var meta struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if err := yaml.Unmarshal(document, &meta); err != nil {
		return &ReferenceError{Problem: fmt.Sprintf("spec.resolverRef leads to no YAML: %v", err), Fix: "refer to a " + want}
	}
	if meta.Kind != want || !strings.HasPrefix(meta.APIVersion, "tekton.dev/") {
		found := strings.TrimSpace(meta.APIVersion + " " + meta.Kind)
		if found == "" {
			found = "document without apiVersion and kind"
		}
		fix := fmt.Sprintf("refer to a %s of tekton.dev", want)
		switch {
		case want == "Pipeline" && meta.Kind == "PipelineRun":
			fix += ", or set spec.resolverRef.resourceKind to pipelinerun"
		case want == "PipelineRun" && meta.Kind == "Pipeline":
			fix += ", or set spec.resolverRef.resourceKind to pipeline"
		case meta.Kind == "Task":
			fix += ": put a single Task into one"
		}
		return &ReferenceError{Problem: fmt.Sprintf("spec.resolverRef leads to a %s", found), Fix: fix}
	}
	return nil
}

// PipelineRunFound is the run that a reference of resourceKind pipelinerun
// leads to.
func PipelineRunFound(ref v1beta2.ResolverRef, document []byte) (*tektonv1.PipelineRun, error) {
	if err := CheckFound(ref, document); err != nil {
		return nil, err
	}
	run := &tektonv1.PipelineRun{}
	if err := yaml.Unmarshal(document, run); err != nil {
		return nil, &ReferenceError{Problem: fmt.Sprintf("spec.resolverRef leads to a PipelineRun that cannot be read: %v", err), Fix: "correct it"}
	}
	if version := tektonv1.SchemeGroupVersion.String(); run.APIVersion != version {
		return nil, &ReferenceError{
			Problem: fmt.Sprintf("spec.resolverRef leads to a PipelineRun of %s", run.APIVersion), Fix: "write it as " + version,
		}
	}
	return run, nil
}

// pullSource is where a pull request's commit is, and what it is to be merged into.
type pullSource struct{ repo, branch, from, commit string }

// pullSourceOf is that of a Snapshot of a pull request. Only a Snapshot that a
// build made has one: Pipelines as Code starts builds of strangers' pull
// requests when a member has approved them, and not before, so what is in
// those may run with the team's rights.
func pullSourceOf(s *v1alpha1.Snapshot) (pullSource, bool) {
	if Push(s) || s.Labels[BuildLabel] == "" && s.Labels[TypeLabel] != GroupType {
		return pullSource{}, false
	}
	value := func(suffix string) string {
		if v := s.Annotations[pacTestPrefix+suffix]; v != "" {
			return v
		}
		return s.Labels[pacTestPrefix+suffix]
	}
	found := pullSource{repo: value("repo-url"), branch: value("branch"), from: value("source-repo-url"), commit: value("sha")}
	if found.from == "" {
		found.from = found.repo
	}
	return found, found.repo != "" && found.branch != "" && found.commit != ""
}

// ownSource gives a reference to the branch that a pull request is for the
// pull request's own commit: who changes a test sees it tested.
func ownSource(ref tektonv1.ResolverRef, s *v1alpha1.Snapshot) tektonv1.ResolverRef {
	pull, ok := pullSourceOf(s)
	if !ok || ref.Resolver != "git" {
		return ref
	}
	changed := tektonv1.ResolverRef{Resolver: ref.Resolver, Params: ref.Params.DeepCopy()}
	url, revision := -1, -1
	for i, p := range changed.Params {
		switch {
		case p.Name == "url" && repository(p.Value.StringVal) == repository(pull.repo):
			url = i
		case p.Name == "revision" && branch(p.Value.StringVal) == branch(pull.branch):
			revision = i
		}
	}
	if url < 0 || revision < 0 {
		return ref
	}
	changed.Params[url].Value = *tektonv1.NewStructuredValues(pull.from)
	changed.Params[revision].Value = *tektonv1.NewStructuredValues(pull.commit)
	return changed
}

func repository(url string) string {
	return strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(url, "/"), ".git"))
}

func branch(ref string) string { return strings.TrimPrefix(ref, "refs/heads/") }

// Reference is what to give Tekton to find a scenario's pipeline for a
// Snapshot.
func Reference(scenario *v1beta2.IntegrationTestScenario, s *v1alpha1.Snapshot) tektonv1.ResolverRef {
	return ownSource(Resolver(scenario.Spec.ResolverRef), s)
}

// Resolver is a scenario's reference in Tekton's words.
func Resolver(ref v1beta2.ResolverRef) tektonv1.ResolverRef {
	r := tektonv1.ResolverRef{Resolver: tektonv1.ResolverName(ref.Resolver)}
	for _, p := range ref.Params {
		r.Params = append(r.Params, tektonv1.Param{Name: p.Name, Value: *tektonv1.NewStructuredValues(p.Value)})
	}
	return r
}
