package pipeline

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
)

var (
	resultRef = regexp.MustCompile(`\$\(tasks\.([a-z0-9-]+)\.results\.([A-Za-z0-9_-]+)(?:\[[^\]]*\])?\)`)
	paramRef  = regexp.MustCompile(`\$\(params\.([A-Za-z0-9_-]+)(?:\[[^\]]*\])?\)`)
)

// Check reports what is wrong with a pipeline's graph, given the tasks it
// refers to by name: a result nobody declares, a param or workspace that is
// required and not given or given and not declared, one of the pipeline that
// nobody uses, a cycle.
func Check(p *tektonv1.Pipeline, tasks map[string]*tektonv1.Task) error {
	c := checker{pipeline: p, tasks: map[string]*tektonv1.Task{}, used: map[string]bool{}, bound: map[string]bool{}}
	all := append(append([]tektonv1.PipelineTask{}, p.Spec.Tasks...), p.Spec.Finally...)
	for _, t := range all {
		if t.TaskRef == nil {
			continue
		}
		task, ok := tasks[t.TaskRef.Name]
		if !ok {
			c.fail("task %q refers to %q, which is not in the catalog", t.Name, t.TaskRef.Name)
			continue
		}
		c.tasks[t.Name] = task
	}
	for _, t := range all {
		c.task(t)
	}
	for _, r := range p.Spec.Results {
		c.references("result "+r.Name, r.Value.StringVal)
	}
	for _, param := range p.Spec.Params {
		if !c.used[param.Name] {
			c.fail("param %q is used by no task", param.Name)
		}
	}
	for _, w := range p.Spec.Workspaces {
		if !c.bound[w.Name] {
			c.fail("workspace %q is used by no task", w.Name)
		}
	}
	c.cycles()
	return errors.Join(c.problems...)
}

type checker struct {
	pipeline *tektonv1.Pipeline
	tasks    map[string]*tektonv1.Task // by name in the pipeline
	used     map[string]bool           // params of the pipeline
	bound    map[string]bool           // workspaces of the pipeline
	problems []error
}

func (c *checker) fail(format string, args ...any) {
	c.problems = append(c.problems, fmt.Errorf("pipeline %s: "+format, append([]any{c.pipeline.Name}, args...)...))
}

func (c *checker) task(t tektonv1.PipelineTask) {
	given := map[string]bool{}
	params := t.Params
	if t.Matrix != nil {
		params = append(slices.Clone(params), t.Matrix.Params...)
	}
	for _, p := range params {
		given[p.Name] = true
		for _, text := range append(p.Value.ArrayVal, p.Value.StringVal) {
			c.references("task "+t.Name, text)
		}
	}
	for _, w := range t.When {
		for _, text := range append(w.Values, w.Input) {
			c.references("task "+t.Name, text)
		}
	}
	task := c.tasks[t.Name]
	if task == nil {
		return
	}
	c.workspaces(t, task)
	declared := map[string]bool{}
	for _, p := range task.Spec.Params {
		declared[p.Name] = true
		if p.Default == nil && !given[p.Name] {
			c.fail("task %q needs param %q and does not get it", t.Name, p.Name)
		}
	}
	for name := range given {
		if !declared[name] {
			c.fail("task %q gets param %q, which %s does not declare", t.Name, name, task.Name)
		}
	}
}

// workspaces holds what a task is bound to against what it and the pipeline
// declare.
func (c *checker) workspaces(t tektonv1.PipelineTask, task *tektonv1.Task) {
	given := map[string]bool{}
	for _, w := range t.Workspaces {
		given[w.Name], c.bound[w.Workspace] = true, true
		if !slices.ContainsFunc(task.Spec.Workspaces, func(d tektonv1.WorkspaceDeclaration) bool { return d.Name == w.Name }) {
			c.fail("task %q gets workspace %q, which %s does not declare", t.Name, w.Name, task.Name)
		}
		if !slices.ContainsFunc(c.pipeline.Spec.Workspaces, func(d tektonv1.PipelineWorkspaceDeclaration) bool { return d.Name == w.Workspace }) {
			c.fail("task %q refers to workspace %q, which is not declared", t.Name, w.Workspace)
		}
	}
	for _, d := range task.Spec.Workspaces {
		if !d.Optional && !given[d.Name] {
			c.fail("task %q needs workspace %q and does not get it", t.Name, d.Name)
		}
	}
}

func (c *checker) references(where, text string) {
	for _, m := range resultRef.FindAllStringSubmatch(text, -1) {
		task, ok := c.tasks[m[1]]
		if !ok {
			c.fail("%s refers to task %q, which is not there", where, m[1])
			continue
		}
		found := false
		for _, r := range task.Spec.Results {
			found = found || r.Name == m[2]
		}
		if !found {
			c.fail("%s refers to result %q, which task %q does not declare", where, m[2], m[1])
		}
	}
	for _, m := range paramRef.FindAllStringSubmatch(text, -1) {
		c.used[m[1]] = true
		found := false
		for _, p := range c.pipeline.Spec.Params {
			found = found || p.Name == m[1]
		}
		if !found {
			c.fail("%s refers to param %q, which is not declared", where, m[1])
		}
	}
}

func (c *checker) cycles() {
	before := map[string][]string{}
	for _, t := range c.pipeline.Spec.Tasks {
		before[t.Name] = t.Deps()
	}
	done, path := map[string]bool{}, []string{}
	var visit func(name string)
	visit = func(name string) {
		for i, on := range path {
			if on == name {
				c.fail("tasks wait for each other: %s", strings.Join(append(path[i:], name), " -> "))
				return
			}
		}
		if done[name] {
			return
		}
		path = append(path, name)
		for _, b := range before[name] {
			visit(b)
		}
		path, done[name] = path[:len(path)-1], true
	}
	for _, t := range c.pipeline.Spec.Tasks {
		visit(t.Name)
	}
}
