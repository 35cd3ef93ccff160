package sbom

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/headrace-ci/headrace/pkg/oci"
)

// maxDocument is more than any document has, in bytes.
const maxDocument = 256 << 20

// Listed is a package that a document lists.
type Listed struct {
	PURL  string
	Marks []string // names of what is noted of it, such as that it is a base image
}

// ErrNone says that an image has no document attached.
var ErrNone = errors.New("no SBOM is attached")

// Attached lists the packages of the document attached to an image, in SPDX or
// CycloneDX. Whoever may push to the repository may have written it. The error
// is [ErrNone] when there is none.
func Attached(ctx context.Context, image name.Digest) ([]Listed, error) {
	document, err := remote.Image(oci.EvidenceTag(image, ".sbom"), oci.Options(ctx)...)
	if oci.NotFound(err) {
		return nil, fmt.Errorf("%w to %q", ErrNone, image)
	}
	if err != nil {
		return nil, fmt.Errorf("fetching the SBOM of %q: %w", image, oci.Explain(err))
	}
	layers, err := document.Layers()
	if err != nil || len(layers) == 0 {
		return nil, fmt.Errorf("the SBOM of %q has no layer: %w", image, err)
	}
	content, err := layers[0].Compressed()
	if err != nil {
		return nil, fmt.Errorf("fetching the SBOM of %q: %w", image, err)
	}
	defer content.Close()
	raw, err := io.ReadAll(io.LimitReader(content, maxDocument))
	if err != nil {
		return nil, fmt.Errorf("fetching the SBOM of %q: %w", image, err)
	}
	listed, err := list(raw)
	if err != nil {
		return nil, fmt.Errorf("reading the SBOM of %q: %w", image, err)
	}
	return listed, nil
}

// component is a package in CycloneDX.
type component struct {
	PURL       string
	Properties []struct{ Name string }
	Components []component
}

func list(raw []byte) ([]Listed, error) {
	var doc struct {
		SPDXVersion, BOMFormat string
		Packages               []struct {
			ExternalRefs []struct{ ReferenceType, ReferenceLocator string }
			Annotations  []struct{ Comment string }
		}
		Components  []component
		Formulation []struct{ Components []component }
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, err
	}
	if doc.SPDXVersion == "" && doc.BOMFormat == "" {
		return nil, errors.New("it is neither SPDX nor CycloneDX")
	}
	var all []Listed
	for _, p := range doc.Packages {
		var marks []string
		for _, a := range p.Annotations {
			var mark struct{ Name string }
			if json.Unmarshal([]byte(a.Comment), &mark) == nil && mark.Name != "" {
				marks = append(marks, mark.Name)
			}
		}
		for _, ref := range p.ExternalRefs {
			if ref.ReferenceType == "purl" {
				all = append(all, Listed{ref.ReferenceLocator, marks})
			}
		}
	}
	for _, f := range doc.Formulation {
		all = appendComponents(all, f.Components, 0)
	}
	return appendComponents(all, doc.Components, 0), nil
}

// appendComponents goes no deeper than documents do.
func appendComponents(all []Listed, components []component, depth int) []Listed {
	if depth > 100 {
		return all
	}
	for _, c := range components {
		if c.PURL != "" {
			var marks []string
			for _, p := range c.Properties {
				marks = append(marks, p.Name)
			}
			all = append(all, Listed{c.PURL, marks})
		}
		all = appendComponents(all, c.Components, depth+1)
	}
	return all
}
