package verifyconforma

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/oci"
)

const titleKey = "org.opencontainers.image.title"

// maxSourceFile bounds a file of rules or data, in bytes.
const maxSourceFile = 64 << 20

// localize fetches the rules and data that are kept in registries, and makes
// the policy refer to the files: ec would fetch them over plain HTTP, and
// without the certificates and logins that everything else here goes by. Other
// kinds of URLs are ec's to fetch.
func localize(ctx context.Context, policy *v1alpha1.EnterpriseContractPolicySpec, dir string) error {
	fetched := 0
	for i := range policy.Sources {
		source := &policy.Sources[i]
		for _, urls := range [][]string{source.Policy, source.Data} {
			for j, url := range urls {
				reference, ok := strings.CutPrefix(url, "oci::")
				if !ok {
					continue
				}
				into := filepath.Join(dir, "sources", fmt.Sprint(fetched))
				fetched++
				if err := fetch(ctx, strings.TrimPrefix(reference, "https://"), into); err != nil {
					return fmt.Errorf("fetching policy source %q: %w", url, err)
				}
				urls[j] = "file::" + into
			}
		}
	}
	return nil
}

// fetch writes the layers of an artifact below dir, each under its title.
func fetch(ctx context.Context, reference, dir string) error {
	ref, err := oci.Reference(reference)
	if err != nil {
		return err
	}
	img, err := remote.Image(ref, oci.Options(ctx)...)
	if err != nil {
		return oci.Explain(err)
	}
	manifest, err := img.Manifest()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, descriptor := range manifest.Layers {
		title := path.Clean(descriptor.Annotations[titleKey])
		if !filepath.IsLocal(title) || title == "." {
			return fmt.Errorf("a layer is titled %q, which is not a file below the source", descriptor.Annotations[titleKey])
		}
		if err := writeLayer(root, img, descriptor, title); err != nil {
			return fmt.Errorf("file %q: %w", title, err)
		}
	}
	return nil
}

func writeLayer(root *os.Root, img v1.Image, descriptor v1.Descriptor, title string) error {
	if descriptor.Size > maxSourceFile {
		return fmt.Errorf("is %d bytes, more than %d", descriptor.Size, maxSourceFile)
	}
	layer, err := img.LayerByDigest(descriptor.Digest)
	if err != nil {
		return err
	}
	content, err := layer.Compressed() // as it is: a file, and no archive
	if err != nil {
		return oci.Explain(err)
	}
	defer content.Close()
	if err := root.MkdirAll(path.Dir(title), 0o755); err != nil {
		return err
	}
	file, err := root.Create(title)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}
