package install

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/headrace-ci/headrace/pkg/oci"
)

// baseName is the image below every program's image.
const baseName = "/platform/base:1"

// ensureBase returns the base image's reference by digest. It is made where
// the registry has none: static programs need a user, certificates and /tmp,
// and no registry to pull those from.
func (in *Installer) ensureBase(ctx context.Context) (string, error) {
	tag := in.Registry + baseName
	ref, err := oci.Reference(tag)
	if err != nil {
		return "", err
	}
	found, err := remote.Head(ref, oci.Options(ctx)...)
	if err == nil {
		return ref.Context().Digest(found.Digest.String()).String(), nil
	}
	if !absent(err) {
		return "", fmt.Errorf("looking for the base image %s: %w", tag, err)
	}
	img, err := baseImage(in.Arch)
	if err != nil {
		return "", fmt.Errorf("making the base image: %w", err)
	}
	if err := remote.Write(ref, img, oci.Options(ctx)...); err != nil {
		return "", fmt.Errorf("pushing the base image %s: %w", tag, err)
	}
	digest, err := img.Digest()
	if err != nil {
		return "", err
	}
	in.progress.say("made the base image %s", tag)
	return ref.Context().Digest(digest.String()).String(), nil
}

// absent reports whether the registry answered that it has no such thing.
func absent(err error) bool {
	var failure *transport.Error
	return errors.As(err, &failure) && failure.StatusCode == http.StatusNotFound
}

// present reports whether the registry has the image.
func present(ctx context.Context, ref name.Digest) (bool, error) {
	_, err := remote.Head(ref, oci.Options(ctx)...)
	if err == nil {
		return true, nil
	}
	if absent(err) {
		return false, nil
	}
	return false, err
}

func baseImage(arch string) (v1.Image, error) {
	certificates, err := os.ReadFile(systemCertificates)
	if err != nil {
		return nil, fmt.Errorf("reading the system's certificates (Debian: apt-get install ca-certificates): %w", err)
	}
	var content bytes.Buffer
	w := tar.NewWriter(&content)
	for _, entry := range []struct {
		tar.Header
		content string
	}{
		{tar.Header{Typeflag: tar.TypeDir, Name: "etc/", Mode: 0o755}, ""},
		{tar.Header{Name: "etc/group", Mode: 0o644}, "root:x:0:\nnonroot:x:65532:\n"},
		{tar.Header{Name: "etc/passwd", Mode: 0o644}, "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"},
		{tar.Header{Typeflag: tar.TypeDir, Name: "etc/ssl/", Mode: 0o755}, ""},
		{tar.Header{Typeflag: tar.TypeDir, Name: "etc/ssl/certs/", Mode: 0o755}, ""},
		{tar.Header{Name: systemCertificates[1:], Mode: 0o644}, string(certificates)},
		{tar.Header{Typeflag: tar.TypeDir, Name: "home/", Mode: 0o755}, ""},
		{tar.Header{Typeflag: tar.TypeDir, Name: "home/nonroot/", Mode: 0o700, Uid: 65532, Gid: 65532}, ""},
		{tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}, ""},
	} {
		entry.Size = int64(len(entry.content))
		if err := w.WriteHeader(&entry.Header); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(w, entry.content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err = mutate.ConfigFile(img, &v1.ConfigFile{OS: "linux", Architecture: arch, Config: v1.Config{
		User: "65532:65532", WorkingDir: "/", Env: []string{"PATH=/ko-app:/usr/bin:/bin"},
	}})
	if err != nil {
		return nil, err
	}
	return mutate.AppendLayers(img, layer)
}
