package buildimageindex_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/headrace-ci/headrace/pkg/task/buildimageindex"
	"github.com/headrace-ci/headrace/test/fixture"
)

func pushed(t *testing.T, ref, arch string, mediaType types.MediaType) string {
	t.Helper()
	layer, err := random.Layer(64, types.OCILayer)
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(mutate.MediaType(empty.Image, mediaType), layer)
	if err != nil {
		t.Fatal(err)
	}
	img, err = mutate.ConfigFile(img, &v1.ConfigFile{OS: "linux", Architecture: arch, RootFS: v1.RootFS{Type: "layers"}})
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, img); err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

func TestIndex(t *testing.T) {
	repo := fixture.Registry(t) + "/team/app"
	amd := pushed(t, repo+":1-amd64", "amd64", types.OCIManifestSchema1)
	arm := pushed(t, repo+":1-arm64", "arm64", types.OCIManifestSchema1)
	opts := buildimageindex.Options{
		Image: repo + ":1", TaskRunName: "run-1", AlwaysBuildIndex: true, BuildahFormat: "oci", TLSVerify: true,
		Images: []string{repo + ":1-amd64@" + amd, repo + "@" + arm},
	}

	got, err := buildimageindex.Run(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}

	if want := repo + "@" + amd + "," + repo + "@" + arm; got["IMAGES"] != want {
		t.Errorf("IMAGES is %q, want %q", got["IMAGES"], want)
	}
	if !strings.HasPrefix(got["SBOM_BLOB_URL"], repo+"@sha256:") {
		t.Errorf("SBOM_BLOB_URL is %q", got["SBOM_BLOB_URL"])
	}
	var platforms []string
	for _, ref := range []string{repo + ":1", repo + ":run-1", got["IMAGE_REF"]} {
		idx := index(t, ref)
		for _, m := range idx.Manifests {
			platforms = append(platforms, m.Platform.String())
		}
	}
	if diff := cmp.Diff(strings.Fields(strings.Repeat("linux/amd64 linux/arm64 ", 3)), platforms); diff != "" {
		t.Errorf("platforms (-want +got):\n%s", diff)
	}
}

func index(t *testing.T, s string) *v1.IndexManifest {
	t.Helper()
	ref, err := name.ParseReference(s)
	if err != nil {
		t.Fatal(err)
	}
	idx, err := remote.Index(ref)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := idx.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	return manifest
}

func TestOneImageIsItsOwnResult(t *testing.T) {
	repo := fixture.Registry(t) + "/team/app"
	digest := pushed(t, repo+":1", "amd64", types.DockerManifestSchema2)

	got, err := buildimageindex.Run(t.Context(), buildimageindex.Options{
		Image: repo + ":1", BuildahFormat: "docker", TLSVerify: true, Images: []string{repo + ":1@" + digest},
	})
	if err != nil {
		t.Fatal(err)
	}

	want := map[string]string{"IMAGE_URL": repo + ":1", "IMAGE_DIGEST": digest, "IMAGE_REF": repo + "@" + digest}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

func TestRefusals(t *testing.T) {
	repo := fixture.Registry(t) + "/team/app"
	digest := pushed(t, repo+":1", "amd64", types.DockerManifestSchema2)
	cases := map[string]struct {
		images []string
		want   string
	}{
		"an image of the other format": {[]string{repo + ":1"}, "docker format"},
		"an image given twice":         {[]string{repo + ":1", repo + ":1"}, "there twice"},
		"an image under two names":     {[]string{repo + ":1", repo + "@" + digest}, "are the same"},
		"an image without tag":         {[]string{repo}, "image reference"},
		"an image that is not there":   {[]string{repo + ":2"}, `fetching image "` + repo + `:2"`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := buildimageindex.Run(t.Context(), buildimageindex.Options{
				Image: repo + ":1", AlwaysBuildIndex: true, BuildahFormat: "oci", TLSVerify: true, Images: tc.images,
			})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error is %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestHostileParams(t *testing.T) {
	repo := fixture.Registry(t) + "/team/app"
	digest := pushed(t, repo+":1", "amd64", types.OCIManifestSchema1)
	fixture.Hostile(t, buildimageindex.Command, "--image="+repo+":2", repo+":1@"+digest)
}
