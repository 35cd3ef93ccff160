//go:build linux

package build

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/headrace-ci/headrace/pkg/oci"
)

// unpack makes dir hold what a container of the image sees, and returns the
// image's settings.
func unpack(ctx context.Context, image, dir string) (v1.Config, error) {
	ref, err := oci.Reference(image)
	if err != nil {
		return v1.Config{}, err
	}
	img, err := remote.Image(ref, oci.Options(ctx)...)
	if err != nil {
		return v1.Config{}, fmt.Errorf("fetching %q: %w", image, err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		return v1.Config{}, fmt.Errorf("reading %q: %w", image, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return v1.Config{}, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return v1.Config{}, err
	}
	defer root.Close()
	content := mutate.Extract(img)
	defer content.Close()
	if err := untar(root, content); err != nil {
		return v1.Config{}, fmt.Errorf("unpacking %q: %w", image, err)
	}
	return config.Config, nil
}

// untar unpacks what step images hold: folders, files and links. Nothing gets
// out of root.
func untar(root *os.Root, content io.Reader) error {
	reader := tar.NewReader(content)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := path.Clean(strings.TrimPrefix(header.Name, "/"))
		if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
			return err
		}
		switch header.Typeflag {
		case tar.TypeDir:
			err = root.MkdirAll(name, 0o755)
		case tar.TypeReg:
			err = write(root, name, os.FileMode(header.Mode).Perm(), reader)
		case tar.TypeSymlink:
			err = root.Symlink(header.Linkname, name)
		case tar.TypeLink:
			err = root.Link(path.Clean(strings.TrimPrefix(header.Linkname, "/")), name)
		default:
			err = fmt.Errorf("%q is of type %q", header.Name, header.Typeflag)
		}
		if err != nil {
			return err
		}
	}
}

func write(root *os.Root, name string, mode os.FileMode, content io.Reader) error {
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}
