// Package showsbom is the task show-sbom: it prints the SBOM of an image.
package showsbom

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

// Options are the task's params.
type Options struct {
	ImageURL string
	Platform string // of an index; os/architecture
}

// Command returns the task's command. The document is all that it writes to
// standard output.
func Command() *cobra.Command {
	var opts Options
	cmd := &cobra.Command{
		Use: "show-sbom", Short: "Print what is in an image", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return Run(cmd.Context(), opts, cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.ImageURL, "image-url", "", "Image, with tag or digest")
	f.StringVar(&opts.Platform, "platform", "linux/amd64", "Which image of an index")
	return cmd
}

// Run writes the document that is attached to the image.
func Run(ctx context.Context, opts Options, out io.Writer) error {
	ref, err := oci.Reference(opts.ImageURL)
	if err != nil {
		return &taskcli.UsageError{Flag: "image-url", Problem: err.Error()}
	}
	found, err := remote.Get(ref, oci.Options(ctx)...)
	if err != nil {
		return fmt.Errorf("fetching image %q: %w", ref, oci.Explain(err))
	}
	image := ref.Context().Digest(found.Digest.String())
	if found.MediaType.IsIndex() {
		if image, err = member(found, image, opts.Platform); err != nil {
			return err
		}
	}
	tag := oci.EvidenceTag(image, ".sbom")
	img, err := remote.Image(tag, oci.Options(ctx)...)
	if oci.NotFound(err) {
		return &missingError{image: image.String()}
	}
	if err != nil {
		return fmt.Errorf("fetching the SBOM of %q: %w", image, oci.Explain(err))
	}
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	if len(layers) != 1 {
		return fmt.Errorf("%q holds %d files, and an SBOM is one", tag, len(layers))
	}
	document, err := layers[0].Compressed() // as it is: a file, and no archive
	if err != nil {
		return err
	}
	defer document.Close()
	_, err = io.Copy(out, document)
	return err
}

// member finds the image of an index for a platform.
func member(found *remote.Descriptor, index name.Digest, platform string) (name.Digest, error) {
	want, err := v1.ParsePlatform(platform)
	if err != nil || platform == "" {
		return index, &taskcli.UsageError{Flag: "platform", Problem: fmt.Sprintf("%q is not of the form os/architecture", platform)}
	}
	idx, err := found.ImageIndex()
	if err != nil {
		return index, err
	}
	manifest, err := idx.IndexManifest()
	if err != nil {
		return index, fmt.Errorf("reading index %q: %w", index, err)
	}
	var have []string
	for _, m := range manifest.Manifests {
		if m.Platform == nil {
			continue
		}
		if m.Platform.Satisfies(*want) {
			return index.Context().Digest(m.Digest.String()), nil
		}
		have = append(have, m.Platform.String())
	}
	return index, &taskcli.UsageError{
		Flag: "platform", Problem: fmt.Sprintf("%s has no image for %q", index, platform), Fix: "there are: " + strings.Join(have, ", "),
	}
}

// missingError says that an image has no SBOM.
type missingError struct{ image string }

func (e *missingError) Error() string { return fmt.Sprintf("image %q has no SBOM", e.image) }

// Hint says where one comes from.
func (e *missingError) Hint() string {
	return "the task that builds the image attaches one, unless its param SKIP_SBOM_GENERATION is true"
}
