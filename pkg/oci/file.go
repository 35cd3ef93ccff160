package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// File is a file to push as an artifact of its own.
type File struct {
	Name         string // its title
	Content      []byte
	ArtifactType string
	Annotations  map[string]string // of the manifest
}

// emptyConfig is the config of an artifact that has none.
const emptyConfig types.MediaType = "application/vnd.oci.empty.v1+json"

const titleKey = "org.opencontainers.image.title"

// PushFile pushes a file at a tag, in the form of the OCI image spec's artifacts
// (as oras pushes it), and returns its digest, which is the same for the same
// file.
func PushFile(ctx context.Context, tag name.Tag, file File) (name.Digest, error) {
	layer := static.NewLayer(file.Content, types.OCILayer)
	config := static.NewLayer([]byte("{}"), emptyConfig)
	manifest := v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: file.ArtifactType, Annotations: file.Annotations,
	}
	for _, l := range []v1.Layer{config, layer} {
		if err := remote.WriteLayer(tag.Repository, l, Options(ctx)...); err != nil {
			return name.Digest{}, fmt.Errorf("pushing %s to %q: %w", file.Name, tag, Explain(err))
		}
	}
	var err error
	if manifest.Config, err = descriptor(config, nil); err != nil {
		return name.Digest{}, err
	}
	described, err := descriptor(layer, map[string]string{titleKey: file.Name})
	if err != nil {
		return name.Digest{}, err
	}
	manifest.Layers = []v1.Descriptor{described}
	raw, err := json.Marshal(manifest)
	if err != nil {
		return name.Digest{}, err
	}
	if err := remote.Put(tag, rawManifest(raw), Options(ctx)...); err != nil {
		return name.Digest{}, fmt.Errorf("pushing %s to %q: %w", file.Name, tag, Explain(err))
	}
	digest, _, err := v1.SHA256(bytes.NewReader(raw))
	return tag.Context().Digest(digest.String()), err
}

func descriptor(l v1.Layer, annotations map[string]string) (v1.Descriptor, error) {
	digest, err := l.Digest()
	if err != nil {
		return v1.Descriptor{}, err
	}
	size, err := l.Size()
	if err != nil {
		return v1.Descriptor{}, err
	}
	mediaType, err := l.MediaType()
	return v1.Descriptor{MediaType: mediaType, Size: size, Digest: digest, Annotations: annotations}, err
}

// rawManifest is a manifest as it goes over the wire.
type rawManifest []byte

func (m rawManifest) RawManifest() ([]byte, error)        { return m, nil }
func (m rawManifest) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }
