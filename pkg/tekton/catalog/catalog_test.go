package catalog_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/headrace-ci/headrace/pkg/tekton/catalog"
	"github.com/headrace-ci/headrace/pkg/tekton/pipeline"
)

const task = `apiVersion: tekton.dev/v1
kind: Task
metadata:
  name: hello
  labels:
    app.kubernetes.io/version: "1.2.3"
spec:
  description: Greets.
  params:
    - {name: name, description: "Whom to greet | or not", default: world}
  steps:
    - {name: hello, image: example.com/hello, command: [/hello]}
`

// repository is a repository with one task.
func repository(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	put(t, filepath.Join(root, "tasks/hello/task.yaml"), task)
	put(t, filepath.Join(root, "tasks/hello/CHANGELOG.md"), "# Changelog\n\n## 1.2.3\n\n- Added.\n")
	for _, p := range pipeline.All() {
		put(t, filepath.Join(root, "pipelines", p.Name, "CHANGELOG.md"), "## "+p.Labels[catalog.VersionLabel]+"\n")
	}
	return root
}

func put(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestGenerate(t *testing.T) {
	root := repository(t)
	var stale *catalog.StaleError
	if err := catalog.Generate(root, true); err == nil {
		t.Error("a check found nothing to generate in a new repository")
	}
	if _, err := os.Stat(filepath.Join(root, "tasks/hello/README.md")); err == nil {
		t.Error("a check wrote a README")
	}
	if err := catalog.Generate(root, false); err != nil {
		t.Fatal(err)
	}
	if err := catalog.Generate(root, true); err != nil {
		t.Errorf("what was generated is stale at once: %v", err)
	}
	readme := filepath.Join(root, "tasks/hello/README.md")
	if text := read(t, readme); !strings.Contains(text, "| `name` | `\"world\"` | Whom to greet \\| or not |") {
		t.Errorf("README is\n%s", text)
	}

	put(t, readme, "# By hand\n\n"+read(t, readme)[len("# hello\n\n"):]+"\nAfter.\n")
	if err := catalog.Generate(root, true); err != nil {
		t.Errorf("words around the reference are stale: %v", err)
	}
	put(t, readme, strings.Replace(read(t, readme), "world", "moon", 1))
	if err := catalog.Generate(root, true); !errors.As(err, &stale) || !cmp.Equal(stale.Files, []string{readme}) {
		t.Errorf("got %v, want the one README to be stale", err)
	}
	if err := catalog.Generate(root, false); err != nil {
		t.Fatal(err)
	}
	if text := read(t, readme); !strings.HasPrefix(text, "# By hand\n") || !strings.HasSuffix(text, "After.\n") || !strings.Contains(text, "world") {
		t.Errorf("README is\n%s", text)
	}
}

func TestVersionsMeanOneContent(t *testing.T) {
	root := repository(t)
	if err := catalog.Generate(root, false); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, "tasks/hello/task.yaml")

	put(t, file, strings.Replace(task, "world", "moon", 1))
	if err := catalog.Generate(root, false); err == nil || !strings.Contains(err.Error(), "its content changed and its version is still 1.2.3") {
		t.Errorf("got %v, want a refusal of new content under an old version", err)
	}
	put(t, file, strings.Replace(strings.Replace(task, "world", "moon", 1), "1.2.3", "1.3.0", 1))
	if err := catalog.Generate(root, false); err == nil || !strings.Contains(err.Error(), `CHANGELOG.md has no entry "## 1.3.0"`) {
		t.Errorf("got %v, want a refusal of a version that is not explained", err)
	}
	put(t, filepath.Join(root, "tasks/hello/CHANGELOG.md"), "## 1.3.0\n\n## 1.2.3\n")
	if err := catalog.Generate(root, false); err != nil {
		t.Error(err)
	}
}

func TestTasksAreChecked(t *testing.T) {
	cases := map[string]struct{ old, new, want string }{
		"a name that is not the folder's": {"name: hello\n", "name: hallo\n", `metadata.name is "hallo", and the folder is "hello"`},
		"a version that is none":          {`"1.2.3"`, `"1.2"`, `is "1.2", not a version`},
		"a field that there is not":       {"description: Greets.", "descripton: Greets.", "descripton"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			root := repository(t)
			put(t, filepath.Join(root, "tasks/hello/task.yaml"), strings.Replace(task, tc.old, tc.new, 1))
			if _, err := catalog.Tasks(filepath.Join(root, "tasks")); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}

func TestTrustedTasks(t *testing.T) {
	text, err := catalog.TrustedTasks(map[string]string{"hello": "registry.example.com/task-hello:1.2.3@sha256:abc"}, nil, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Trusted map[string][]struct {
			Ref string `json:"ref"`
		} `json:"trusted_tasks"`
	}
	if err := yaml.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if refs := got.Trusted["oci://registry.example.com/task-hello:1.2.3"]; len(refs) != 1 || refs[0].Ref != "sha256:abc" {
		t.Errorf("trusted tasks are %s", text)
	}
	if _, err := catalog.TrustedTasks(map[string]string{"hello": "registry.example.com/task-hello:1.2.3"}, nil, time.Unix(0, 0)); err == nil {
		t.Error("a bundle without digest is trusted")
	}
}
