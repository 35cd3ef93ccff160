package catalog

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"sigs.k8s.io/yaml"
)

const artifactForm = `
metadata:
  name: build-oci-ta
  annotations: {catalog.headrace.dev/workspace: source, other: kept}
spec:
  params:
    - {name: SOURCE_ARTIFACT}
    - {name: IMAGE}
    - {name: ociStorage}
    - {name: ociArtifactExpiresAfter, default: ""}
    - {name: ARGS, type: array, default: []}
  results:
    - {name: IMAGE_URL}
    - {name: SOURCE_ARTIFACT}
  workspaces:
    - {name: netrc, optional: true}
  volumes:
    - {name: workdir, emptyDir: {}}
    - {name: tmp, emptyDir: {}}
  stepTemplate:
    volumeMounts: [{name: workdir, mountPath: /var/workdir}, {name: tmp, mountPath: /tmp}]
  steps:
    - name: use
      image: ko://github.com/headrace-ci/headrace/cmd/artifact
      args: [use, $(params.SOURCE_ARTIFACT)=/var/workdir/source]
    - name: build
      image: ko://github.com/headrace-ci/headrace/cmd/build
      args: [--image=$(params.IMAGE), --source-artifact=$(params.SOURCE_ARTIFACT), --dir=/var/workdir/source, --, "$(params.ARGS[*])"]
      volumeMounts: [{name: workdir, mountPath: /var/workdir}]
`

const workspaceFormWanted = `
metadata:
  name: build
  annotations: {catalog.headrace.dev/workspace: source, other: kept}
spec:
  params:
    - {name: IMAGE}
    - {name: ARGS, type: array, default: []}
  results:
    - {name: IMAGE_URL}
  workspaces:
    - {name: source, description: "Folder with the source, in source, and prefetched dependencies, in cachi2."}
    - {name: netrc, optional: true}
  volumes:
    - {name: tmp, emptyDir: {}}
  stepTemplate:
    volumeMounts: [{name: tmp, mountPath: /tmp}]
  steps:
    - name: build
      image: ko://github.com/headrace-ci/headrace/cmd/build
      args: [--image=$(params.IMAGE), --dir=$(workspaces.source.path)/source, --, "$(params.ARGS[*])"]
`

func parsed(t *testing.T, text string) *tektonv1.Task {
	t.Helper()
	var task tektonv1.Task
	if err := yaml.UnmarshalStrict([]byte(text), &task); err != nil {
		t.Fatal(err)
	}
	return &task
}

func TestWorkspaceForm(t *testing.T) {
	given := parsed(t, artifactForm)
	got, err := workspaceForm(given, "source")
	if err != nil {
		t.Fatal(err)
	}
	written := func(task *tektonv1.Task) string {
		raw, err := yaml.Marshal(task)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	if diff := cmp.Diff(written(parsed(t, workspaceFormWanted)), written(got)); diff != "" {
		t.Errorf("workspace form (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(written(parsed(t, artifactForm)), written(given)); diff != "" {
		t.Errorf("the Task it is made from was changed (-before +after):\n%s", diff)
	}
}

func TestWorkspaceFormRefuses(t *testing.T) {
	cases := map[string]struct{ replace [2]string }{
		"a Task that takes no artifacts":      {[2]string{"name: build-oci-ta", "name: build"}},
		"the folder in an environment":        {[2]string{"      volumeMounts: [{name: workdir, mountPath: /var/workdir}]\n", "      env: [{name: DIR, value: /var/workdir}]\n"}},
		"an artifact in an environment":       {[2]string{"      volumeMounts: [{name: workdir, mountPath: /var/workdir}]\n", "      env: [{name: A, value: $(params.SOURCE_ARTIFACT)}]\n"}},
		"the folder under the name of others": {[2]string{"name: workdir, emptyDir", "name: other, hostPath: {path: /var/workdir}, emptyDir"}},
	}
	for what, tc := range cases {
		t.Run(what, func(t *testing.T) {
			text := strings.Replace(artifactForm, tc.replace[0], tc.replace[1], 1)
			if text == artifactForm {
				t.Fatal("nothing was replaced")
			}
			if got, err := workspaceForm(parsed(t, text), "source"); err == nil {
				t.Errorf("workspaceForm() = %v", got)
			}
		})
	}
}

func TestRemoteForm(t *testing.T) {
	got, err := remoteForm(parsed(t, artifactForm), "build")
	if err != nil {
		t.Fatal(err)
	}
	step := got.Spec.Steps[1]
	if diff := cmp.Diff([]string{"--platform=$(params.PLATFORM)", "--image-append-platform=$(params.IMAGE_APPEND_PLATFORM)", "--image=$(params.IMAGE)"}, step.Args[:3]); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
	if n := len(got.Spec.Params); got.Name != "build-remote-oci-ta" || got.Spec.Params[n-2].Default != nil || got.Spec.Params[n-1].Default.StringVal != "false" {
		t.Errorf("%s has params %v", got.Name, got.Spec.Params)
	}
	if _, err := remoteForm(parsed(t, artifactForm), "nope"); err == nil || !strings.Contains(err.Error(), `step "nope"`) {
		t.Errorf("a step that is not there: %v", err)
	}
	if _, err := remoteForm(parsed(t, workspaceFormWanted), "build"); err == nil {
		t.Error("a Task that takes no artifacts has a remote form")
	}
}
