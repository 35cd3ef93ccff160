package bundle_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tektoncd/pipeline/pkg/remote/oci"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/headrace-ci/headrace/pkg/tekton/bundle"
	"github.com/headrace-ci/headrace/test/fixture"
)

const task = `apiVersion: tekton.dev/v1
kind: Task
metadata:
  name: hello
spec:
  steps:
    - name: hello
      image: example.com/hello
      command: [/hello]
`

var hello = bundle.Object{APIVersion: "tekton.dev/v1", Kind: "Task", Name: "hello", Raw: []byte(task)}

func TestPushTwiceChangesNothing(t *testing.T) {
	repo := fixture.Registry(t) + "/catalog/task-hello"
	img, err := bundle.Image([]bundle.Object{hello}, map[string]string{bundle.VersionKey: "1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := bundle.Image([]bundle.Object{hello}, map[string]string{bundle.VersionKey: "1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	first, changed, err := bundle.Push(t.Context(), repo, []string{"1.2.3", "1.2"}, img)
	if err != nil || !changed {
		t.Fatalf("first push: changed %v, %v", changed, err)
	}
	second, changed, err := bundle.Push(t.Context(), repo, []string{"1.2.3", "1.2"}, again)
	if err != nil || changed || first != second {
		t.Errorf("second push: changed %v, %v, digest %s and then %s", changed, err, first, second)
	}
	objects, err := bundle.Read(t.Context(), first.String())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]bundle.Object{hello}, objects); diff != "" {
		t.Errorf("(-packed +read):\n%s", diff)
	}
}

// Tekton's own resolver is the judge of the form.
func TestTektonReadsIt(t *testing.T) {
	repo := fixture.Registry(t) + "/catalog/task-hello"
	img, err := bundle.Image([]bundle.Object{hello}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ref, _, err := bundle.Push(t.Context(), repo, []string{"1"}, img)
	if err != nil {
		t.Fatal(err)
	}
	object, _, err := oci.NewResolver(ref.String(), authn.DefaultKeychain).Get(t.Context(), "task", "hello")
	if err != nil {
		t.Fatal(err)
	}
	if kind := object.GetObjectKind().GroupVersionKind().Kind; kind != "Task" {
		t.Errorf("Tekton read a %q", kind)
	}
}

func TestTooManyObjects(t *testing.T) {
	if _, err := bundle.Image(make([]bundle.Object, 21), nil); err == nil || !strings.Contains(err.Error(), "1 to 20") {
		t.Errorf("Image() = %v, want the limit", err)
	}
}
