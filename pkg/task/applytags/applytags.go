// Package applytags is the task apply-tags: more tags for an image, given ones
// and those that a label of the image asks for.
package applytags

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

// Options are the task's params.
type Options struct {
	ImageURL, ImageDigest string
	FromLabel             string // name of a label with tags; "" for none
	Tags                  []string
}

// Command returns the task's command.
func Command() *cobra.Command {
	var opts Options
	cmd := &cobra.Command{
		Use: "apply-tags -- TAG...", Short: "Give an image more tags",
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Tags = args
			_, err := Run(cmd.Context(), opts)
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.ImageURL, "image-url", "", "Image to tag: repository and tag")
	f.StringVar(&opts.ImageDigest, "image-digest", "", "Digest of the image")
	f.StringVar(&opts.FromLabel, "additional-tags-from-label", "konflux.additional-tags", "Label of the image with more tags, separated by commas or spaces; none when empty")
	return cmd
}

// Run tags the image, and returns the tags it has now by this. What a tag
// already names is left alone, so doing it again changes nothing.
func Run(ctx context.Context, opts Options) ([]string, error) {
	image, err := oci.WithDigest(opts.ImageURL, opts.ImageDigest)
	if err != nil {
		return nil, &taskcli.UsageError{Flag: "image-url", Problem: err.Error(), Fix: "give results IMAGE_URL and IMAGE_DIGEST of the build"}
	}
	if err := check("additional-tags", image.Context(), opts.Tags); err != nil {
		return nil, err
	}
	found, err := remote.Get(image, oci.Options(ctx)...)
	if err != nil {
		return nil, fmt.Errorf("fetching image %q: %w", image, oci.Explain(err))
	}
	tags := opts.Tags
	if opts.FromLabel != "" {
		more, err := fromLabel(ctx, found, opts.FromLabel)
		if err != nil {
			return nil, fmt.Errorf("reading label %q of %q: %w", opts.FromLabel, image, err)
		}
		if err := check("additional-tags-from-label", image.Context(), more); err != nil {
			return nil, err
		}
		tags = append(slices.Clone(tags), more...)
	}
	slices.Sort(tags)
	tags = slices.Compact(tags)
	for _, tag := range tags {
		if err := apply(ctx, image.Context().Tag(tag), found); err != nil {
			return nil, err
		}
	}
	return tags, nil
}

func apply(ctx context.Context, tag name.Tag, image *remote.Descriptor) error {
	there, err := remote.Head(tag, oci.Options(ctx)...)
	if err == nil && there.Digest == image.Digest {
		return nil
	}
	if err := remote.Tag(tag, image, oci.Options(ctx)...); err != nil {
		return fmt.Errorf("tagging %q: %w", tag, oci.Explain(err))
	}
	slog.InfoContext(ctx, "tagged", "image", tag.String(), "digest", image.Digest.String())
	return nil
}

var tagForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)

// check refuses what is no tag, before any is set.
func check(flag string, repo name.Repository, tags []string) error {
	for _, tag := range tags {
		if !tagForm.MatchString(tag) {
			return &taskcli.UsageError{
				Flag: flag, Problem: fmt.Sprintf("%.140q is not a tag that %s can have", tag, repo),
				Fix: "a tag has up to 128 letters, digits, '_', '.' and '-', and begins with none of the last two",
			}
		}
	}
	return nil
}

// fromLabel reads tags from the label of an image, or of the first image of an
// index: those are built from one source and have the same labels.
func fromLabel(ctx context.Context, found *remote.Descriptor, label string) ([]string, error) {
	img, err := first(found)
	if err != nil {
		return nil, err
	}
	if img == nil {
		slog.WarnContext(ctx, "the index holds no image that could have a label", "label", label)
		return nil, nil
	}
	manifest, err := img.Manifest()
	if err != nil {
		return nil, err
	}
	if t := manifest.Config.MediaType; t != types.OCIConfigJSON && t != types.DockerConfigJSON {
		slog.WarnContext(ctx, "this kind of image has no labels", "config", string(t), "label", label)
		return nil, nil
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	return strings.FieldsFunc(config.Config.Labels[label], func(r rune) bool {
		return r == ',' || r == ' ' || r == '\t' || r == '\n' || r == '\r'
	}), nil
}

func first(found *remote.Descriptor) (v1.Image, error) {
	if !found.MediaType.IsIndex() {
		return found.Image()
	}
	index, err := found.ImageIndex()
	if err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	for _, member := range manifest.Manifests {
		if member.MediaType.IsImage() {
			return index.Image(member.Digest)
		}
	}
	return nil, nil
}
