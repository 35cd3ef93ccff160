// Package test holds what is true of the repository as a whole.
package test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/headrace-ci/headrace/pkg/task"
	"github.com/headrace-ci/headrace/pkg/tekton/catalog"
	"github.com/headrace-ci/headrace/pkg/tekton/pipeline"
)

const ours = "ko://github.com/headrace-ci/headrace/cmd/"

// privileged are the steps that may run as root, by task, with the reason.
var privileged = map[string]string{
	"buildah":               "as buildah-oci-ta",
	"buildah-remote-oci-ta": "as buildah-oci-ta",
	"buildah-oci-ta":        "maps users of the image it builds, in a user namespace",
}

func tasks(t *testing.T) []catalog.Entry {
	t.Helper()
	entries, err := catalog.Tasks("../tasks")
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) == 0 {
		t.Fatal("there is no task")
	}
	return entries
}

// TestTasksAgreeWithTheirCommands holds every Task and the programs it runs
// together: what one declares, the other takes, with the same default.
func TestTasksAgreeWithTheirCommands(t *testing.T) {
	for _, entry := range tasks(t) {
		t.Run(entry.Name, func(t *testing.T) {
			spec := entry.Task.Spec
			used := map[string]bool{}
			for _, step := range spec.Steps {
				if step.Script != "" {
					t.Errorf("step %s has a script", step.Name)
				}
				if len(step.Command) != 1 {
					t.Errorf("step %s: command is %q, want the one program", step.Name, step.Command)
				}
				checkStep(t, entry, step, used)
				if !strings.HasPrefix(step.Image, ours) {
					continue
				}
				name := strings.TrimPrefix(step.Image, ours)
				if want := "/ko-app/" + name; step.Command[0] != want {
					t.Errorf("step %s: command is %q, want %q", step.Name, step.Command[0], want)
				}
				checkFlags(t, spec, step, command(t, name, step))
			}
			for _, p := range spec.Params {
				if !used[p.Name] && !mentioned(spec, p.Name) {
					t.Errorf("param %s reaches no step", p.Name)
				}
			}
		})
	}
}

// command is the program's command that a step runs: a sub-command where its
// first argument names one.
func command(t *testing.T, name string, step tektonv1.Step) *cobra.Command {
	t.Helper()
	root, ok := task.Commands()[name]
	if !ok {
		t.Fatalf("step %s runs %q, which is no task command", step.Name, name)
	}
	if len(step.Args) > 0 && !strings.HasPrefix(step.Args[0], "-") {
		for _, sub := range root.Commands() {
			if sub.Name() == step.Args[0] {
				return sub
			}
		}
	}
	return root
}

var argument = regexp.MustCompile(`^--([a-z0-9-]+)=\$\(params\.([A-Za-z0-9_-]+)\)$`)

func checkFlags(t *testing.T, spec tektonv1.TaskSpec, step tektonv1.Step, cmd *cobra.Command) {
	t.Helper()
	defaults := map[string]*tektonv1.ParamValue{}
	for _, p := range spec.Params {
		defaults[p.Name] = p.Default
	}
	for _, arg := range step.Args {
		if !strings.HasPrefix(arg, "--") || arg == "--" {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		if name == "log-level" { // every program takes it: taskcli adds it
			continue
		}
		flag := cmd.Flags().Lookup(name)
		if flag == nil {
			t.Errorf("step %s: %s takes no flag --%s", step.Name, cmd.CommandPath(), name)
			continue
		}
		m := argument.FindStringSubmatch(arg)
		if m == nil || kebab(m[2]) != name && !strings.HasSuffix(kebab(m[2]), name) {
			continue // a constant, a path, or another task's name for it
		}
		compareDefault(t, step.Name, flag, m[2], defaults[m[2]])
	}
}

func compareDefault(t *testing.T, step string, flag *pflag.Flag, param string, value *tektonv1.ParamValue) {
	t.Helper()
	want := ""
	if value != nil {
		want = value.StringVal
	}
	if flag.DefValue != want {
		t.Errorf("step %s: param %s defaults to %q, and flag --%s to %q", step, param, want, flag.Name, flag.DefValue)
	}
}

var upper = regexp.MustCompile(`([a-z0-9])([A-Z])`)

// kebab is a param's name as a flag's.
func kebab(param string) string {
	return strings.ToLower(strings.ReplaceAll(upper.ReplaceAllString(param, "$1-$2"), "_", "-"))
}

func checkStep(t *testing.T, entry catalog.Entry, step tektonv1.Step, used map[string]bool) {
	t.Helper()
	for i, arg := range step.Args {
		refs := regexp.MustCompile(`\$\(params\.([A-Za-z0-9_-]+)(\[\*\])?\)`).FindAllStringSubmatch(arg, -1)
		for _, m := range refs {
			used[m[1]] = true
			if m[2] == "" && !strings.HasPrefix(arg, "--") && !strings.Contains(arg, "=/") {
				t.Errorf("step %s: argument %d is %q: a value must stand behind --flag= or be a whole list", step.Name, i, arg)
			}
		}
	}
	sc := step.SecurityContext
	if sc == nil || sc.Capabilities == nil || !slices.ContainsFunc(sc.Capabilities.Drop, func(c corev1.Capability) bool { return c == "ALL" }) {
		t.Errorf("step %s: does not drop all capabilities", step.Name)
	}
	if _, ok := privileged[entry.Name]; !ok && (sc == nil || sc.RunAsNonRoot == nil || !*sc.RunAsNonRoot || len(sc.Capabilities.Add) > 0) {
		t.Errorf("step %s: runs as root or with capabilities, and is not on the list", step.Name)
	}
	if sc != nil && (sc.Privileged != nil && *sc.Privileged) {
		t.Errorf("step %s: is privileged", step.Name)
	}
	if step.ComputeResources.Requests.Memory().IsZero() || step.ComputeResources.Limits.Memory().IsZero() {
		t.Errorf("step %s: has no memory request or limit", step.Name)
	}
}

// mentioned reports whether a param is used outside the steps' arguments.
func mentioned(spec tektonv1.TaskSpec, param string) bool {
	ref := "$(params." + param + ")"
	for _, v := range spec.Volumes {
		if strings.Contains(fmt.Sprintf("%+v", v), ref) || v.ConfigMap != nil && strings.Contains(fmt.Sprintf("%+v", *v.ConfigMap), ref) ||
			v.Secret != nil && strings.Contains(v.Secret.SecretName, ref) {
			return true
		}
	}
	for _, s := range spec.Steps {
		for _, e := range s.Env {
			if strings.Contains(e.Value, ref) {
				return true
			}
		}
	}
	return false
}

// TestPipelineGraphs checks every pipeline against the tasks it runs.
func TestPipelineGraphs(t *testing.T) {
	known := map[string]*tektonv1.Task{}
	for _, entry := range tasks(t) {
		known[entry.Name] = entry.Task
	}
	for _, p := range pipeline.All() {
		if err := pipeline.Check(p, known); err != nil {
			t.Error(err)
		}
	}
}

// TestGeneratedFilesAreFresh is `make verify`.
func TestGeneratedFilesAreFresh(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	if err := catalog.Generate(root, true); err != nil {
		t.Error(err)
	}
}
