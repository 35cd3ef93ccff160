package catalog_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"sigs.k8s.io/yaml"

	"github.com/headrace-ci/headrace/pkg/tekton/catalog"
	"github.com/headrace-ci/headrace/pkg/tekton/pipeline"
)

func catalogTasks(t *testing.T) map[string]*tektonv1.Task {
	t.Helper()
	entries, err := catalog.Tasks("../../../tasks")
	if err != nil {
		t.Fatal(err)
	}
	tasks := map[string]*tektonv1.Task{}
	for _, e := range entries {
		tasks[e.Name] = e.Task
	}
	return tasks
}

// TestGroupsAreTheirParts holds the Tasks of groups to the single ones: the same
// steps, as they are but for where values come from and results go, and every
// result.
func TestGroupsAreTheirParts(t *testing.T) {
	known := catalogTasks(t)
	for _, g := range pipeline.Groups() {
		t.Run(g.Name, func(t *testing.T) {
			task := known[g.Name]
			if task == nil {
				t.Fatal("it is not in the catalog")
			}
			steps := task.Spec.Steps
			for _, part := range g.Parts {
				for _, single := range known[part.Task].Spec.Steps {
					if len(steps) == 0 {
						t.Fatalf("step %s of %s is missing", single.Name, part.Task)
					}
					checkPart(t, single, steps[0])
					steps = steps[1:]
				}
				for _, r := range known[part.Task].Spec.Results {
					name := pipeline.Renamed(part.Results, r.Name)
					has := slices.ContainsFunc(task.Spec.Results, func(have tektonv1.TaskResult) bool {
						return have.Name == name && strings.HasSuffix(have.Value.StringVal, ".results."+r.Name+")")
					})
					if name != "" && !has {
						t.Errorf("result %s of %s is missing", r.Name, part.Task)
					}
				}
			}
			if len(steps) > 0 {
				t.Errorf("step %s is no part's", steps[0].Name)
			}
			if slices.ContainsFunc(task.Spec.Steps, func(s tektonv1.Step) bool {
				return *s.SecurityContext.RunAsUser == 0 || len(s.SecurityContext.Capabilities.Add) > 0
			}) {
				t.Error("a step of it has privileges, and shares a pod with others")
			}
			task.SetDefaults(t.Context())
			if err := task.Validate(t.Context()); err != nil {
				t.Errorf("Tekton refuses it: %v", err)
			}
		})
	}
}

// checkPart compares a step with that of the single Task.
func checkPart(t *testing.T, single, got tektonv1.Step) {
	t.Helper()
	if got.Name != single.Name || got.Image != single.Image || !slices.Equal(got.Command, single.Command) {
		t.Errorf("step %s runs %s %q, want %s %q", got.Name, got.Image, got.Command, single.Image, single.Command)
	}
	if diff := cmp.Diff(single.SecurityContext, got.SecurityContext); diff != "" {
		t.Errorf("step %s: security context (-single +group):\n%s", got.Name, diff)
	}
	flags := func(s tektonv1.Step) []string {
		var names []string
		for _, a := range s.Args {
			if name, _, _ := strings.Cut(a, "="); name != "--results-dir" {
				names = append(names, name)
			}
		}
		return names
	}
	if diff := cmp.Diff(flags(single), flags(got)); diff != "" {
		t.Errorf("step %s: arguments (-single +group):\n%s", got.Name, diff)
	}
}

// TestComposeRefuses holds what does not fit together.
func TestComposeRefuses(t *testing.T) {
	const first = `
metadata: {name: first}
spec:
  params: [{name: url}]
  results: [{name: commit}]
  volumes: [{name: ca, configMap: {name: one}}]
  workspaces: [{name: login, optional: true}]
  steps: [{name: clone, image: a, args: [--url=$(params.url)]}]
`
	const second = `
metadata: {name: second}
spec:
  params: [{name: commit}]
  results: [{name: image}]
  volumes: [{name: ca, configMap: {name: one}}]
  workspaces: [{name: login, optional: true}]
  steps: [{name: build, image: b, args: [--commit=$(params.commit)]}]
`
	takes := map[string]pipeline.From{"commit": {Task: "first", Result: "commit"}}
	cases := map[string]struct {
		replace [2]string // in second
		takes   map[string]pipeline.From
		want    string // a part of the error; "" for none
	}{
		"parts that fit":                   {takes: takes},
		"a param of two meanings":          {replace: [2]string{"{name: commit}]\n  results", `{name: url, default: ""}]` + "\n  results"}, want: `param "url" means two things`},
		"a volume of two contents":         {replace: [2]string{"name: one", "name: other"}, takes: takes, want: `volume "ca" means two things`},
		"a workspace of two meanings":      {replace: [2]string{"optional: true", "optional: false"}, takes: takes, want: `workspace "login" means two things`},
		"two steps of one name":            {replace: [2]string{"name: build", "name: clone"}, takes: takes, want: `two steps are named "clone"`},
		"two results of one name":          {replace: [2]string{"name: image}", "name: commit}"}, takes: takes, want: `two results are named "commit"`},
		"a result that no part before has": {takes: map[string]pipeline.From{"commit": {Task: "first", Result: "digest"}}, want: "is to be result digest of first, which no step before writes"},
		"a part that is not there":         {replace: [2]string{"name: second", "name: third"}, want: `"second", which is not in the catalog`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tasks := map[string]*tektonv1.Task{}
			for _, text := range []string{first, strings.Replace(second, tc.replace[0], tc.replace[1], 1)} {
				var task tektonv1.Task
				if err := yaml.UnmarshalStrict([]byte(text), &task); err != nil {
					t.Fatal(err)
				}
				tasks[task.Name] = &task
			}
			task, err := catalog.Compose(pipeline.Group{Name: "both", Parts: []pipeline.Part{{Task: "first"}, {Task: "second", Takes: tc.takes}}}, tasks)
			if tc.want != "" {
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("error is %v, want %q in it", err, tc.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := []string{"--results-dir=$(step.results.image.path)/..", "--commit=$(steps.clone.results.commit)"}
			if diff := cmp.Diff(want, task.Spec.Steps[1].Args); diff != "" {
				t.Errorf("arguments (-want +got):\n%s", diff)
			}
			if len(task.Spec.Params) != 1 || task.Spec.Params[0].Name != "url" {
				t.Errorf("params are %v, want url alone", task.Spec.Params)
			}
		})
	}
}
