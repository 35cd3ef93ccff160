// Package sourcebuild is the task source-build: an image of the sources that
// another image was built from, for those who owe or want them.
//
// The image has a layer for each archive: blobs/sha256/<digest of the archive>
// and beside it a link with its name, in rpm_dir for source RPMs and in
// extra_src_dir for the rest. Before them come the layers of the base image's
// source image, where it has one. It is tagged sha256-<digest of the image>.src.
package sourcebuild

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/artifact"
	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/result"
)

// sourceTag ends the tag of a source image.
const sourceTag = ".src"

// Options are the task's params.
type Options struct {
	BinaryImage, BinaryImageDigest string
	BaseImages                     string // one a line, the last is the base; "" to look into the SBOM
	IgnoreUnsignedImage            bool
	SourceArtifact, Cachi2Artifact string // unpacked below WorkDir; "" when they are there
	WorkDir                        string // with folders source and cachi2
	ResultFile                     string // the result again, for task summary; "" for none
}

// Outcome is result BUILD_RESULT.
type Outcome struct {
	Status                  string `json:"status"` // success or drop
	Message                 string `json:"message,omitempty"`
	DependenciesIncluded    bool   `json:"dependencies_included"`
	BaseImageSourceIncluded bool   `json:"base_image_source_included"`
	ImageURL                string `json:"image_url,omitempty"`
	ImageDigest             string `json:"image_digest,omitempty"`
}

// Command returns the task's command.
func Command() *cobra.Command {
	var opts Options
	var results result.Writer
	cmd := &cobra.Command{
		Use: "source-build", Short: "Make an image of the sources of an image", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			outcome, err := Run(cmd.Context(), opts)
			if err != nil {
				return err
			}
			return outcome.write(results, opts.ResultFile)
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.BinaryImage, "binary-image", "", "Image that was built: repository and tag")
	f.StringVar(&opts.BinaryImageDigest, "binary-image-digest", "", "Digest of the image")
	f.StringVar(&opts.BaseImages, "base-images", "", "Images it was built from, one a line, the base last; as its SBOM says when empty")
	f.BoolVar(&opts.IgnoreUnsignedImage, "ignore-unsigned-image", false, "Take sources of the base image that carry no signature")
	f.StringVar(&opts.SourceArtifact, "source-artifact", "", "The source as a trusted artifact; the folder is taken as it is when empty")
	f.StringVar(&opts.Cachi2Artifact, "cachi2-artifact", "", "Prefetched dependencies as a trusted artifact; empty for none")
	f.StringVar(&opts.WorkDir, "work-dir", "/var/workdir", "Folder with folders source and cachi2")
	f.StringVar(&opts.ResultFile, "result-file", "", "File to write result BUILD_RESULT to as well")
	results.AddFlag(f)
	return cmd
}

func (o Outcome) write(results result.Writer, file string) error {
	raw, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if file != "" {
		if err := os.WriteFile(file, raw, 0o644); err != nil {
			return err
		}
	}
	values := map[string]string{"BUILD_RESULT": string(raw), "SOURCE_IMAGE_URL": o.ImageURL, "SOURCE_IMAGE_DIGEST": o.ImageDigest, "IMAGE_REF": ""}
	if o.ImageURL != "" {
		values["IMAGE_REF"] = o.ImageURL + "@" + o.ImageDigest
	}
	return results.Write(values)
}

// Run builds and pushes the source image. An image that is no longer there
// needs none: the status is drop.
func Run(ctx context.Context, opts Options) (Outcome, error) {
	image, err := oci.WithDigest(opts.BinaryImage, opts.BinaryImageDigest)
	if err != nil {
		return Outcome{}, &taskcli.UsageError{Flag: "binary-image", Problem: err.Error(), Fix: "give results IMAGE_URL and IMAGE_DIGEST of the build"}
	}
	for _, a := range []struct{ uri, dir string }{{opts.SourceArtifact, "source"}, {opts.Cachi2Artifact, "cachi2"}} {
		if a.uri == "" {
			continue
		}
		if err := artifact.Use(ctx, a.uri, filepath.Join(opts.WorkDir, a.dir)); err != nil {
			return Outcome{}, err
		}
	}
	if _, err := remote.Head(image, oci.Options(ctx)...); oci.NotFound(err) {
		slog.WarnContext(ctx, "the image is not there any more", "image", image.String())
		return Outcome{Status: "drop", Message: fmt.Sprintf("image %s is not in the registry any more", image)}, nil
	} else if err != nil {
		return Outcome{}, fmt.Errorf("looking for image %q: %w", image, oci.Explain(err))
	}
	base, err := baseImage(ctx, image, opts.BaseImages)
	if err != nil {
		return Outcome{}, err
	}
	outcome := Outcome{Status: "success"}
	layers, err := parentLayers(ctx, base, opts.IgnoreUnsignedImage)
	if err != nil {
		return Outcome{}, err
	}
	outcome.BaseImageSourceIncluded = len(layers) > 0
	own, err := archives(opts.WorkDir)
	defer own.remove()
	if err != nil {
		return Outcome{}, err
	}
	outcome.DependenciesIncluded = own.dependencies
	layers, err = withArchives(layers, own.files)
	if err != nil {
		return Outcome{}, err
	}
	tag := oci.EvidenceTag(image, sourceTag)
	digest, err := push(ctx, tag, layers)
	if err != nil {
		return Outcome{}, err
	}
	outcome.ImageURL, outcome.ImageDigest = tag.String(), digest
	slog.InfoContext(ctx, "pushed the source image", "image", tag.String(), "digest", digest, "layers", len(layers))
	return outcome, nil
}

// withArchives adds a layer for each archive that no layer of the parent has.
func withArchives(parent []v1.Layer, files []archive) ([]v1.Layer, error) {
	known := map[string]bool{}
	for _, l := range parent {
		key, err := contentOf(l)
		if err != nil {
			return nil, fmt.Errorf("reading the sources of the base image: %w", err)
		}
		known[key] = true
	}
	layers := parent
	for _, a := range files {
		if known[a.key()] {
			continue
		}
		known[a.key()] = true
		layer, err := a.layer()
		if err != nil {
			return nil, fmt.Errorf("packing %s: %w", a.name, err)
		}
		layers = append(layers, layer)
	}
	return layers, nil
}

func push(ctx context.Context, tag name.Tag, layers []v1.Layer) (string, error) {
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err := mutate.AppendLayers(img, layers...)
	if err != nil {
		return "", err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return "", err
	}
	// Sources are for every architecture; an image has to name one.
	config = config.DeepCopy()
	config.OS, config.Architecture, config.History = "linux", "amd64", nil
	if img, err = mutate.ConfigFile(img, config); err != nil {
		return "", err
	}
	if err := remote.Write(tag, img, oci.Options(ctx)...); err != nil {
		return "", fmt.Errorf("pushing the source image to %q: %w", tag, oci.Explain(err))
	}
	digest, err := img.Digest()
	return digest.String(), err
}

// unsignedError says that sources of a base image cannot be told from others.
type unsignedError struct{ image string }

func (e *unsignedError) Error() string {
	return fmt.Sprintf("the sources of the base image, %s, carry no signature", e.image)
}

// Hint says what to do about it.
func (e *unsignedError) Hint() string {
	return "use a base image whose sources are signed; for tries, set param IGNORE_UNSIGNED_IMAGE to true"
}

var errNoBase = errors.New("no base image")

// lastLine is the last line that says something.
func lastLine(text string) string {
	last := ""
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			last = line
		}
	}
	return last
}
