package oci

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// evidenceSuffixes end the tags under which cosign keeps what belongs to a
// digest: signatures, attestations, an SBOM.
var evidenceSuffixes = []string{".sig", ".att", ".sbom"}

// evidenceTypes begin the types of referrers that are evidence of the same
// kinds. Reports of scans, which are referrers too, are the builder's own.
var evidenceTypes = []string{
	"application/vnd.dev.sigstore.", "application/vnd.dev.cosign.", "application/spdx", "application/vnd.cyclonedx",
}

// EvidenceTag is the tag under which cosign keeps one kind of evidence.
func EvidenceTag(image name.Digest, suffix string) name.Tag {
	return image.Context().Tag(strings.Replace(image.DigestStr(), ":", "-", 1) + suffix)
}

// Copy copies an image, or an index with its images, to another repository,
// with the evidence of each. Evidence goes first, and nothing is tagged: so
// nobody finds the image before its signatures.
func Copy(ctx context.Context, from name.Digest, to name.Repository) error {
	digests, err := Manifests(ctx, from)
	if err != nil {
		return err
	}
	for _, digest := range digests {
		if err := copyEvidence(ctx, digest, to); err != nil {
			return fmt.Errorf("copying the evidence of %q: %w", digest, Explain(err))
		}
	}
	if err := move(ctx, from, to.Digest(from.DigestStr())); err != nil {
		return fmt.Errorf("copying %q to %q: %w", from, to, Explain(err))
	}
	return nil
}

// Manifests are the digests that an image consists of: its own first, and
// those of its images if it is an index.
func Manifests(ctx context.Context, image name.Digest) ([]name.Digest, error) {
	desc, err := remote.Get(image, Options(ctx)...)
	if err != nil {
		return nil, fmt.Errorf("fetching %q: %w", image, Explain(err))
	}
	digests := []name.Digest{image}
	if !desc.MediaType.IsIndex() {
		return digests, nil
	}
	index, err := desc.ImageIndex()
	if err != nil {
		return nil, fmt.Errorf("fetching %q: %w", image, err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("fetching %q: %w", image, err)
	}
	for _, child := range manifest.Manifests {
		digests = append(digests, image.Context().Digest(child.Digest.String()))
	}
	return digests, nil
}

// Tag gives an image a tag in its repository.
func Tag(ctx context.Context, image name.Digest, tag string) error {
	desc, err := remote.Get(image, Options(ctx)...)
	if err == nil {
		err = remote.Tag(image.Context().Tag(tag), desc, Options(ctx)...)
	}
	if err != nil {
		return fmt.Errorf("tagging %q as %q: %w", image, tag, Explain(err))
	}
	return nil
}

// move copies a manifest and everything it consists of.
func move(ctx context.Context, from, to name.Reference) error {
	puller, err := remote.NewPuller(Options(ctx)...)
	if err != nil {
		return err
	}
	desc, err := puller.Get(ctx, from)
	if err != nil {
		return err
	}
	pusher, err := remote.NewPusher(Options(ctx)...)
	if err != nil {
		return err
	}
	return pusher.Push(ctx, to, desc)
}

func copyEvidence(ctx context.Context, from name.Digest, to name.Repository) error {
	target := to.Digest(from.DigestStr())
	for _, suffix := range evidenceSuffixes {
		if err := mergeEvidence(ctx, EvidenceTag(from, suffix), EvidenceTag(target, suffix)); err != nil {
			return err
		}
	}
	referrers, err := remote.Referrers(from, Options(ctx)...)
	if err != nil {
		return err
	}
	index, err := referrers.IndexManifest()
	if err != nil {
		return err
	}
	for _, referrer := range index.Manifests {
		evidence := slices.ContainsFunc(evidenceTypes, func(prefix string) bool { return strings.HasPrefix(referrer.ArtifactType, prefix) })
		if !evidence {
			continue
		}
		if err := move(ctx, from.Context().Digest(referrer.Digest.String()), to.Digest(referrer.Digest.String())); err != nil {
			return err
		}
	}
	return nil
}

// mergeEvidence copies a list of signatures, and keeps those that the
// destination has besides: they may be made where the image is released.
func mergeEvidence(ctx context.Context, from, to name.Tag) error {
	source, err := remote.Image(from, Options(ctx)...)
	if NotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	existing, err := remote.Image(to, Options(ctx)...)
	if NotFound(err) {
		return move(ctx, from, to)
	}
	if err != nil {
		return err
	}
	missing, err := missingLayers(source, existing)
	if err != nil || len(missing) == 0 {
		return err
	}
	merged, err := mutate.Append(existing, missing...)
	if err != nil {
		return err
	}
	return remote.Write(to, merged, Options(ctx)...)
}

// missingLayers are the layers of source that existing lacks. Two signatures
// of the same content differ in their annotations alone.
func missingLayers(source, existing v1.Image) ([]mutate.Addendum, error) {
	have, err := existing.Manifest()
	if err != nil {
		return nil, err
	}
	want, err := source.Manifest()
	if err != nil {
		return nil, err
	}
	layers, err := source.Layers()
	if err != nil {
		return nil, err
	}
	if len(layers) != len(want.Layers) {
		return nil, errors.New("the evidence's manifest is not consistent")
	}
	var missing []mutate.Addendum
	for i, layer := range want.Layers {
		if !slices.ContainsFunc(have.Layers, func(h v1.Descriptor) bool { return sameSignature(h, layer) }) {
			missing = append(missing, mutate.Addendum{Layer: layers[i], Annotations: layer.Annotations, MediaType: layer.MediaType})
		}
	}
	return missing, nil
}

func sameSignature(a, b v1.Descriptor) bool {
	return a.Digest == b.Digest && a.Annotations[SignatureKey] == b.Annotations[SignatureKey]
}

// What cosign's lists of signatures are made of.
const (
	SignatureKey  = "dev.cosignproject.cosign/signature"
	SignatureType = types.MediaType("application/vnd.dev.cosign.simplesigning.v1+json")
)

// AppendSignature adds a signature of payload to those that an image has. One
// writer at a time: the list is read, and written as a whole.
func AppendSignature(ctx context.Context, image name.Digest, add mutate.Addendum) error {
	tag := EvidenceTag(image, ".sig")
	list, err := remote.Image(tag, Options(ctx)...)
	if NotFound(err) {
		list, err = mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), nil
	}
	if err == nil {
		list, err = mutate.Append(list, add)
	}
	if err == nil {
		err = remote.Write(tag, list, Options(ctx)...)
	}
	if err != nil {
		return fmt.Errorf("adding a signature to %q: %w", image, Explain(err))
	}
	return nil
}
