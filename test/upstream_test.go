package test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"sigs.k8s.io/yaml"

	"github.com/headrace-ci/headrace/pkg/tekton/pipeline"
)

// upstream is an interface of testdata/upstream.yaml.
type upstream struct {
	Params     map[string]any `json:"params"`
	Results    []string       `json:"results"`
	Workspaces []string       `json:"workspaces"`
}

// TestUpstreamInterfaces holds tasks and pipelines to the params, defaults,
// results and workspaces that upstream's of the same name have.
func TestUpstreamInterfaces(t *testing.T) {
	raw, err := os.ReadFile("testdata/upstream.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Tasks     map[string]upstream `json:"tasks"`
		Pipelines map[string]upstream `json:"pipelines"`
	}
	if err := yaml.UnmarshalStrict(raw, &want); err != nil {
		t.Fatal(err)
	}
	for _, entry := range tasks(t) {
		spec := entry.Task.Spec
		var results, workspaces []string
		for _, r := range spec.Results {
			results = append(results, r.Name)
		}
		for _, w := range spec.Workspaces {
			workspaces = append(workspaces, optional(w.Name, w.Optional))
		}
		check, ok := want.Tasks[entry.Name]
		if delete(want.Tasks, entry.Name); ok {
			t.Run(entry.Name, func(t *testing.T) { compare(t, check, spec.Params, results, workspaces) })
		}
	}
	for _, p := range pipeline.All() {
		var results, workspaces []string
		for _, r := range p.Spec.Results {
			results = append(results, r.Name)
		}
		for _, w := range p.Spec.Workspaces {
			workspaces = append(workspaces, optional(w.Name, w.Optional))
		}
		check, ok := want.Pipelines[p.Name]
		if delete(want.Pipelines, p.Name); ok {
			t.Run(p.Name, func(t *testing.T) { compare(t, check, p.Spec.Params, results, workspaces) })
		}
	}
	for name := range want.Tasks {
		t.Errorf("there is no task %s", name)
	}
	for name := range want.Pipelines {
		t.Errorf("there is no pipeline %s", name)
	}
}

func optional(name string, is bool) string {
	if is {
		return name + "?"
	}
	return name
}

func compare(t *testing.T, want upstream, params []tektonv1.ParamSpec, results, workspaces []string) {
	t.Helper()
	got := map[string]any{}
	for _, p := range params {
		var value any
		switch {
		case p.Default == nil:
		case p.Default.Type == tektonv1.ParamTypeArray:
			list := []any{}
			for _, v := range p.Default.ArrayVal {
				list = append(list, v)
			}
			value = list
		default:
			value = p.Default.StringVal
		}
		if _, known := want.Params[p.Name]; !known {
			if p.Default == nil {
				t.Errorf("param %s is required, and upstream does not have it", p.Name)
			}
			continue
		}
		got[p.Name] = value
	}
	if diff := cmp.Diff(want.Params, got); diff != "" {
		t.Errorf("params and their defaults (-upstream +ours):\n%s", diff)
	}
	for _, name := range want.Results {
		if !slices.Contains(results, name) {
			t.Errorf("there is no result %s", name)
		}
	}
	for _, name := range want.Workspaces {
		if !slices.Contains(workspaces, name) {
			t.Errorf("there is no workspace %s among %s", name, strings.Join(workspaces, ", "))
		}
	}
	for _, name := range workspaces {
		if !strings.HasSuffix(name, "?") && !slices.Contains(want.Workspaces, name) {
			t.Errorf("workspace %s is required, and upstream does not have it", name)
		}
	}
}
