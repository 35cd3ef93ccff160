// Package bundle packs Tekton objects into OCI images, which Tekton's bundles
// resolver reads them from.
//
// The form is that of tektoncd/pipeline's tekton-bundle-contracts: a layer an
// object, each a tar of one file, with annotations that name the object. The
// same objects give the same bytes: no time, no owner, no path of this machine
// goes in.
package bundle

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"sigs.k8s.io/yaml"

	"github.com/headrace-ci/headrace/pkg/oci"
)

// maxObjects is what the resolver takes.
const maxObjects = 20

// Annotations of a layer, by which the resolver finds an object.
const (
	kindKey       = "dev.tekton.image.kind"
	apiVersionKey = "dev.tekton.image.apiVersion"
	nameKey       = "dev.tekton.image.name"
)

// VersionKey is the manifest's annotation that policies read a version from.
const VersionKey = "org.opencontainers.image.version"

// Object is a Tekton object as YAML or JSON.
type Object struct {
	APIVersion string // such as tekton.dev/v1
	Kind       string // such as Task
	Name       string
	Raw        []byte
}

// Image packs objects.
func Image(objects []Object, annotations map[string]string) (v1.Image, error) {
	if len(objects) == 0 || len(objects) > maxObjects {
		return nil, fmt.Errorf("a bundle holds 1 to %d objects, not %d", maxObjects, len(objects))
	}
	var layers []mutate.Addendum
	for _, o := range objects {
		layer, err := o.layer()
		if err != nil {
			return nil, fmt.Errorf("packing %s %q: %w", o.Kind, o.Name, err)
		}
		layers = append(layers, mutate.Addendum{Layer: layer, Annotations: map[string]string{
			kindKey: strings.ToLower(o.Kind), apiVersionKey: strings.TrimPrefix(o.APIVersion, "tekton.dev/"), nameKey: o.Name,
		}})
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err := mutate.Append(img, layers...)
	if err != nil {
		return nil, err
	}
	return mutate.Annotations(img, annotations).(v1.Image), nil
}

func (o Object) layer() (v1.Layer, error) {
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	header := &tar.Header{Typeflag: tar.TypeReg, Name: o.Name, Mode: 0o600, Size: int64(len(o.Raw))}
	if err := tw.WriteHeader(header); err != nil {
		return nil, err
	}
	if _, err := tw.Write(o.Raw); err != nil {
		return nil, err
	}
	if err := tw.Close(); err != nil {
		return nil, err
	}
	raw := buf.Bytes()
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(raw)), nil
	}, tarball.WithMediaType(types.OCILayer))
}

// Push writes a bundle to every tag of a repository that does not have it yet,
// and returns its digest and whether anything was written.
func Push(ctx context.Context, repository string, tags []string, img v1.Image) (ref name.Digest, changed bool, err error) {
	repo, err := name.NewRepository(repository)
	if err != nil {
		return ref, false, fmt.Errorf("bundle repository %q: %w", repository, err)
	}
	digest, err := img.Digest()
	if err != nil {
		return ref, false, err
	}
	ref = repo.Digest(digest.String())
	for _, t := range tags {
		found, err := remote.Head(repo.Tag(t), oci.Options(ctx)...)
		if err == nil && found.Digest == digest {
			continue
		}
		if err != nil && !oci.NotFound(err) {
			return ref, changed, fmt.Errorf("looking for %s: %w", repo.Tag(t), oci.Explain(err))
		}
		if err := remote.Write(repo.Tag(t), img, oci.Options(ctx)...); err != nil {
			return ref, changed, fmt.Errorf("pushing %s: %w", repo.Tag(t), oci.Explain(err))
		}
		changed = true
	}
	return ref, changed, nil
}

// Read returns the objects of a bundle.
func Read(ctx context.Context, reference string) ([]Object, error) {
	ref, err := oci.Reference(reference)
	if err != nil {
		return nil, err
	}
	img, err := remote.Image(ref, oci.Options(ctx)...)
	if err != nil {
		return nil, fmt.Errorf("reading bundle %s: %w", ref, oci.Explain(err))
	}
	manifest, err := img.Manifest()
	if err != nil {
		return nil, err
	}
	layers, err := img.Layers()
	if err != nil {
		return nil, err
	}
	var objects []Object
	for i, layer := range layers {
		o, err := readLayer(layer)
		if err != nil {
			return nil, fmt.Errorf("reading bundle %s, layer %d: %w", ref, i, err)
		}
		if annotated := manifest.Layers[i].Annotations[nameKey]; annotated != o.Name {
			return nil, fmt.Errorf("reading bundle %s, layer %d: it is annotated %q and holds %q", ref, i, annotated, o.Name)
		}
		objects = append(objects, o)
	}
	return objects, nil
}

func readLayer(layer v1.Layer) (Object, error) {
	stream, err := layer.Uncompressed()
	if err != nil {
		return Object{}, err
	}
	defer stream.Close()
	tr := tar.NewReader(stream)
	if _, err := tr.Next(); err != nil {
		return Object{}, err
	}
	raw, err := io.ReadAll(tr)
	if err != nil {
		return Object{}, err
	}
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct {
			Name string `json:"name"`
		} `json:"metadata"`
	}
	if err := yaml.Unmarshal(raw, &head); err != nil {
		return Object{}, err
	}
	return Object{APIVersion: head.APIVersion, Kind: head.Kind, Name: head.Metadata.Name, Raw: raw}, nil
}
