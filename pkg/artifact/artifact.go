// Package artifact passes files from one task to the next through a registry,
// by digest, so that nobody in between can change them: Konflux's trusted
// artifacts.
//
// A URI is oci:<repository>@sha256:<hex>, where the digest is that of the
// archive, a gzipped tar, and not of a manifest. The archives of one call are
// the layers of one manifest, whose tag is only there to keep a registry from
// collecting them.
//
// Archives are streamed: memory does not grow with them. They are kept in a
// temporary file until they are pushed, so the temporary folder must have room
// for one.
package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/headrace-ci/headrace/pkg/oci"
)

const (
	scheme       = "oci:"
	artifactType = "application/vnd.unknown.artifact.v1"
	layerType    = "application/vnd.oci.image.layer.v1.tar"
	titleKey     = "org.opencontainers.image.title"
	expiresKey   = "quay.expires-after"

	// skipFile in a folder says that the folder is shared by other means: it
	// is neither archived nor unpacked over.
	skipFile = ".skip-trusted-artifacts"
)

// CreateOptions say what to archive and where to keep it.
type CreateOptions struct {
	Store        string            // repository and tag
	Paths        map[string]string // result name to the folder or file it stands for
	ExpiresAfter string            // such as 5d, for registries that expire; "" for never
}

// Create archives every path, pushes the archives and returns the URI of each
// by result name.
func Create(ctx context.Context, opts CreateOptions) (map[string]string, error) {
	tag, err := name.NewTag(opts.Store, name.StrictValidation)
	if err != nil {
		return nil, fmt.Errorf("artifact store %q: %w", opts.Store, err)
	}
	uris := map[string]string{}
	var layers []mutate.Addendum
	for _, result := range slices.Sorted(maps.Keys(opts.Paths)) {
		source := opts.Paths[result]
		if skipped(source) {
			slog.InfoContext(ctx, "folder is shared by other means", "path", source)
			uris[result] = ""
			continue
		}
		l, err := archive(source)
		if err != nil {
			return nil, err
		}
		defer os.Remove(l.file)
		layers = append(layers, mutate.Addendum{Layer: l, Annotations: map[string]string{titleKey: result}})
		uris[result] = scheme + tag.Repository.Digest(l.digest.String()).String()
	}
	if len(layers) == 0 {
		return uris, nil
	}
	img, err := mutate.Append(mutate.MediaType(empty.Image, types.OCIManifestSchema1), layers...)
	if err != nil {
		return nil, err
	}
	img = mutate.ConfigMediaType(img, artifactType)
	if opts.ExpiresAfter != "" {
		img = mutate.Annotations(img, map[string]string{expiresKey: opts.ExpiresAfter}).(v1.Image)
	}
	if err := remote.Write(tag, img, oci.Options(ctx)...); err != nil {
		return nil, fmt.Errorf("pushing artifacts to %q: %w", opts.Store, oci.Explain(err))
	}
	return uris, nil
}

// Use fetches the archive that uri names, checks it against its digest and
// unpacks it into dest. An empty uri is nothing to fetch.
func Use(ctx context.Context, uri, dest string) error {
	if uri == "" {
		slog.WarnContext(ctx, "no artifact to use", "destination", dest)
		return nil
	}
	ref, err := Parse(uri)
	if err != nil {
		return err
	}
	if abs, err := filepath.Abs(dest); err != nil || abs == "/" {
		return fmt.Errorf("artifact destination %q is the root of the file system", dest)
	}
	if skipped(dest) {
		slog.InfoContext(ctx, "folder is shared by other means", "path", dest)
		return nil
	}
	layer, err := remote.Layer(ref, oci.Options(ctx)...)
	if err != nil {
		return fmt.Errorf("fetching artifact %q: %w", uri, oci.Explain(err))
	}
	// The stream is checked against the digest as it is read: its last read
	// fails when they differ.
	stream, err := layer.Compressed()
	if err != nil {
		return fmt.Errorf("fetching artifact %q: %w", uri, oci.Explain(err))
	}
	defer stream.Close()
	if err := unpack(stream, dest); err != nil {
		return fmt.Errorf("unpacking artifact %q: %w", uri, err)
	}
	if _, err := io.Copy(io.Discard, stream); err != nil {
		return fmt.Errorf("fetching artifact %q: %w", uri, err)
	}
	return nil
}

// Parse reads a URI.
func Parse(uri string) (name.Digest, error) {
	rest, ok := strings.CutPrefix(uri, scheme)
	if !ok {
		return name.Digest{}, fmt.Errorf("artifact %q: want %s<repository>@sha256:<digest>", uri, scheme)
	}
	ref, err := name.NewDigest(rest, name.StrictValidation)
	if err != nil {
		return name.Digest{}, fmt.Errorf("artifact %q: %w", uri, err)
	}
	return ref, nil
}

func skipped(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, skipFile))
	return err == nil
}

// layer is an archive in a temporary file.
type layer struct {
	file   string
	digest v1.Hash
	size   int64
}

func archive(source string) (*layer, error) {
	out, err := os.CreateTemp("", "artifact-*.tar.gz")
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	err = pack(io.MultiWriter(out, sum), source)
	info, serr := out.Stat()
	if err = errors.Join(err, serr, out.Close()); err != nil {
		return nil, errors.Join(err, removeIfThere(out.Name()))
	}
	hash := v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}
	return &layer{file: out.Name(), digest: hash, size: info.Size()}, nil
}

func removeIfThere(file string) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (l *layer) Digest() (v1.Hash, error)             { return l.digest, nil }
func (l *layer) DiffID() (v1.Hash, error)             { return l.digest, nil } // no config tells them apart
func (l *layer) Compressed() (io.ReadCloser, error)   { return os.Open(l.file) }
func (l *layer) Uncompressed() (io.ReadCloser, error) { return os.Open(l.file) }
func (l *layer) Size() (int64, error)                 { return l.size, nil }
func (l *layer) MediaType() (types.MediaType, error)  { return layerType, nil }
