package buildimageindex

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/headrace-ci/headrace/pkg/oci"
)

// member is an image that was given.
type member struct {
	given string
	ref   name.Digest
	desc  *remote.Descriptor
}

// url is the reference without digest, as the results have it.
func (m member) url() string {
	url, _, _ := strings.Cut(m.given, "@")
	return url
}

// part is one manifest of the index.
type part struct {
	digest   v1.Hash
	platform v1.Platform
	created  time.Time
}

func resolve(ctx context.Context, images []string) ([]member, error) {
	var members []member
	by := map[string]string{}
	for _, image := range images {
		ref, err := oci.Reference(image)
		if err != nil {
			return nil, err
		}
		desc, err := remote.Get(ref, oci.Options(ctx)...)
		if err != nil {
			return nil, fmt.Errorf("fetching image %q: %w", image, oci.Explain(err))
		}
		if other, twice := by[desc.Digest.String()]; twice {
			return nil, fmt.Errorf("images %q and %q are the same", other, image)
		}
		by[desc.Digest.String()] = image
		members = append(members, member{given: image, ref: ref.Context().Digest(desc.Digest.String()), desc: desc})
	}
	return members, nil
}

// family is whose media types these are.
func family(t types.MediaType) string {
	switch t {
	case types.DockerManifestSchema2, types.DockerManifestList:
		return "docker"
	case types.OCIManifestSchema1, types.OCIImageIndex:
		return "oci"
	}
	return "an unknown"
}

// index holds the members, and of a member that is an index itself, its own.
func index(members []member, format string) (v1.ImageIndex, []part, error) {
	mediaType := types.OCIImageIndex
	if format == "docker" {
		mediaType = types.DockerManifestList
	}
	var parts []part
	idx := mutate.IndexMediaType(empty.Index, mediaType)
	for _, m := range members {
		images, err := images(m)
		if err != nil {
			return nil, nil, err
		}
		for _, img := range images {
			p, err := describe(m, img)
			if err != nil {
				return nil, nil, err
			}
			idx = mutate.AppendManifests(idx, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &p.platform}})
			parts = append(parts, p)
		}
	}
	return idx, parts, nil
}

func images(m member) ([]v1.Image, error) {
	if !m.desc.MediaType.IsIndex() {
		img, err := m.desc.Image()
		return []v1.Image{img}, err
	}
	idx, err := m.desc.ImageIndex()
	if err != nil {
		return nil, err
	}
	manifest, err := idx.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("reading index %q: %w", m.given, err)
	}
	var all []v1.Image
	for _, d := range manifest.Manifests {
		if !d.MediaType.IsImage() {
			continue
		}
		img, err := idx.Image(d.Digest)
		if err != nil {
			return nil, fmt.Errorf("reading index %q: %w", m.given, err)
		}
		all = append(all, img)
	}
	return all, nil
}

func describe(m member, img v1.Image) (part, error) {
	config, err := img.ConfigFile()
	if err != nil {
		return part{}, fmt.Errorf("reading the config of %q: %w", m.given, err)
	}
	digest, err := img.Digest()
	if err != nil {
		return part{}, err
	}
	return part{
		digest: digest, created: config.Created.Time,
		platform: v1.Platform{OS: config.OS, Architecture: config.Architecture, Variant: config.Variant},
	}, nil
}
