package oci_test

import (
	"io"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/test/fixture"
)

func TestAttach(t *testing.T) {
	repo, err := name.NewRepository(fixture.Registry(t) + "/app")
	if err != nil {
		t.Fatal(err)
	}
	image, err := random.Image(16, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(repo.Tag("1"), image); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	ref := repo.Digest(digest.String())

	first, err := oci.Attach(t.Context(), ref, "application/sarif+json", "findings.sarif", []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := oci.Attach(t.Context(), ref, "application/sarif+json", "findings.sarif", []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}

	if first != again {
		t.Errorf("the same content became %s and %s", first, again)
	}
	referrers, err := remote.Referrers(ref)
	if err != nil {
		t.Fatal(err)
	}
	index, err := referrers.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(index.Manifests) != 1 || index.Manifests[0].ArtifactType != "application/sarif+json" {
		t.Fatalf("referrers = %+v, want the one artifact", index.Manifests)
	}
	artifact, err := remote.Image(repo.Digest(index.Manifests[0].Digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	layers, err := artifact.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("layers = %v, %v", layers, err)
	}
	content, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	if raw, err := io.ReadAll(content); err != nil || string(raw) != "{}" {
		t.Errorf("content = %q, %v", raw, err)
	}

	missing := repo.Digest("sha256:0000000000000000000000000000000000000000000000000000000000000000")
	if _, err := oci.Attach(t.Context(), missing, "a/b", "x", nil); err == nil {
		t.Error("attached to an image that is not there")
	}
}
