package showsbom_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/headrace-ci/headrace/pkg/sbom"
	"github.com/headrace-ci/headrace/pkg/task/showsbom"
	"github.com/headrace-ci/headrace/test/fixture"
)

func image(t *testing.T) v1.Image {
	t.Helper()
	img, err := random.Image(16, 1)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func attach(t *testing.T, repo name.Repository, img v1.Image, document string) {
	t.Helper()
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sbom.Attach(t.Context(), repo.Digest(digest.String()), []byte(document)); err != nil {
		t.Fatal(err)
	}
}

func TestShow(t *testing.T) {
	repo, err := name.NewRepository(fixture.Registry(t) + "/team/app")
	if err != nil {
		t.Fatal(err)
	}
	one, amd, arm, bare := image(t), image(t), image(t), image(t)
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: amd, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}},
		mutate.IndexAddendum{Add: arm, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}}})
	for tag, img := range map[string]v1.Image{"one": one, "bare": bare} {
		if err := remote.Write(repo.Tag(tag), img); err != nil {
			t.Fatal(err)
		}
	}
	if err := remote.WriteIndex(repo.Tag("many"), index); err != nil {
		t.Fatal(err)
	}
	for document, img := range map[string]v1.Image{"sbom of one\n": one, "sbom of amd64": amd, "sbom of arm64": arm} {
		attach(t, repo, img, document)
	}
	cases := map[string]struct{ tag, platform, want, problem string }{
		"an image":                     {"one", "linux/amd64", "sbom of one\n", ""},
		"an image, whatever platform":  {"one", "linux/s390x", "sbom of one\n", ""},
		"an index":                     {"many", "linux/amd64", "sbom of amd64", ""},
		"an index, another platform":   {"many", "linux/arm64", "sbom of arm64", ""},
		"a platform that is not there": {"many", "linux/s390x", "", `no image for "linux/s390x"`},
		"a platform that is none":      {"many", "", "", "--platform"},
		"an image without SBOM":        {"bare", "linux/amd64", "", "has no SBOM"},
		"an image that is not there":   {"none", "linux/amd64", "", "fetching image"},
	}
	for what, tc := range cases {
		t.Run(what, func(t *testing.T) {
			var out bytes.Buffer
			err := showsbom.Run(t.Context(), showsbom.Options{ImageURL: repo.Tag(tc.tag).String(), Platform: tc.platform}, &out)
			if tc.problem == "" && (err != nil || out.String() != tc.want) || tc.problem != "" && (err == nil || !strings.Contains(err.Error(), tc.problem)) {
				t.Errorf("printed %q, %v", out.String(), err)
			}
		})
	}
	if err := showsbom.Run(t.Context(), showsbom.Options{ImageURL: "no tag"}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "--image-url") {
		t.Errorf("a reference that is none: %v", err)
	}
}

func TestHostileParams(t *testing.T) {
	fixture.Hostile(t, showsbom.Command, "--image-url="+fixture.Registry(t)+"/team/app:1")
}
