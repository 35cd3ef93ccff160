// Package pushdockerfile is the task push-dockerfile: it keeps the
// Containerfile that an image was built from beside the image.
package pushdockerfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"regexp"

	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/artifact"
	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/result"
)

// title is the file's name in the artifact, whatever it is called in the
// source: who looks for it looks for one name.
const title = "Dockerfile"

// maxSize bounds a Containerfile, in bytes.
const maxSize = 4 << 20

// Options are the task's params.
type Options struct {
	Image, ImageDigest      string
	Dockerfile, Context     string
	TagSuffix, ArtifactType string
	SourceArtifact          string // unpacked into SourceDir; "" when the source is there
	SourceDir               string
}

// Command returns the task's command.
func Command() *cobra.Command {
	var opts Options
	var results result.Writer
	cmd := &cobra.Command{
		Use: "push-dockerfile", Short: "Keep the Containerfile of an image beside it", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ref, err := Run(cmd.Context(), opts)
			if err != nil {
				return err
			}
			return results.Write(map[string]string{"IMAGE_REF": ref})
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.Image, "image", "", "Image that was built: repository and tag")
	f.StringVar(&opts.ImageDigest, "image-digest", "", "Digest of the image")
	f.StringVar(&opts.Dockerfile, "dockerfile", "./Dockerfile", "Path of the Containerfile below the context or the source")
	f.StringVar(&opts.Context, "context", ".", "Folder of the source that was built in")
	f.StringVar(&opts.TagSuffix, "tag-suffix", ".dockerfile", "What the artifact's tag has after the image's digest")
	f.StringVar(&opts.ArtifactType, "artifact-type", "application/vnd.konflux.dockerfile", "Media type of the artifact")
	f.StringVar(&opts.SourceArtifact, "source-artifact", "", "The source as a trusted artifact; the folder is taken as it is when empty")
	f.StringVar(&opts.SourceDir, "source-dir", "/var/workdir/source", "Folder of the source")
	results.AddFlag(f)
	return cmd
}

var (
	suffixForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,57}$`) // a tag has 128 characters, a digest takes 71
	typeForm   = regexp.MustCompile(`^[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}$`)
)

// Run pushes the Containerfile and returns the artifact's reference. A source
// without one is no mistake: the image may be built by other means.
func Run(ctx context.Context, opts Options) (string, error) {
	image, err := oci.WithDigest(opts.Image, opts.ImageDigest)
	switch {
	case err != nil:
		return "", &taskcli.UsageError{Flag: "image", Problem: err.Error(), Fix: "give results IMAGE_URL and IMAGE_DIGEST of the build"}
	case !suffixForm.MatchString(opts.TagSuffix):
		return "", &taskcli.UsageError{Flag: "tag-suffix", Problem: fmt.Sprintf("%.60q cannot end a tag", opts.TagSuffix), Fix: "give up to 57 letters, digits, '.', '_' and '-'"}
	case !typeForm.MatchString(opts.ArtifactType):
		return "", &taskcli.UsageError{Flag: "artifact-type", Problem: fmt.Sprintf("%.60q is not a media type", opts.ArtifactType)}
	}
	if opts.SourceArtifact != "" {
		if err := artifact.Use(ctx, opts.SourceArtifact, opts.SourceDir); err != nil {
			return "", err
		}
	}
	content, err := find(opts.SourceDir, opts.Context, opts.Dockerfile)
	if errors.Is(err, fs.ErrNotExist) {
		slog.WarnContext(ctx, "the source has no such Containerfile; nothing is pushed", "dockerfile", opts.Dockerfile, "context", opts.Context)
		return "", nil
	}
	if err != nil {
		return "", err
	}
	tag := oci.EvidenceTag(image, opts.TagSuffix)
	ref, err := oci.PushFile(ctx, tag, oci.File{Name: title, Content: content, ArtifactType: opts.ArtifactType})
	if err != nil {
		return "", err
	}
	slog.InfoContext(ctx, "pushed the Containerfile", "tag", tag.String(), "digest", ref.DigestStr())
	return ref.String(), nil
}

// find reads the file below the context, or below the source.
func find(source, dir, name string) ([]byte, error) {
	root, err := os.OpenRoot(source)
	if err != nil {
		return nil, fmt.Errorf("opening the source: %w", err)
	}
	defer root.Close()
	for _, file := range []string{path.Join(dir, name), path.Clean(name)} {
		content, err := read(root, file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, &taskcli.UsageError{Flag: "dockerfile", Problem: fmt.Sprintf("%.200q: %v", file, reason(err)), Fix: "keep the Containerfile in the repository"}
		}
		return content, nil
	}
	return nil, fs.ErrNotExist
}

// read reads a file of the source. A path or a link that leads out of it is
// refused by the root.
func read(root *os.Root, file string) ([]byte, error) {
	if !filepath.IsLocal(file) {
		return nil, errors.New("leads out of the source")
	}
	f, err := root.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("is not a file")
	case info.Size() > maxSize:
		return nil, fmt.Errorf("is larger than %d bytes", maxSize)
	}
	return io.ReadAll(io.LimitReader(f, maxSize))
}

// reason is an error without the path of this machine.
func reason(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
