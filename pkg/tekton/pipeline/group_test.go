package pipeline

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
)

// TestFast holds docker-build-fast to its promises: few pods, the build alone in
// one, and the interface and checks of docker-build-oci-ta.
func TestFast(t *testing.T) {
	fast, single := dockerBuildFast(), dockerBuildOCITA()
	if n := len(fast.Spec.Tasks); n > 6 {
		t.Errorf("it needs %d pods, want at most 6", n)
	}
	if diff := cmp.Diff(single.Spec.Params, fast.Spec.Params); diff != "" {
		t.Errorf("params (-docker-build-oci-ta +docker-build-fast):\n%s", diff)
	}
	if diff := cmp.Diff(single.Spec.Workspaces, fast.Spec.Workspaces); diff != "" {
		t.Errorf("workspaces (-docker-build-oci-ta +docker-build-fast):\n%s", diff)
	}
	order := map[string][]string{}
	for _, task := range fast.Spec.Tasks {
		order[task.Name] = task.RunAfter
		if task.Name == "build-container" && task.TaskRef.Name != "buildah-oci-ta" {
			t.Errorf("the Containerfile is built in %s, want a Task of its own", task.TaskRef.Name)
		}
	}
	want := map[string][]string{
		"source": nil, "build-container": {"source"}, "publish-image": {"build-container"},
		"build-source-image": {"publish-image"}, "sast-unicode-check": {"publish-image"}, "rpms-signature-scan": {"publish-image"},
	}
	if diff := cmp.Diff(want, order); diff != "" {
		t.Errorf("what runs after what (-want +got):\n%s", diff)
	}
	for _, task := range single.Spec.Tasks {
		if group, _ := part(Groups(), task.Name); group != nil {
			continue
		}
		i := slices.IndexFunc(fast.Spec.Tasks, func(have tektonv1.PipelineTask) bool { return have.Name == task.Name })
		if i < 0 {
			t.Errorf("task %s is missing", task.Name)
		} else if diff := cmp.Diff(task.When, fast.Spec.Tasks[i].When); diff != "" {
			t.Errorf("task %s is run when (-docker-build-oci-ta +docker-build-fast):\n%s", task.Name, diff)
		}
	}
	var results []string
	for _, r := range fast.Spec.Results {
		results = append(results, r.Name+" "+r.Value.StringVal)
	}
	if diff := cmp.Diff([]string{
		"IMAGE_URL $(tasks.publish-image.results.IMAGE_URL)", "IMAGE_DIGEST $(tasks.publish-image.results.IMAGE_DIGEST)",
		"CHAINS-GIT_URL $(tasks.source.results.url)", "CHAINS-GIT_COMMIT $(tasks.source.results.commit)",
	}, results); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

// TestGroupsThatDoNotFit holds what a group may not take in.
func TestGroupsThatDoNotFit(t *testing.T) {
	groups := []Group{{Name: "both-oci-ta", In: "both", Parts: []Part{
		{Task: "first", In: "one"},
		{Task: "second", In: "two", Takes: map[string]From{"commit": {"first", "commit"}}},
	}}}
	commit := "$(tasks.one.results.commit)"
	cases := map[string]struct {
		second tektonv1.PipelineTask
		want   string // a part of the message; "" for none
	}{
		"what follows":            {second: task("two", "second", with("commit", commit, "url", "u"), "one")},
		"another Task":            {second: task("two", "third", with("commit", commit)), want: "it runs third"},
		"on a condition":          {second: checks([]tektonv1.PipelineTask{task("two", "second", with("commit", commit))})[0], want: "on conditions"},
		"one param, two values":   {second: task("two", "second", with("commit", commit, "url", "v")), want: "param url has two values"},
		"another task's result":   {second: task("two", "second", with("commit", "$(tasks.zero.results.commit)")), want: "param commit: it is $(tasks.zero.results.commit)"},
		"a constant in its place": {second: task("two", "second", with("commit", "main")), want: "param commit: it is main"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if got := recover(); (got != nil) != (tc.want != "") || !strings.Contains(fmt.Sprint(got), tc.want) {
					t.Errorf("panics with %v, want %q in it", got, tc.want)
				}
			}()
			p := named("p", "0.1.0", nil, tektonv1.PipelineSpec{Tasks: []tektonv1.PipelineTask{task("one", "first", with("url", "u")), tc.second}})
			p = grouped(p, "q", "0.1.0", groups)
			if len(p.Spec.Tasks) != 1 || len(p.Spec.Tasks[0].Params) != 1 || len(p.Spec.Tasks[0].RunAfter) != 0 {
				t.Errorf("tasks are %+v, want both as one, with param url", p.Spec.Tasks)
			}
		})
	}
}
