package oci_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/test/fixture"
)

func TestImages(t *testing.T) {
	repo, err := name.NewRepository(fixture.Registry(t) + "/app")
	if err != nil {
		t.Fatal(err)
	}
	index, digests := v1.ImageIndex(empty.Index), map[string]string{}
	for _, arch := range []string{"amd64", "arm64"} {
		image, err := random.Image(16, 1)
		if err != nil {
			t.Fatal(err)
		}
		digest, err := image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		digests[arch] = digest.String()
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}
	if err := remote.WriteIndex(repo.Tag("1"), index); err != nil {
		t.Fatal(err)
	}
	digest, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	digests["index"] = digest.String()
	cases := map[string]struct {
		ref, arch string
		want      []string
		wantErr   string
	}{
		"all of an index":            {ref: "index", want: []string{"amd64", "arm64", "index"}},
		"one of an index":            {ref: "index", arch: "arm64", want: []string{"arm64", "index"}},
		"one that is not there":      {ref: "index", arch: "s390x", wantErr: "has no image for s390x, only for amd64, arm64"},
		"an image":                   {ref: "arm64", want: []string{"arm64"}},
		"an image, whatever it is":   {ref: "arm64", arch: "s390x", want: []string{"arm64"}},
		"nothing there is of a kind": {ref: "none", wantErr: "fetching"},
	}
	for title, tc := range cases {
		t.Run(title, func(t *testing.T) {
			ref := repo.Digest("sha256:" + strings.Repeat("0", 64))
			if d, ok := digests[tc.ref]; ok {
				ref = repo.Digest(d)
			}
			images, got, err := oci.Images(t.Context(), ref, tc.arch)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Errorf("Images() = %v, want %q", err, tc.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, name := range tc.want {
				want = append(want, digests[name])
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("digests (-want +got):\n%s", diff)
			}
			for i, image := range images {
				if image.Ref.DigestStr() != got[i] {
					t.Errorf("image %d is %s, want %s", i, image.Ref, got[i])
				}
			}
		})
	}
}

func TestArchitecture(t *testing.T) {
	for platform, want := range map[string]string{
		"": "", "linux/x86_64": "amd64", "linux/amd64": "amd64", "linux-mlarge/arm64": "arm64", "linux/aarch64": "arm64",
		"linux/arm/v7": "arm", "s390x": "s390x", "local": runtime.GOARCH, "linux/localhost": runtime.GOARCH,
	} {
		if got := oci.Architecture(platform); got != want {
			t.Errorf("Architecture(%q) = %q, want %q", platform, got, want)
		}
	}
}
