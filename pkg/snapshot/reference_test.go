package snapshot_test

import (
	"errors"
	"strings"
	"testing"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

func reference(resolver, resourceKind string, params ...string) v1beta2.ResolverRef {
	ref := v1beta2.ResolverRef{Resolver: resolver, ResourceKind: resourceKind}
	for i := 0; i < len(params); i += 2 {
		ref.Params = append(ref.Params, v1beta2.ResolverParameter{Name: params[i], Value: params[i+1]})
	}
	return ref
}

func TestCheckReference(t *testing.T) {
	cases := map[string]struct {
		ref  v1beta2.ResolverRef
		want string
	}{
		"a Pipeline of a bundle":      {reference("bundles", "pipeline", "kind", "pipeline"), ""},
		"a Pipeline in capitals":      {reference("cluster", "pipeline", "kind", "Pipeline"), ""},
		"a Pipeline of a repository":  {reference("git", "", "url", "https://git.test/x"), ""},
		"a PipelineRun":               {reference("bundles", "pipelinerun", "kind", "pipelinerun"), ""},
		"a Task of a bundle":          {reference("bundles", "pipeline", "kind", "task"), "spec.resolverRef refers to a task: refer to a Pipeline, and set its param kind to pipeline; put a single Task into a Pipeline"},
		"a Task of the cluster":       {reference("cluster", "", "kind", "task"), "refers to a task"},
		"a Pipeline for a run":        {reference("bundles", "pipelinerun", "kind", "pipeline"), "refer to a PipelineRun"},
		"a StepAction of the cluster": {reference("cluster", "", "kind", "stepaction"), "refers to a stepaction"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) { says(t, snapshot.CheckReference(tc.ref), tc.want) })
	}
}

// says holds an error to what it must say, and none to "".
func says(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("got %v, want %q", err, want)
	}
	var reference *snapshot.ReferenceError
	if err != nil && (!errors.As(err, &reference) || reference.Hint() == "") {
		t.Errorf("%v does not say what to do", err)
	}
}

func TestCheckFound(t *testing.T) {
	cases := map[string]struct{ kind, document, want string }{
		"a Pipeline":             {"pipeline", `{apiVersion: tekton.dev/v1, kind: Pipeline}`, ""},
		"an older Pipeline":      {"", `{apiVersion: tekton.dev/v1beta1, kind: Pipeline}`, ""},
		"a PipelineRun":          {"pipelinerun", `{apiVersion: tekton.dev/v1, kind: PipelineRun}`, ""},
		"a Task":                 {"pipeline", `{apiVersion: tekton.dev/v1, kind: Task}`, "spec.resolverRef leads to a tekton.dev/v1 Task: refer to a Pipeline of tekton.dev: put a single Task into one"},
		"a run for a Pipeline":   {"pipeline", `{apiVersion: tekton.dev/v1, kind: PipelineRun}`, "set spec.resolverRef.resourceKind to pipelinerun"},
		"a Pipeline for a run":   {"pipelinerun", `{apiVersion: tekton.dev/v1, kind: Pipeline}`, "set spec.resolverRef.resourceKind to pipeline"},
		"another's Pipeline":     {"pipeline", `{apiVersion: example.com/v1, kind: Pipeline}`, "leads to a example.com/v1 Pipeline"},
		"nothing":                {"pipeline", ``, "document without apiVersion and kind"},
		"text":                   {"pipeline", `hello`, "leads to no YAML"},
		"a page of a login form": {"pipeline", "<html>\n\t<body>", "leads to no YAML"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			says(t, snapshot.CheckFound(v1beta2.ResolverRef{ResourceKind: tc.kind}, []byte(tc.document)), tc.want)
		})
	}
}

func TestPipelineRunFound(t *testing.T) {
	cases := map[string]struct{ document, want string }{
		"a run":            {`{apiVersion: tekton.dev/v1, kind: PipelineRun, spec: {pipelineRef: {name: x}}}`, ""},
		"an older run":     {`{apiVersion: tekton.dev/v1beta1, kind: PipelineRun}`, "PipelineRun of tekton.dev/v1beta1: write it as tekton.dev/v1"},
		"a Task":           {`{apiVersion: tekton.dev/v1, kind: Task}`, "leads to a tekton.dev/v1 Task"},
		"a run of nothing": {`{apiVersion: tekton.dev/v1, kind: PipelineRun, spec: [x]}`, "cannot be read"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			run, err := snapshot.PipelineRunFound(v1beta2.ResolverRef{ResourceKind: "pipelinerun"}, []byte(tc.document))
			says(t, err, tc.want)
			if tc.want == "" && run.Spec.PipelineRef.Name != "x" {
				t.Errorf("read %+v", run)
			}
		})
	}
}

// FuzzPipelineRunFound takes what is in anybody's repository.
func FuzzPipelineRunFound(f *testing.F) {
	f.Add([]byte(`{apiVersion: tekton.dev/v1, kind: PipelineRun, metadata: {name: a}, spec: {params: [{name: x, value: [y]}]}}`))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, document []byte) {
		run, err := snapshot.PipelineRunFound(v1beta2.ResolverRef{ResourceKind: "pipelinerun"}, document)
		if err != nil {
			return
		}
		made := snapshot.Attempt{Scenario: smoke(nil), Snapshot: labelled(nil, nil), Template: run}.Run()
		if made.Namespace != "dev" || made.Labels[snapshot.RunTypeLabel] != snapshot.TestRun || made.OwnerReferences[0].Name != "shop-1" {
			t.Errorf("%q makes %+v", document, made.ObjectMeta)
		}
	})
}

// TestOwnSource takes a test's definition from the pull request that changes
// it, where a build made the Snapshot.
func TestOwnSource(t *testing.T) {
	const pac = "pac.test.appstudio.openshift.io/"
	pull := func(change func(labels, annotations map[string]string)) map[string]map[string]string {
		labels := map[string]string{
			snapshot.TypeLabel: "component", snapshot.BuildLabel: "web-1", pacEvent: "pull_request", pacPR: "1", pac + "sha": "abc123",
		}
		annotations := map[string]string{pac + "repo-url": "https://git.test/Org/web", pac + "branch": "main", pac + "source-repo-url": "https://git.test/fork/web"}
		change(labels, annotations)
		return map[string]map[string]string{"labels": labels, "annotations": annotations}
	}
	same := func(labels, annotations map[string]string) {}
	own, of := [2]string{"https://git.test/fork/web", "abc123"}, [2]string{"https://git.test/org/web.git", "main"}
	cases := map[string]struct {
		ref    v1beta2.ResolverRef
		change func(labels, annotations map[string]string)
		want   [2]string
	}{
		"the branch it is for":      {reference("git", "", "url", of[0], "revision", "main", "pathInRepo", "p.yaml"), same, own},
		"the branch in full":        {reference("git", "", "url", of[0], "revision", "refs/heads/main"), same, own},
		"from the same repository":  {reference("git", "", "url", of[0], "revision", "main"), func(_, a map[string]string) { delete(a, pac+"source-repo-url") }, [2]string{"https://git.test/Org/web", "abc123"}},
		"a group's":                 {reference("git", "", "url", of[0], "revision", "main"), func(l, _ map[string]string) { delete(l, snapshot.BuildLabel); l[snapshot.TypeLabel] = "group" }, own},
		"another branch":            {reference("git", "", "url", of[0], "revision", "v1"), same, [2]string{of[0], "v1"}},
		"another repository":        {reference("git", "", "url", "https://git.test/org/tests", "revision", "main"), same, [2]string{"https://git.test/org/tests", "main"}},
		"another resolver":          {reference("http", "", "url", of[0], "revision", "main"), same, of},
		"a push":                    {reference("git", "", "url", of[0], "revision", "main"), func(l, _ map[string]string) { delete(l, pacPR) }, of},
		"nobody's build":            {reference("git", "", "url", of[0], "revision", "main"), func(l, _ map[string]string) { delete(l, snapshot.BuildLabel) }, of},
		"a commit that is not said": {reference("git", "", "url", of[0], "revision", "main"), func(l, _ map[string]string) { delete(l, pac+"sha") }, of},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			keys := pull(tc.change)
			s := labelled(keys["labels"], keys["annotations"])
			scenario := smoke(nil)
			scenario.Spec.ResolverRef = tc.ref
			check := func(where string, ref tektonv1.ResolverRef) {
				t.Helper()
				got := map[string]string{}
				for _, p := range ref.Params {
					got[p.Name] = p.Value.StringVal
				}
				if got["url"] != tc.want[0] || got["revision"] != tc.want[1] || len(ref.Params) != len(tc.ref.Params) {
					t.Errorf("%s: %v, want %v", where, got, tc.want)
				}
			}
			check("by Reference", snapshot.Reference(scenario, s))
			check("in the run", snapshot.Attempt{Scenario: scenario, Snapshot: s}.Run().Spec.PipelineRef.ResolverRef)

			ref := snapshot.Resolver(tc.ref)
			task := []tektonv1.PipelineTask{{TaskRef: &tektonv1.TaskRef{ResolverRef: ref}}, {}}
			template := &tektonv1.PipelineRun{Spec: tektonv1.PipelineRunSpec{
				PipelineRef: &tektonv1.PipelineRef{ResolverRef: ref}, PipelineSpec: &tektonv1.PipelineSpec{Tasks: task, Finally: task},
			}}
			run := snapshot.Attempt{Scenario: scenario, Snapshot: s, Template: template}.Run()
			check("in a run that is referred to", run.Spec.PipelineRef.ResolverRef)
			check("in its tasks", run.Spec.PipelineSpec.Tasks[0].TaskRef.ResolverRef)
			check("in its last tasks", run.Spec.PipelineSpec.Finally[0].TaskRef.ResolverRef)
		})
	}
}
