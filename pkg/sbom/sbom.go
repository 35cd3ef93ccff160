// Package sbom says what is in an image: it finds packages in its layers,
// merges what a prefetch listed, names the images it was built from, and
// attaches the result, an SPDX 2.3 document in JSON.
//
// It finds packages of Debian, of Alpine and of RPM by their databases, and Go
// modules by what Go binaries say of themselves.
//
// A document is a function of the image: the same image gives the same bytes.
package sbom

import (
	"bytes"
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	spdxjson "github.com/spdx/tools-golang/json"
	spdx "github.com/spdx/tools-golang/spdx/v2/v2_3"

	"github.com/headrace-ci/headrace/pkg/oci"
)

// MediaType is that of the document.
const MediaType types.MediaType = "text/spdx+json"

// Package is something that a document lists.
type Package struct {
	Name, Version string
	PURL          string
	Location      string // file of the image that told, without a leading slash

	// What a package of a distribution was built from, which is what its
	// vulnerabilities are recorded by; "" when it is named like the package.
	Source, SourceVersion string
}

// Encode writes the document.
func Encode(doc *spdx.Document) ([]byte, error) {
	var out bytes.Buffer
	if err := spdxjson.Write(doc, &out); err != nil {
		return nil, fmt.Errorf("writing the SBOM: %w", err)
	}
	return out.Bytes(), nil
}

// Attach pushes the document beside the image, where clients look for one, and
// returns the reference by which it can be fetched and trusted: repository and
// digest of its bytes. The tag can be moved by whoever may push; the
// reference cannot.
func Attach(ctx context.Context, image name.Digest, document []byte) (string, error) {
	layer := static.NewLayer(document, MediaType)
	img, err := mutate.Append(mutate.MediaType(empty.Image, types.OCIManifestSchema1), mutate.Addendum{Layer: layer})
	if err != nil {
		return "", err
	}
	img = mutate.ConfigMediaType(img, types.OCIConfigJSON)
	hash, err := v1.NewHash(image.DigestStr())
	if err != nil {
		return "", err
	}
	tag := image.Context().Tag("sha256-" + hash.Hex + ".sbom")
	if err := remote.Write(tag, img, oci.Options(ctx)...); err != nil {
		return "", fmt.Errorf("pushing the SBOM to %q: %w", tag, oci.Explain(err))
	}
	digest, err := layer.Digest()
	if err != nil {
		return "", err
	}
	return image.Context().Digest(digest.String()).String(), nil
}
