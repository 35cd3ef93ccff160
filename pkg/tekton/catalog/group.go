package catalog

import (
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/headrace-ci/headrace/pkg/tekton/pipeline"
)

// groups are the files of the Tasks that are composed of others, by path below
// dir.
func groups(dir string, tasks []Entry) (map[string][]byte, error) {
	known := map[string]*tektonv1.Task{}
	for _, e := range tasks {
		known[e.Name] = e.Task
	}
	files := map[string][]byte{}
	for _, g := range pipeline.Groups() {
		if !slices.ContainsFunc(g.Parts, func(p pipeline.Part) bool { return known[p.Task] != nil }) {
			continue // another catalog, with tasks of its own
		}
		task, err := Compose(g, known)
		if err != nil {
			return nil, fmt.Errorf("task %s: %w", g.Name, err)
		}
		raw, err := yaml.Marshal(task)
		if err != nil {
			return nil, err
		}
		files[filepath.Join(dir, g.Name, "task.yaml")] = append([]byte(generated), raw...)
	}
	return files, nil
}

// Compose makes the Task of a group, given the Tasks it is composed of by name.
func Compose(g pipeline.Group, tasks map[string]*tektonv1.Task) (*tektonv1.Task, error) {
	c := composer{writers: map[pipeline.From]string{}, task: &tektonv1.Task{
		TypeMeta: metav1.TypeMeta{APIVersion: "tekton.dev/v1", Kind: "Task"},
		ObjectMeta: metav1.ObjectMeta{
			Name: g.Name, Labels: map[string]string{VersionLabel: g.Version},
			Annotations: map[string]string{
				"tekton.dev/displayName": g.Title, "tekton.dev/pipelines.minVersion": "1.0.0", "tekton.dev/tags": "konflux",
			},
		},
		Spec: tektonv1.TaskSpec{Description: g.Description},
	}}
	for _, part := range g.Parts {
		task, ok := tasks[part.Task]
		if !ok {
			return nil, fmt.Errorf("it is composed of %q, which is not in the catalog", part.Task)
		}
		if err := c.add(part, task.DeepCopy()); err != nil {
			return nil, fmt.Errorf("adding %s: %w", part.Task, err)
		}
	}
	return c.task, nil
}

type composer struct {
	task    *tektonv1.Task
	writers map[pipeline.From]string // steps, by the result that they write
}

// add adds a part's params, results, workspaces, volumes and steps.
func (c *composer) add(part pipeline.Part, task *tektonv1.Task) error {
	spec := &c.task.Spec
	values := map[string]string{}
	for _, p := range task.Spec.Params {
		name := pipeline.Renamed(part.Params, p.Name)
		values["$(params."+p.Name+")"] = "$(params." + name + ")"
		values["$(params."+p.Name+"[*])"] = "$(params." + name + "[*])"
		if from, ok := part.Takes[p.Name]; ok {
			step, ok := c.writers[from]
			if !ok {
				return fmt.Errorf("param %s is to be result %s of %s, which no step before writes", p.Name, from.Result, from.Task)
			}
			values["$(params."+p.Name+")"] = fmt.Sprintf("$(steps.%s.results.%s)", step, from.Result)
			continue
		}
		p.Name = name
		if err := merge(&spec.Params, p, func(p tektonv1.ParamSpec) string { return p.Name }); err != nil {
			return fmt.Errorf("param %w", err)
		}
	}
	if err := c.results(part, task); err != nil {
		return err
	}
	for _, w := range task.Spec.Workspaces {
		if err := merge(&spec.Workspaces, w, func(w tektonv1.WorkspaceDeclaration) string { return w.Name }); err != nil {
			return fmt.Errorf("workspace %w", err)
		}
	}
	own, err := c.volumes(part, task, values)
	if err != nil {
		return err
	}
	for _, s := range task.Spec.Steps {
		if slices.ContainsFunc(spec.Steps, func(have tektonv1.Step) bool { return have.Name == s.Name }) {
			return fmt.Errorf("two steps are named %q", s.Name)
		}
		spec.Steps = append(spec.Steps, c.step(part, task, s, values, own))
	}
	return nil
}

// results says which step writes each result of a part, and hands it on as a
// result of the group's: steps of one Task would overwrite each other's, so that
// each has a folder of its own.
func (c *composer) results(part pipeline.Part, task *tektonv1.Task) error {
	for _, r := range task.Spec.Results {
		writer := ""
		for _, s := range task.Spec.Steps {
			creates := s.Image == artifactImage && slices.ContainsFunc(s.Args, func(a string) bool { return strings.HasPrefix(a, r.Name+"=/") })
			if creates || s.Image != artifactImage && writer == "" {
				writer = s.Name
			}
		}
		if writer == "" {
			return fmt.Errorf("no step writes result %s", r.Name)
		}
		c.writers[pipeline.From{Task: part.Task, Result: r.Name}] = writer
		r.Type = tektonv1.ResultsTypeString
		name := pipeline.Renamed(part.Results, r.Name)
		if name == "" {
			continue
		}
		r.Name, r.Value = name, tektonv1.NewStructuredValues(fmt.Sprintf("$(steps.%s.results.%s)", writer, r.Name))
		if slices.ContainsFunc(c.task.Spec.Results, func(have tektonv1.TaskResult) bool { return have.Name == name }) {
			return fmt.Errorf("two results are named %q", name)
		}
		c.task.Spec.Results = append(c.task.Spec.Results, r)
	}
	return nil
}

// volumes adds a part's volumes. Those of configuration are shared; a folder to
// work in stays the part's own, and gets a name that says so.
func (c *composer) volumes(part pipeline.Part, task *tektonv1.Task, values map[string]string) (map[string]string, error) {
	own := map[string]string{}
	for _, v := range task.Spec.Volumes {
		if v.EmptyDir != nil {
			own[v.Name] = strings.TrimSuffix(part.Task, artifactSuffix) + "-" + v.Name
			v.Name = own[v.Name]
		}
		if v.ConfigMap != nil {
			v.ConfigMap.Name = replace(values, v.ConfigMap.Name)
			for i := range v.ConfigMap.Items {
				v.ConfigMap.Items[i].Key = replace(values, v.ConfigMap.Items[i].Key)
			}
		}
		if err := merge(&c.task.Spec.Volumes, v, func(v corev1.Volume) string { return v.Name }); err != nil {
			return nil, fmt.Errorf("volume %w", err)
		}
	}
	return own, nil
}

// step is a part's step in the group: with what the part's template gives every
// step, its own results, and no workspace that it has no use for.
func (c *composer) step(part pipeline.Part, task *tektonv1.Task, s tektonv1.Step, values, own map[string]string) tektonv1.Step {
	if t := task.Spec.StepTemplate; t != nil {
		s.Env = append(slices.Clone(t.Env), s.Env...)
		s.VolumeMounts = append(slices.Clone(t.VolumeMounts), s.VolumeMounts...)
	}
	for i := range s.VolumeMounts {
		s.VolumeMounts[i].Name = pipeline.Renamed(own, s.VolumeMounts[i].Name)
	}
	for i := range s.Args {
		s.Args[i] = replace(values, s.Args[i])
	}
	for _, w := range task.Spec.Workspaces {
		if slices.ContainsFunc(s.Args, func(a string) bool { return strings.Contains(a, "$(workspaces."+w.Name+".path)") }) {
			s.Workspaces = append(s.Workspaces, tektonv1.WorkspaceUsage{Name: w.Name})
		}
	}
	for _, r := range task.Spec.Results {
		if c.writers[pipeline.From{Task: part.Task, Result: r.Name}] == s.Name {
			s.Results = append(s.Results, tektonv1.StepResult{Name: r.Name, Type: tektonv1.ResultsTypeString, Description: r.Description})
		}
	}
	if len(s.Results) > 0 {
		// Tekton says where a result's file goes, and the program wants its folder.
		flag := "--results-dir=$(step.results." + s.Results[0].Name + ".path)/.."
		at := 0
		if len(s.Args) > 0 && !strings.HasPrefix(s.Args[0], "-") {
			at = 1 // behind the sub-command
		}
		s.Args = slices.Insert(s.Args, at, flag)
	}
	return s
}

// replace puts values in the place of references.
func replace(values map[string]string, text string) string {
	var pairs []string
	for _, ref := range slices.Sorted(maps.Keys(values)) {
		pairs = append(pairs, ref, values[ref])
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// merge adds what is not there, and fails when something else is by that name.
func merge[S ~[]T, T any](list *S, one T, name func(T) string) error {
	for _, have := range *list {
		if name(have) != name(one) {
			continue
		}
		if !reflect.DeepEqual(have, one) {
			return fmt.Errorf("%q means two things: name one of them otherwise", name(one))
		}
		return nil
	}
	*list = append(*list, one)
	return nil
}
