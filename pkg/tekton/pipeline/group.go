package pipeline

import (
	"fmt"
	"slices"
	"strings"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
)

// Group is a Task that does in one pod what several do in a pod each: its steps
// are theirs, with the same images and arguments, so that evidence and verdicts
// are the same. Only what a tenant does not decide belongs together: a step of
// a pod can reach what others left in it, so the build of a Containerfile stays
// in a pod of its own, and so does what is left out on demand.
type Group struct {
	Name        string // of the Task
	Version     string // of the Task: to be raised when a part's content changes
	Title       string // for people
	Description string
	In          string // its name in pipelines
	Parts       []Part
}

// Part is a Task in a group.
type Part struct {
	Task string // its name
	In   string // its name in the pipeline that has it as a task of its own
	// Params and Results say what is called otherwise in the group, where two
	// parts mean different things by one name, or one thing by two.
	Params, Results map[string]string
	// Takes are params that the group has not: each is a result of a part before.
	Takes map[string]From
}

// From is a result of a part of the same group.
type From struct{ Task, Result string }

// Groups are the Tasks that are composed of others.
func Groups() []Group {
	trust := map[string]string{"CA_TRUST_CONFIG_MAP_NAME": "caTrustConfigMapName", "CA_TRUST_CONFIG_MAP_KEY": "caTrustConfigMapKey"}
	image, sum := From{"build-image-index", "IMAGE_URL"}, From{"build-image-index", "IMAGE_DIGEST"}
	return []Group{{
		Name: "source-oci-ta", Version: "0.1.0", Title: "Get the source of a build", In: "source",
		Description: "Clones a repository at a revision, fetches what its build depends on, and keeps both as trusted artifacts: init, git-clone-oci-ta and prefetch-dependencies-oci-ta in one pod.",
		Parts: []Part{
			{Task: "init", In: "init"},
			{Task: "git-clone-oci-ta", In: "clone-repository", Results: map[string]string{"SOURCE_ARTIFACT": ""}},
			{
				Task: "prefetch-dependencies-oci-ta", In: "prefetch-dependencies",
				Params: map[string]string{"ociStorage": "prefetchOciStorage", "log-level": "prefetchLogLevel"},
				Takes:  map[string]From{"SOURCE_ARTIFACT": {"git-clone-oci-ta", "SOURCE_ARTIFACT"}},
			},
		},
	}, {
		Name: "publish-image-oci-ta", Version: "0.1.0", Title: "Publish an image", In: "publish-image",
		Description: "Makes an index of what was built, gives it more tags, and keeps the Containerfile beside it: build-image-index, apply-tags and push-dockerfile-oci-ta in one pod.",
		Parts: []Part{
			{Task: "build-image-index", In: "build-image-index"},
			{Task: "apply-tags", In: "apply-tags", Params: trust, Takes: map[string]From{"IMAGE_URL": image, "IMAGE_DIGEST": sum}},
			{
				Task: "push-dockerfile-oci-ta", In: "push-dockerfile", Params: trust,
				Results: map[string]string{"IMAGE_REF": "DOCKERFILE_IMAGE_REF"},
				Takes:   map[string]From{"IMAGE": image, "IMAGE_DIGEST": sum},
			},
		},
	}}
}

// Renamed is what a param or result of a part is called in the group; "" for
// one that stays inside.
func Renamed(names map[string]string, name string) string {
	if other, ok := names[name]; ok {
		return other
	}
	return name
}

// part finds the group and part that stand for a task of a pipeline.
func part(groups []Group, in string) (*Group, *Part) {
	for i := range groups {
		for j := range groups[i].Parts {
			if groups[i].Parts[j].In == in {
				return &groups[i], &groups[i].Parts[j]
			}
		}
	}
	return nil, nil
}

// dockerBuildFast is docker-build-oci-ta in fewer pods.
func dockerBuildFast() *tektonv1.Pipeline {
	p := grouped(dockerBuildOCITA(), "docker-build-fast", "0.1.0", Groups())
	p.Spec.Description = "Builds an image as docker-build-oci-ta does, with the same evidence and verdicts, in at most six pods."
	return p
}

// grouped is a pipeline with groups in the place of their parts. A group runs
// where its first part did, so its parts must follow upon each other. It panics
// when a group does not fit the pipeline, which is a mistake in this package.
func grouped(p *tektonv1.Pipeline, name, version string, groups []Group) *tektonv1.Pipeline {
	p = p.DeepCopy()
	p.Name, p.Labels["app.kubernetes.io/version"] = name, version
	var tasks []tektonv1.PipelineTask
	for _, t := range p.Spec.Tasks {
		group, part := part(groups, t.Name)
		if group == nil {
			tasks = append(tasks, t)
			continue
		}
		at := slices.IndexFunc(tasks, func(have tektonv1.PipelineTask) bool { return have.Name == group.In })
		if at < 0 {
			at, tasks = len(tasks), append(tasks, task(group.In, group.Name, nil))
		}
		if err := group.add(&tasks[at], *part, t); err != nil {
			panic(fmt.Sprintf("pipeline %s: task %s in %s: %v", name, t.Name, group.Name, err))
		}
	}
	for i := range tasks {
		t := &tasks[i]
		for j := range t.Params {
			v := &t.Params[j].Value
			v.StringVal = regroup(groups, v.StringVal)
			for k := range v.ArrayVal {
				v.ArrayVal[k] = regroup(groups, v.ArrayVal[k])
			}
		}
		t.RunAfter = after(groups, *t)
	}
	p.Spec.Tasks = tasks
	for i := range p.Spec.Results {
		p.Spec.Results[i].Value.StringVal = regroup(groups, p.Spec.Results[i].Value.StringVal)
	}
	return p
}

// add makes a part's task in the pipeline one with the group's.
func (g Group) add(to *tektonv1.PipelineTask, part Part, t tektonv1.PipelineTask) error {
	if t.TaskRef.Name != part.Task || len(t.When) > 0 || t.Matrix != nil {
		return fmt.Errorf("it runs %s, on conditions or as a matrix: only what always runs once can be grouped", t.TaskRef.Name)
	}
	for _, given := range t.Params {
		if from, inside := part.Takes[given.Name]; inside {
			if err := g.fits(from, given.Value.StringVal); err != nil {
				return fmt.Errorf("param %s: %w", given.Name, err)
			}
			continue
		}
		given.Name = Renamed(part.Params, given.Name)
		i := slices.IndexFunc(to.Params, func(have tektonv1.Param) bool { return have.Name == given.Name })
		if i < 0 {
			to.Params = append(to.Params, given)
		} else if have := to.Params[i].Value; have.StringVal != given.Value.StringVal || !slices.Equal(have.ArrayVal, given.Value.ArrayVal) {
			return fmt.Errorf("param %s has two values: name one of them otherwise", given.Name)
		}
	}
	for _, w := range t.Workspaces {
		if !slices.Contains(to.Workspaces, w) {
			to.Workspaces = append(to.Workspaces, w)
		}
	}
	to.RunAfter = append(to.RunAfter, t.RunAfter...)
	return nil
}

// fits fails when a value is not what the group hands on in its place.
func (g Group) fits(from From, value string) error {
	for _, part := range g.Parts {
		if part.Task == from.Task && value == fmt.Sprintf("$(tasks.%s.results.%s)", part.In, from.Result) {
			return nil
		}
	}
	return fmt.Errorf("it is %s, and the group hands on result %s of %s", value, from.Result, from.Task)
}

// regroup makes references to results of parts ones to results of groups.
func regroup(groups []Group, text string) string {
	return resultRef.ReplaceAllStringFunc(text, func(ref string) string {
		m := resultRef.FindStringSubmatch(ref)
		group, part := part(groups, m[1])
		if group == nil {
			return ref
		}
		return strings.Replace(ref, m[1]+".results."+m[2], group.In+".results."+Renamed(part.Results, m[2]), 1)
	})
}

// after is what a task runs after: groups, where it was one of their parts.
func after(groups []Group, t tektonv1.PipelineTask) []string {
	var names []string
	for _, name := range t.RunAfter {
		if group, _ := part(groups, name); group != nil {
			name = group.In
		}
		if name != t.Name && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
