package oci

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Attach pushes content as an artifact that refers to the image, so that who
// has the image finds it among its referrers. It returns the artifact's digest,
// which is the same for the same content.
func Attach(ctx context.Context, image name.Digest, artifactType, title string, content []byte) (name.Digest, error) {
	return AttachAll(ctx, image, artifactType, Part{title, types.MediaType(artifactType), content})
}

// Part is one of the files of an artifact.
type Part struct {
	Title     string
	MediaType types.MediaType
	Content   []byte
}

// AttachAll is [Attach] for an artifact of several files.
func AttachAll(ctx context.Context, image name.Digest, artifactType string, parts ...Part) (name.Digest, error) {
	subject, err := remote.Head(image, Options(ctx)...)
	if err != nil {
		return name.Digest{}, fmt.Errorf("resolving %q: %w", image, Explain(err))
	}
	artifact := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	for _, p := range parts {
		artifact, err = mutate.Append(artifact, mutate.Addendum{
			Layer:       static.NewLayer(p.Content, p.MediaType),
			Annotations: map[string]string{titleKey: p.Title},
		})
		if err != nil {
			return name.Digest{}, err
		}
	}
	// Registries without artifactType take an artifact's type from its config.
	artifact = mutate.ConfigMediaType(artifact, types.MediaType(artifactType))
	artifact = mutate.Subject(artifact, *subject).(v1.Image)
	digest, err := artifact.Digest()
	if err != nil {
		return name.Digest{}, err
	}
	ref := image.Context().Digest(digest.String())
	if err := remote.Write(ref, artifact, Options(ctx)...); err != nil {
		return name.Digest{}, fmt.Errorf("attaching a %s to %q: %w", artifactType, image, Explain(err))
	}
	return ref, nil
}
