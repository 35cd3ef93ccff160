package tknbundle_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"sigs.k8s.io/yaml"

	"github.com/headrace-ci/headrace/pkg/task/tknbundle"
	"github.com/headrace-ci/headrace/pkg/tekton/bundle"
	"github.com/headrace-ci/headrace/test/fixture"
)

func task(name string) string {
	return `apiVersion: tekton.dev/v1
kind: Task
metadata:
  name: ` + name + ` # a comment
  labels: {app.kubernetes.io/version: "0.3"}
spec:
  description: Says hello.
  steps:
    - {name: first, image: reg.example/a}
    - {name: second, image: reg.example/b}
    - {name: third, ref: {name: action}}
`
}

func source(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for file, content := range files {
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func options(repo, dir, context string) tknbundle.Options {
	return tknbundle.Options{Image: repo + ":0.3", Context: context, SourceDir: dir, URL: "https://git.example/r", Revision: "abc"}
}

func packed(t *testing.T, repo string) []bundle.Object {
	t.Helper()
	objects, err := bundle.Read(t.Context(), repo+":0.3")
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func TestContext(t *testing.T) {
	dir := source(t, map[string]string{
		"test1.yaml": task("test1"), "test2.yml": task("test2"), "sub/test3.yaml": task("test3"), "sub/deep/test4.yaml": task("test4"),
		"README.md": "no YAML", ".git/x.yaml": "apiVersion: v1", "two.yaml": task("two-a") + "---\n" + task("two-b"),
	})
	cases := map[string]struct {
		context string
		want    []string
	}{
		"a file":                      {"test1.yaml", []string{"test1"}},
		"a folder":                    {"sub", []string{"test4", "test3"}},
		"the root":                    {".", []string{"test4", "test3", "test1", "test2", "two-a", "two-b"}},
		"nothing is the root":         {"", []string{"test4", "test3", "test1", "test2", "two-a", "two-b"}},
		"a list":                      {"test2.yml, sub/test3.yaml test2.yml", []string{"test2", "test3"}},
		"a folder but for a file":     {"sub,!sub/test3.yaml", []string{"test4"}},
		"everything but for a file":   {"!two.yaml", []string{"test4", "test3", "test1", "test2"}},
		"everything but for a folder": {"!sub !two.yaml", []string{"test1", "test2"}},
		"a file of several objects":   {"two.yaml", []string{"two-a", "two-b"}},
	}
	for what, tc := range cases {
		t.Run(what, func(t *testing.T) {
			repo := fixture.Registry(t) + "/team/bundle"

			results, err := tknbundle.Run(t.Context(), options(repo, dir, tc.context))
			if err != nil {
				t.Fatal(err)
			}

			var got []string
			for _, o := range packed(t, repo) {
				got = append(got, o.Name)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
			if results["IMAGE_REF"] != repo+":0.3@"+results["IMAGE_DIGEST"] || results["IMAGE_URL"] != repo+":0.3" {
				t.Errorf("results are %v", results)
			}
			again, err := tknbundle.Run(t.Context(), options(repo, dir, tc.context))
			if diff := cmp.Diff(results, again); err != nil || diff != "" {
				t.Errorf("again %v (-first +second):\n%s", err, diff)
			}
		})
	}
}

func TestStepsImage(t *testing.T) {
	dir := source(t, map[string]string{"t.yaml": task("t")})
	cases := map[string]struct {
		image, names string
		want         []string
	}{
		"their own":        {"", "", []string{"reg.example/a", "reg.example/b", ""}},
		"all":              {"reg.example/x", "", []string{"reg.example/x", "reg.example/x", ""}},
		"one":              {"reg.example/x", "second", []string{"reg.example/a", "reg.example/x", ""}},
		"several":          {"reg.example/x", "second, first", []string{"reg.example/x", "reg.example/x", ""}},
		"all but one":      {"reg.example/x", "!second", []string{"reg.example/x", "reg.example/b", ""}},
		"names, no image":  {"", "second", []string{"reg.example/a", "reg.example/b", ""}},
		"none of the name": {"reg.example/x", "other", []string{"reg.example/a", "reg.example/b", ""}},
	}
	for what, tc := range cases {
		t.Run(what, func(t *testing.T) {
			repo := fixture.Registry(t) + "/team/bundle"
			opts := options(repo, dir, ".")
			opts.StepsImage, opts.StepsImageStepNames = tc.image, tc.names
			if _, err := tknbundle.Run(t.Context(), opts); err != nil {
				t.Fatal(err)
			}
			var found tektonv1.Task
			raw := packed(t, repo)[0].Raw
			if err := yaml.Unmarshal(raw, &found); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range found.Spec.Steps {
				got = append(got, s.Image)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("images (-want +got):\n%s", diff)
			}
			if tc.image == "" && string(raw) != task("t") {
				t.Errorf("the file was changed:\n%s", raw)
			}
		})
	}
}

func annotations(t *testing.T, ref string) map[string]string {
	t.Helper()
	parsed, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(parsed)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	return manifest.Annotations
}

func TestAnnotations(t *testing.T) {
	repo := fixture.Registry(t) + "/team/bundle"
	dir := source(t, map[string]string{"task/t.yaml": task("t"), "task/README.md": "", "task/USAGE.md": ""})
	if _, err := tknbundle.Run(t.Context(), options(repo, dir, "task/t.yaml")); err != nil {
		t.Fatal(err)
	}
	tree := "https://git.example/r/tree/abc/task/t.yaml"
	want := map[string]string{
		"org.opencontainers.image.source": "https://git.example/r", "org.opencontainers.image.revision": "abc", "org.opencontainers.image.url": tree,
		"org.opencontainers.image.version": "0.3", "org.opencontainers.image.description": "Says hello.",
		"org.opencontainers.image.documentation": tree + "/README.md", "dev.tekton.docs.usage": tree + "/USAGE.md",
	}
	if diff := cmp.Diff(want, annotations(t, repo+":0.3")); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
}

func TestMigration(t *testing.T) {
	repo := fixture.Registry(t) + "/team/bundle"
	dir := source(t, map[string]string{"task/t.yaml": task("t"), "task/migrations/0.3.sh": "#!/bin/bash\n", "task/migrations/0.2.sh": "old"})
	for range 2 { // the second finds the first's
		if _, err := tknbundle.Run(t.Context(), options(repo, dir, "task/t.yaml")); err != nil {
			t.Fatal(err)
		}
	}
	r, err := name.NewRepository(repo)
	if err != nil {
		t.Fatal(err)
	}
	tags, err := remote.List(r)
	if err != nil || len(tags) != 2 {
		t.Fatalf("tags are %v, %v", tags, err)
	}
	i := slices.IndexFunc(tags, func(tag string) bool { return strings.HasPrefix(tag, "migration-0.3-") })
	got := annotations(t, repo+":0.3")
	desc, err := remote.Head(r.Tag(tags[i]))
	if err != nil || got["dev.konflux-ci.task.migration.tag"] != tags[i] || got["dev.konflux-ci.task.migration.digest"] != desc.Digest.String() {
		t.Errorf("annotations are %v, tags %v, %v", got, tags, err)
	}
	if m := annotations(t, repo+":"+tags[i]); m["dev.konflux-ci.task.is-migration"] != "true" {
		t.Errorf("the migration's annotations are %v", m)
	}
	changed := source(t, map[string]string{"task/t.yaml": task("t"), "task/migrations/0.3.sh": "another"})
	if _, err := tknbundle.Run(t.Context(), options(repo, changed, "task/t.yaml")); err == nil || !strings.Contains(err.Error(), "is not the migration that was published") {
		t.Errorf("a changed migration: %v", err)
	}
}

func TestKustomization(t *testing.T) {
	repo := fixture.Registry(t) + "/team/bundle"
	dir := source(t, map[string]string{
		"base/t.yaml": task("t"), "base/kustomization.yaml": "resources: [t.yaml]\n",
		"min/kustomization.yaml": "resources: [../base]\nnameSuffix: -min\n", "min/extra.yaml": task("extra"),
	})
	if _, err := tknbundle.Run(t.Context(), options(repo, dir, "min/extra.yaml")); err != nil {
		t.Fatal(err)
	}
	objects := packed(t, repo)
	if len(objects) != 1 || objects[0].Name != "t-min" {
		t.Errorf("objects are %v", objects)
	}
}

func TestRefusals(t *testing.T) {
	repo := fixture.Registry(t) + "/team/bundle"
	many := ""
	for range 21 {
		many += "---\n" + task("t")
	}
	dir := source(t, map[string]string{
		"t.yaml": task("t"), "k8s.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n", "bad.yaml": "a: [", "none.yaml": "",
		"old.yaml": strings.Replace(task("t"), "labels", "other", 1), "many.yaml": many, "empty/README.md": "",
		"far/kustomization.yaml": "resources: ['https://git.example/r//base?ref=main']\n", "far/t.yaml": task("t"),
		"up/kustomization.yaml": "resources: [../../../etc]\n", "up/t.yaml": task("t"),
	})
	if err := os.Symlink("/etc", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		change func(*tknbundle.Options)
		want   string
	}{
		"an image without tag":         {func(o *tknbundle.Options) { o.Image = repo }, "--image"},
		"a path out of the source":     {func(o *tknbundle.Options) { o.Context = "../x" }, "leads out of the source"},
		"a link out of the source":     {func(o *tknbundle.Options) { o.Context = "link" }, "reading the source"},
		"a path that is not there":     {func(o *tknbundle.Options) { o.Context = "nope" }, `has no "nope"`},
		"a folder without YAML":        {func(o *tknbundle.Options) { o.Context = "empty" }, "matches no .yaml"},
		"an object that is not Tekton": {func(o *tknbundle.Options) { o.Context = "k8s.yaml" }, "is no Tekton object"},
		"a file that is not YAML":      {func(o *tknbundle.Options) { o.Context = "bad.yaml" }, "reading bad.yaml"},
		"an empty file":                {func(o *tknbundle.Options) { o.Context = "none.yaml" }, "hold no object"},
		"a task without version":       {func(o *tknbundle.Options) { o.Context = "old.yaml" }, "has no label app.kubernetes.io/version"},
		"too many objects":             {func(o *tknbundle.Options) { o.Context = "many.yaml" }, "1 to 20 objects"},
		"names with and without !":     {func(o *tknbundle.Options) { o.StepsImage, o.StepsImageStepNames = "x", "a,!b" }, "--steps-image-step-names"},
		"a base from another host":     {func(o *tknbundle.Options) { o.Context = "far/t.yaml" }, "not in the source"},
		"a base out of the source":     {func(o *tknbundle.Options) { o.Context = "up/t.yaml" }, "out of the source"},
	}
	for what, tc := range cases {
		t.Run(what, func(t *testing.T) {
			opts := options(repo, dir, "t.yaml")
			tc.change(&opts)
			if _, err := tknbundle.Run(t.Context(), opts); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Run() = %v, want %q", err, tc.want)
			}
		})
	}
}

func TestHostileParams(t *testing.T) {
	repo := fixture.Registry(t) + "/team/bundle"
	dir := source(t, map[string]string{"t.yaml": task("t")})
	fixture.Hostile(t, tknbundle.Command, "--image="+repo+":0.3", "--source-dir="+dir, "--url=https://git.example/r", "--revision=abc")
}
