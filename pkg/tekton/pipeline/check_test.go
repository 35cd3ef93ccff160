package pipeline_test

import (
	"strings"
	"testing"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"sigs.k8s.io/yaml"

	"github.com/headrace-ci/headrace/pkg/tekton/pipeline"
)

const cloneTask = `
metadata: {name: clone}
spec:
  workspaces: [{name: output}, {name: login, optional: true}]
  params: [{name: url}, {name: depth, default: "1"}]
  results: [{name: commit}]
`

const buildTask = `
metadata: {name: build}
spec:
  params: [{name: commit}, {name: args, type: array, default: []}]
  results: [{name: image}]
`

// good is a pipeline with nothing wrong.
const good = `
metadata: {name: p}
spec:
  workspaces: [{name: volume}]
  params: [{name: url}, {name: skip, default: "false"}, {name: args, type: array, default: []}]
  results: [{name: IMAGE, value: $(tasks.build.results.image)}]
  tasks:
    - name: clone
      taskRef: {name: clone}
      workspaces: [{name: output, workspace: volume}]
      params: [{name: url, value: $(params.url)}]
    - name: build
      taskRef: {name: build}
      params: [{name: commit, value: $(tasks.clone.results.commit)}, {name: args, value: ["$(params.args[*])"]}]
      when: [{input: $(params.skip), operator: in, values: ["false"]}]
`

func TestCheck(t *testing.T) {
	cases := map[string]struct {
		replace [2]string
		want    string // a part of the error; "" for none
	}{
		"a good pipeline": {},
		"a result that no task declares": {
			replace: [2]string{"tasks.clone.results.commit", "tasks.clone.results.digest"},
			want:    `task build refers to result "digest", which task "clone" does not declare`,
		},
		"a pipeline result that no task declares": {
			replace: [2]string{"tasks.build.results.image", "tasks.build.results.url"},
			want:    `result IMAGE refers to result "url"`,
		},
		"a task that is not there": {
			replace: [2]string{"tasks.clone.results.commit", "tasks.fetch.results.commit"},
			want:    `refers to task "fetch", which is not there`,
		},
		"a task that the catalog does not have": {
			replace: [2]string{"taskRef: {name: clone}", "taskRef: {name: fetch}"},
			want:    `refers to "fetch", which is not in the catalog`,
		},
		"a required param that is not given": {
			replace: [2]string{"[{name: url, value: $(params.url)}]", "[{name: depth, value: $(params.url)}]"},
			want:    `task "clone" needs param "url"`,
		},
		"a param that the task does not declare": {
			replace: [2]string{"[{name: url, value: $(params.url)}]", "[{name: url, value: $(params.url)}, {name: branch, value: main}]"},
			want:    `gets param "branch", which clone does not declare`,
		},
		"a param that the pipeline does not declare": {
			replace: [2]string{"$(params.skip)", "$(params.skip-checks)"},
			want:    `refers to param "skip-checks", which is not declared`,
		},
		"a param that no task uses": {
			replace: [2]string{`["$(params.args[*])"]`, "[]"},
			want:    `param "args" is used by no task`,
		},
		"a matrix of a param that is not declared": {
			replace: [2]string{"      params: [{name: url, value: $(params.url)}]", "      matrix: {params: [{name: url, value: '$(params.urls[*])'}]}"},
			want:    `refers to param "urls", which is not declared`,
		},
		"a matrix that gives a required param": {
			replace: [2]string{"      params: [{name: url, value: $(params.url)}]", "      matrix: {params: [{name: url, value: ['$(params.url)']}]}"},
		},
		"a required workspace that is not given": {
			replace: [2]string{"{name: output, workspace: volume}", "{name: login, workspace: volume}"},
			want:    `task "clone" needs workspace "output"`,
		},
		"a workspace that the task does not declare": {
			replace: [2]string{"{name: output, workspace: volume}", "{name: output, workspace: volume}, {name: netrc, workspace: volume}"},
			want:    `gets workspace "netrc", which clone does not declare`,
		},
		"a workspace that the pipeline does not declare": {
			replace: [2]string{"workspaces: [{name: volume}]", "workspaces: [{name: disk}]"},
			want:    `refers to workspace "volume", which is not declared`,
		},
		"a workspace that no task uses": {
			replace: [2]string{"workspaces: [{name: volume}]", "workspaces: [{name: volume}, {name: disk}]"},
			want:    `workspace "disk" is used by no task`,
		},
		"tasks that wait for each other": {
			replace: [2]string{"name: clone\n      taskRef", "name: clone\n      runAfter: [build]\n      taskRef"},
			want:    "tasks wait for each other: clone -> build -> clone",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			text := good
			if tc.replace[0] != "" {
				if text = strings.Replace(good, tc.replace[0], tc.replace[1], 1); text == good {
					t.Fatalf("%q is not in the pipeline", tc.replace[0])
				}
			}
			err := pipeline.Check(parse[tektonv1.Pipeline](t, text), map[string]*tektonv1.Task{
				"clone": parse[tektonv1.Task](t, cloneTask), "build": parse[tektonv1.Task](t, buildTask),
			})
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func parse[T any](t *testing.T, text string) *T {
	t.Helper()
	v := new(T)
	if err := yaml.Unmarshal([]byte(text), v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestAllAreWrittenTheSameTwice keeps `catalog generate` from changing files.
func TestAllAreWrittenTheSameTwice(t *testing.T) {
	first, second := pipeline.All(), pipeline.All()
	for i := range first {
		a, err := pipeline.YAML(first[i])
		if err != nil {
			t.Fatal(err)
		}
		b, err := pipeline.YAML(second[i])
		if err != nil {
			t.Fatal(err)
		}
		if string(a) != string(b) || !strings.HasPrefix(string(a), "# Code generated") {
			t.Errorf("pipeline %s differs from itself", first[i].Name)
		}
	}
}

// TestTektonTakesThem holds the pipelines to Tekton's own validation.
func TestTektonTakesThem(t *testing.T) {
	for _, p := range pipeline.All() {
		p.SetDefaults(t.Context())
		if err := p.Validate(t.Context()); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
}

// TestOrder holds the build pipelines to the order that upstream documents.
func TestOrder(t *testing.T) {
	after := map[string][]string{"clone-repository": {"init"}, "prefetch-dependencies": {"clone-repository"}}
	gated := map[string]string{"build-source-image": "$(params.build-source-image)", "apply-tags": "", "push-dockerfile": ""}
	for _, p := range pipeline.All() {
		if p.Labels["pipelines.openshift.io/used-by"] != "build-cloud" || p.Name == "docker-build-fast" { // see TestFast
			continue
		}
		builder, index := "", false
		for _, task := range p.Spec.Tasks {
			want, known := after[task.Name]
			switch {
			case task.Name == "init":
				want, known = nil, true
			case task.Name == "build-container" || task.Name == "build-images":
				builder, want, known = task.Name, []string{"prefetch-dependencies"}, true
			case task.Name == "build-image-index":
				index, want, known = true, []string{builder}, true
			case !known:
				want = []string{"build-image-index"}
			}
			if strings.Join(task.RunAfter, " ") != strings.Join(want, " ") {
				t.Errorf("%s: %s runs after %v, want %v", p.Name, task.Name, task.RunAfter, want)
			}
			input, isGated := gated[task.Name]
			if !known && !isGated {
				input = "$(params.skip-checks)"
			}
			if (input == "") != (len(task.When) == 0) || input != "" && task.When[0].Input != input {
				t.Errorf("%s: %s is run when %v, want by %q", p.Name, task.Name, task.When, input)
			}
		}
		if !index {
			t.Errorf("%s makes no index", p.Name)
		}
		var results []string
		for _, r := range p.Spec.Results {
			results = append(results, r.Name)
		}
		if got := strings.Join(results, " "); got != "IMAGE_URL IMAGE_DIGEST CHAINS-GIT_URL CHAINS-GIT_COMMIT" {
			t.Errorf("%s has results %s", p.Name, got)
		}
	}
}
