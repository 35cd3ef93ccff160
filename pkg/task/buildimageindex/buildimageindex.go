// Package buildimageindex is the task build-image-index: one index of the
// images that a build made for several platforms, or the one image itself.
package buildimageindex

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/sbom"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/result"
)

// Options are the task's params.
type Options struct {
	Image            string // repository and tag to push to
	TaskRunName      string // second tag; "" for none
	AlwaysBuildIndex bool
	BuildahFormat    string // oci or docker
	TLSVerify        bool
	StorageDriver    string // of upstream's tool; nothing is stored here
	SkipValidation   bool   // of an SBOM, which is made by a library that writes valid ones only
	Images           []string
}

// Command returns the task's command.
func Command() *cobra.Command {
	var opts Options
	var results result.Writer
	cmd := &cobra.Command{
		Use: "build-image-index -- IMAGE...", Short: "Make one index of images", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Images = args
			values, err := Run(cmd.Context(), opts)
			if err != nil {
				return err
			}
			return results.Write(values)
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.Image, "image", "", "Repository and tag to push the index to")
	f.StringVar(&opts.TaskRunName, "task-run-name", "", "Second tag to push to, which keeps the index when the first moves")
	f.BoolVar(&opts.AlwaysBuildIndex, "always-build-index", true, "Make an index also of one image")
	f.StringVar(&opts.BuildahFormat, "buildah-format", "oci", "Media types of the index and its members: oci or docker")
	f.BoolVar(&opts.TLSVerify, "tlsverify", true, "Check the registry's certificate; cannot be switched off")
	f.StringVar(&opts.StorageDriver, "storage-driver", "vfs", "How layers are kept: overlay or vfs; none are kept")
	f.BoolVar(&opts.SkipValidation, "sbom-skip-validation", false, "Do not validate the SBOM; it is made by a library that writes valid ones only")
	results.AddFlag(f)
	return cmd
}

// Run makes and pushes the index and returns the task's results. Result IMAGES
// is there only with an index: policies tell one from an image by it.
func Run(ctx context.Context, opts Options) (map[string]string, error) {
	target, err := opts.validate()
	if err != nil {
		return nil, err
	}
	members, err := resolve(ctx, opts.Images)
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		if family(m.desc.MediaType) != opts.BuildahFormat {
			return nil, &formatError{image: m.given, has: family(m.desc.MediaType), want: opts.BuildahFormat}
		}
	}
	if len(members) == 1 && !opts.AlwaysBuildIndex {
		only := members[0]
		slog.InfoContext(ctx, "one image needs no index", "image", only.given)
		return map[string]string{
			"IMAGE_URL": only.url(), "IMAGE_DIGEST": only.ref.DigestStr(), "IMAGE_REF": only.ref.String(),
		}, nil
	}
	idx, parts, err := index(members, opts.BuildahFormat)
	if err != nil {
		return nil, err
	}
	ref, err := push(ctx, target, opts.TaskRunName, idx)
	if err != nil {
		return nil, err
	}
	blob, err := attach(ctx, ref, target.TagStr(), parts)
	if err != nil {
		return nil, err
	}
	images := make([]string, 0, len(parts))
	for _, p := range parts {
		images = append(images, ref.Context().Digest(p.digest.String()).String())
	}
	return map[string]string{
		"IMAGE_URL": opts.Image, "IMAGE_DIGEST": ref.DigestStr(), "IMAGE_REF": ref.String(),
		"IMAGES": strings.Join(images, ","), "SBOM_BLOB_URL": blob,
	}, nil
}

func (o Options) validate() (name.Tag, error) {
	target, err := name.NewTag(o.Image, name.StrictValidation)
	switch {
	case err != nil:
		return target, &taskcli.UsageError{Flag: "image", Problem: err.Error(), Fix: "give a repository and a tag, such as registry.example.com/team/app:1"}
	case o.BuildahFormat != "oci" && o.BuildahFormat != "docker":
		return target, &taskcli.UsageError{Flag: "buildah-format", Problem: fmt.Sprintf("%q is neither oci nor docker", o.BuildahFormat)}
	case o.StorageDriver != "" && o.StorageDriver != "overlay" && o.StorageDriver != "vfs":
		return target, &taskcli.UsageError{Flag: "storage-driver", Problem: fmt.Sprintf("%q is neither overlay nor vfs", o.StorageDriver)}
	case !o.TLSVerify:
		return target, &taskcli.UsageError{Flag: "tlsverify", Problem: "certificates are always checked", Fix: "put the registry's authority into ConfigMap trusted-ca"}
	}
	seen := map[string]bool{}
	for _, image := range o.Images {
		if seen[image] {
			return target, &taskcli.UsageError{Flag: "images", Problem: fmt.Sprintf("%q is there twice", image)}
		}
		seen[image] = true
	}
	return target, nil
}

// formatError says that an image cannot be in the index that was asked for.
type formatError struct{ image, has, want string }

func (e *formatError) Error() string {
	return fmt.Sprintf("image %q is in %s format, and the index is to be in %s", e.image, e.has, e.want)
}

// Hint says how to make them agree.
func (e *formatError) Hint() string {
	return "give the build and the index the same BUILDAH_FORMAT"
}

func push(ctx context.Context, target name.Tag, second string, idx v1.ImageIndex) (name.Digest, error) {
	if err := remote.WriteIndex(target, idx, oci.Options(ctx)...); err != nil {
		return name.Digest{}, fmt.Errorf("pushing the index to %q: %w", target, oci.Explain(err))
	}
	if second != "" {
		if err := remote.Tag(target.Context().Tag(second), idx, oci.Options(ctx)...); err != nil {
			return name.Digest{}, fmt.Errorf("tagging the index %q: %w", second, oci.Explain(err))
		}
	}
	digest, err := idx.Digest()
	return target.Context().Digest(digest.String()), err
}

func attach(ctx context.Context, ref name.Digest, tag string, parts []part) (string, error) {
	subject := sbom.Subject{Reference: ref, Tag: tag}
	var members []sbom.Subject
	for _, p := range parts {
		members = append(members, sbom.Subject{Reference: ref.Context().Digest(p.digest.String()), Arch: p.platform.Architecture})
		if p.created.After(subject.Created) {
			subject.Created = p.created
		}
	}
	document, err := sbom.Encode(sbom.Index(subject, members))
	if err != nil {
		return "", err
	}
	return sbom.Attach(ctx, ref, document)
}
