//go:build e2e

package e2e

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/tekton/bundle"
	"github.com/headrace-ci/headrace/test/demo"
)

const containerfile = "FROM scratch\nLABEL konflux.additional-tags=\"newest, v1\"\nCOPY page.html /page.html\n"

// kit is a component that every build pipeline can make something of.
var kit = demo.Component{
	Name: "kit", Dockerfile: "Containerfile",
	Files: fstest.MapFS{
		"Containerfile":  {Data: []byte(containerfile)},
		"page.html":      {Data: []byte("<p>hello</p>\n")},
		"task/README.md": {Data: []byte("# hello\n")},
		"task/hello.yaml": {Data: []byte("apiVersion: tekton.dev/v1\nkind: Task\nmetadata:\n  name: hello\n" +
			"  labels: {app.kubernetes.io/version: \"0.1\"}\nspec:\n  steps: [{name: say, image: registry.example/hello:1}]\n")},
	},
}

func stringParam(name, value string) tektonv1.Param {
	return tektonv1.Param{Name: name, Value: *tektonv1.NewStructuredValues(value)}
}

// TestBuildPipelines runs the build pipelines that the journey does not, at
// once, and looks at what each left in the registry.
func TestBuildPipelines(t *testing.T) {
	d := newDemo(t, kit)
	if err := d.PrepareBuilds(t.Context()); err != nil {
		t.Fatal(err)
	}
	dockerfile := stringParam("dockerfile", "Containerfile")
	cases := map[string]struct {
		params []tektonv1.Param
		check  func(t *testing.T, image name.Digest, tag string)
	}{
		"docker-build-oci-ta": {
			[]tektonv1.Param{dockerfile, stringParam("build-source-image", "true"), stringParam("hermetic", "true")}, checkEvidence,
		},
		"docker-build-multi-platform-oci-ta": {
			[]tektonv1.Param{dockerfile, {Name: "build-platforms", Value: tektonv1.ParamValue{Type: tektonv1.ParamTypeArray, ArrayVal: []string{"local"}}}}, checkPlatforms,
		},
		"tekton-bundle-builder-oci-ta": {[]tektonv1.Param{stringParam("path-context", "task")}, checkBundle},
	}
	for pipeline, tc := range cases {
		t.Run(pipeline, func(t *testing.T) {
			run, err := d.Start(t.Context(), kit, pipeline, tc.params...)
			if err != nil {
				t.Fatal(err)
			}
			t.Parallel()
			if err := d.AwaitBuild(t.Context(), run); err != nil {
				t.Fatal(err)
			}
			results := map[string]string{}
			for _, r := range run.Status.Results {
				results[r.Name] = r.Value.StringVal
			}
			image, err := oci.WithDigest(results["IMAGE_URL"], results["IMAGE_DIGEST"])
			if err != nil {
				t.Fatalf("results are %v: %v", results, err)
			}
			if results["CHAINS-GIT_COMMIT"] == "" || !strings.HasSuffix(results["CHAINS-GIT_URL"], "/kit.git") {
				t.Errorf("results are %v", results)
			}
			tc.check(t, image, results["IMAGE_URL"])
		})
	}
}

// manifest reads a manifest from the registry.
func manifest(t *testing.T, reference string) v1.Manifest {
	t.Helper()
	ref, err := oci.Reference(reference)
	if err != nil {
		t.Fatal(err)
	}
	desc, err := remote.Get(ref, oci.Options(t.Context())...)
	if err != nil {
		t.Fatal(err)
	}
	var m v1.Manifest
	if err := json.Unmarshal(desc.Manifest, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// checkEvidence looks for what is kept beside an image: the tags that its label
// asks for, its Containerfile and its sources.
func checkEvidence(t *testing.T, image name.Digest, _ string) {
	for _, tag := range []string{"newest", "v1"} {
		if got, err := oci.Digest(t.Context(), image.Context().Tag(tag).String()); err != nil || got != image {
			t.Errorf("tag %s is %v (%v), want %s", tag, got, err, image)
		}
	}
	kept := manifest(t, oci.EvidenceTag(image, ".dockerfile").String())
	if kept.ArtifactType != "application/vnd.konflux.dockerfile" || len(kept.Layers) != 1 {
		t.Fatalf("the Containerfile's artifact is %+v", kept)
	}
	layer, err := remote.Layer(image.Context().Digest(kept.Layers[0].Digest.String()), oci.Options(t.Context())...)
	if err != nil {
		t.Fatal(err)
	}
	content, err := layer.Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	if raw, err := io.ReadAll(content); string(raw) != containerfile {
		t.Errorf("the Containerfile that is kept is %q (%v)", raw, err)
	}
	if sources := manifest(t, oci.EvidenceTag(image, ".src").String()); len(sources.Layers) != 1 {
		t.Errorf("the source image has %d layers, want the source's", len(sources.Layers))
	}
}

// checkPlatforms looks for the image of the platform in the index.
func checkPlatforms(t *testing.T, image name.Digest, tag string) {
	index, err := remote.Index(image, oci.Options(t.Context())...)
	if err != nil {
		t.Fatal(err)
	}
	members, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	one, err := oci.Digest(t.Context(), tag+"-local")
	if err != nil {
		t.Fatal(err)
	}
	if len(members.Manifests) != 1 || members.Manifests[0].Digest.String() != one.DigestStr() || members.Manifests[0].Platform == nil {
		t.Errorf("the index holds %+v, want %s", members.Manifests, one)
	}
}

// checkBundle reads the Task back, as Tekton's resolver does.
func checkBundle(t *testing.T, image name.Digest, _ string) {
	objects, err := bundle.Read(t.Context(), image.String())
	if err != nil {
		t.Fatal(err)
	}
	if len(objects) != 1 || objects[0].Kind != "Task" || objects[0].Name != "hello" {
		t.Errorf("the bundle holds %+v", objects)
	}
	if m := manifest(t, image.String()); m.Annotations[bundle.VersionKey] != "0.1" || !strings.HasSuffix(m.Annotations["org.opencontainers.image.documentation"], "/task/README.md") {
		t.Errorf("annotations are %v", m.Annotations)
	}
}
