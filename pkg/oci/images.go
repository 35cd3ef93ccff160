package oci

import (
	"context"
	"fmt"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Image is one of the images that a reference names.
type Image struct {
	v1.Image
	Ref name.Digest
}

// Images are the images that ref names, itself or those of an index, for one
// architecture or, with "", for all. Of the digests, which are theirs, that of
// the index comes last. An image that is in no index is what it is, whatever
// the architecture.
func Images(ctx context.Context, ref name.Digest, arch string) (images []Image, digests []string, err error) {
	desc, err := remote.Get(ref, Options(ctx)...)
	if err != nil {
		return nil, nil, fmt.Errorf("fetching %q: %w", ref, Explain(err))
	}
	if !desc.MediaType.IsIndex() {
		image, err := desc.Image()
		if err != nil {
			return nil, nil, fmt.Errorf("fetching %q: %w", ref, err)
		}
		return []Image{{image, ref}}, []string{ref.DigestStr()}, nil
	}
	index, err := desc.ImageIndex()
	if err != nil {
		return nil, nil, fmt.Errorf("fetching %q: %w", ref, err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, nil, fmt.Errorf("fetching %q: %w", ref, err)
	}
	var have []string
	for _, child := range manifest.Manifests {
		if !child.MediaType.IsImage() {
			return nil, nil, fmt.Errorf("%q holds %s, a %s: only images are looked at", ref, child.Digest, child.MediaType)
		}
		if child.Platform != nil {
			have = append(have, child.Platform.Architecture)
		}
		if arch != "" && (child.Platform == nil || child.Platform.Architecture != arch) {
			continue
		}
		image, err := index.Image(child.Digest)
		if err != nil {
			return nil, nil, fmt.Errorf("fetching %q: %w", ref.Context().Digest(child.Digest.String()), Explain(err))
		}
		images = append(images, Image{image, ref.Context().Digest(child.Digest.String())})
		digests = append(digests, child.Digest.String())
	}
	if len(images) == 0 && arch != "" {
		return nil, nil, fmt.Errorf("%q has no image for %s, only for %s", ref, arch, strings.Join(have, ", "))
	}
	return images, append(digests, ref.DigestStr()), nil
}

// Architecture is the architecture of a platform as users of builds write it:
// linux/x86_64, linux-large/arm64, amd64, or local for this machine's.
func Architecture(platform string) string {
	arch := platform
	if _, after, ok := strings.Cut(platform, "/"); ok {
		arch, _, _ = strings.Cut(after, "/") // without its variant
	}
	switch arch {
	case "local", "localhost":
		return runtime.GOARCH
	case "x86_64":
		return "amd64"
	case "aarch64":
		return "arm64"
	}
	return arch
}
