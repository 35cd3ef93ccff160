package sourcebuild

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/package-url/packageurl-go"

	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

// vendors publish the sources of their images at <version>-<release>-source,
// signed; others where this task puts them.
var vendors = []string{"registry.access.redhat.com", "registry.redhat.io"}

const (
	markBase = "konflux:container:is_base_image"
	maxSBOM  = 256 << 20 // bytes
)

// baseImage is the image that the last stage started from; "" for none.
func baseImage(ctx context.Context, image name.Digest, given string) (string, error) {
	if last := lastLine(given); last != "" {
		if _, err := oci.Reference(last); err != nil {
			return "", &taskcli.UsageError{Flag: "base-images", Problem: err.Error()}
		}
		return last, nil
	}
	document, err := sbomOf(ctx, image)
	if oci.NotFound(err) {
		slog.WarnContext(ctx, "the image has no SBOM to find its base image in; its base's sources are left out", "image", image.String())
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading the SBOM of %q: %w", image, oci.Explain(err))
	}
	base, err := markedBase(document)
	if errors.Is(err, errNoBase) {
		return "", nil
	}
	return base, err
}

// sbomOf reads the SBOM of an image, or of the first image of an index: they
// are built from like bases.
func sbomOf(ctx context.Context, image name.Digest) ([]byte, error) {
	found, err := remote.Get(image, oci.Options(ctx)...)
	if err != nil {
		return nil, err
	}
	if found.MediaType.IsIndex() {
		index, err := found.ImageIndex()
		if err != nil {
			return nil, err
		}
		manifest, err := index.IndexManifest()
		if err != nil {
			return nil, err
		}
		for _, m := range manifest.Manifests {
			if m.MediaType.IsImage() {
				image = image.Context().Digest(m.Digest.String())
				break
			}
		}
	}
	img, err := remote.Image(oci.EvidenceTag(image, ".sbom"), oci.Options(ctx)...)
	if err != nil {
		return nil, err
	}
	layers, err := img.Layers()
	if err != nil || len(layers) == 0 {
		return nil, err
	}
	content, err := layers[0].Compressed() // as it is: a file, and no archive
	if err != nil {
		return nil, err
	}
	defer content.Close()
	return io.ReadAll(io.LimitReader(content, maxSBOM))
}

// markedBase finds the base image in an SBOM, in SPDX or in CycloneDX.
func markedBase(document []byte) (string, error) {
	type mark struct {
		Name string `json:"name"`
	}
	var sbom struct {
		Packages []struct {
			Annotations []struct {
				Comment string `json:"comment"`
			} `json:"annotations"`
			ExternalRefs []struct {
				Type    string `json:"referenceType"`
				Locator string `json:"referenceLocator"`
			} `json:"externalRefs"`
		} `json:"packages"`
		Formulation []struct {
			Components []struct {
				PURL       string `json:"purl"`
				Properties []mark `json:"properties"`
			} `json:"components"`
		} `json:"formulation"`
	}
	if len(document) == 0 {
		return "", errNoBase
	}
	if err := json.Unmarshal(document, &sbom); err != nil {
		return "", fmt.Errorf("the SBOM is not JSON: %w", err)
	}
	for _, p := range sbom.Packages {
		for _, a := range p.Annotations {
			var m mark
			if json.Unmarshal([]byte(a.Comment), &m) != nil || m.Name != markBase {
				continue
			}
			for _, ref := range p.ExternalRefs {
				if ref.Type == "purl" {
					return fromPURL(ref.Locator)
				}
			}
		}
	}
	for _, f := range sbom.Formulation {
		for _, c := range f.Components {
			if slices.ContainsFunc(c.Properties, func(m mark) bool { return m.Name == markBase }) {
				return fromPURL(c.PURL)
			}
		}
	}
	return "", errNoBase
}

// fromPURL is the image that a package URL of type oci names.
func fromPURL(text string) (string, error) {
	purl, err := packageurl.FromString(text)
	if err != nil {
		return "", fmt.Errorf("the SBOM names its base image %q: %w", text, err)
	}
	repository := purl.Qualifiers.Map()["repository_url"]
	if purl.Type != "oci" || repository == "" || purl.Version == "" {
		return "", fmt.Errorf("the SBOM names its base image %q: want pkg:oci/<name>@<digest>?repository_url=<repository>", text)
	}
	return repository + "@" + purl.Version, nil
}

// parentLayers are the layers of the base image's source image; none without
// one.
func parentLayers(ctx context.Context, base string, unsigned bool) ([]v1.Layer, error) {
	if base == "" {
		return nil, nil
	}
	ref, err := name.NewDigest(base)
	if err != nil {
		if ref, err = oci.Digest(ctx, base); err != nil {
			return nil, fmt.Errorf("base image: %w", err)
		}
	}
	tag, vendor := oci.EvidenceTag(ref, sourceTag), slices.Contains(vendors, ref.RegistryStr())
	if vendor {
		if tag, err = vendorTag(ctx, ref); err != nil {
			return nil, err
		}
	}
	img, err := remote.Image(tag, oci.Options(ctx)...)
	if oci.NotFound(err) {
		slog.WarnContext(ctx, "the base image has no source image; its sources are left out", "base", base, "source", tag.String())
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("fetching the sources of the base image, %q: %w", tag, oci.Explain(err))
	}
	if vendor && !unsigned {
		if err := checkSigned(ctx, tag, img); err != nil {
			return nil, err
		}
	}
	return img.Layers()
}

// vendorTag is where a vendor publishes the sources of an image.
func vendorTag(ctx context.Context, image name.Digest) (name.Tag, error) {
	img, err := remote.Image(image, oci.Options(ctx)...)
	if err != nil {
		return name.Tag{}, fmt.Errorf("fetching base image %q: %w", image, oci.Explain(err))
	}
	config, err := img.ConfigFile()
	if err != nil {
		return name.Tag{}, err
	}
	version, release := config.Config.Labels["version"], config.Config.Labels["release"]
	if version == "" || release == "" {
		return name.Tag{}, fmt.Errorf("base image %q has no labels version and release to find its sources by", image)
	}
	return image.Context().Tag(version + "-" + release + "-source"), nil
}

func checkSigned(ctx context.Context, tag name.Tag, img v1.Image) error {
	digest, err := img.Digest()
	if err != nil {
		return err
	}
	_, err = remote.Head(oci.EvidenceTag(tag.Context().Digest(digest.String()), ".sig"), oci.Options(ctx)...)
	if oci.NotFound(err) {
		return &unsignedError{image: tag.String()}
	}
	if err != nil {
		return fmt.Errorf("looking for the signature of %q: %w", tag, oci.Explain(err))
	}
	return nil
}

// contentOf tells which archive a layer of a source image holds: its blob and
// its name.
func contentOf(layer v1.Layer) (string, error) {
	stream, err := layer.Uncompressed()
	if err != nil {
		return "", err
	}
	defer stream.Close()
	blob, link := "", ""
	for tr := tar.NewReader(stream); ; {
		header, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return blob + " " + link, nil
		}
		if err != nil {
			return "", err
		}
		file := path.Clean(header.Name)
		switch {
		case header.Typeflag == tar.TypeReg && strings.HasPrefix(file, blobDir):
			blob = path.Base(file)
		case header.Typeflag == tar.TypeSymlink:
			link = file
		}
	}
}
