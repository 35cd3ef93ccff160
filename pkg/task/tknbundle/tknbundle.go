// Package tknbundle is the task tkn-bundle: it packs Tekton objects of a source
// into a bundle, which Tekton's bundles resolver reads them from.
package tknbundle

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/artifact"
	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/bundle"
	"github.com/headrace-ci/headrace/pkg/tekton/result"
)

// Options are the task's params.
type Options struct {
	Image               string // repository and tag to push to
	Context             string // files and folders of the source, "!" leaves out
	StepsImage          string // that steps run; "" for their own
	StepsImageStepNames string // steps that run it; all when empty
	URL, Revision       string // of the source
	SourceArtifact      string // unpacked into SourceDir; "" when the source is there
	SourceDir           string
}

// Command returns the task's command.
func Command() *cobra.Command {
	var opts Options
	var results result.Writer
	cmd := &cobra.Command{
		Use: "tkn-bundle", Short: "Pack Tekton objects of a source into a bundle", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			values, err := Run(cmd.Context(), opts)
			if err != nil {
				return err
			}
			return results.Write(values)
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.Image, "image", "", "Repository and tag to push the bundle to")
	f.StringVar(&opts.Context, "context", ".", "Files and folders of the source to pack, separated by commas or spaces; with ! before it, one to leave out")
	f.StringVar(&opts.StepsImage, "steps-image", "", "Image that the steps are to run; their own when empty")
	f.StringVar(&opts.StepsImageStepNames, "steps-image-step-names", "", "Steps that are to run it, separated by commas or spaces, or with ! before each, all but those; all when empty")
	f.StringVar(&opts.URL, "url", "", "Repository of the source")
	f.StringVar(&opts.Revision, "revision", "", "Commit of the source")
	f.StringVar(&opts.SourceArtifact, "source-artifact", "", "The source as a trusted artifact; the folder is taken as it is when empty")
	f.StringVar(&opts.SourceDir, "source-dir", "/var/workdir/source", "Folder of the source")
	results.AddFlag(f)
	return cmd
}

// Run packs and pushes the bundle, and returns the task's results.
func Run(ctx context.Context, opts Options) (map[string]string, error) {
	tag, err := name.NewTag(opts.Image, name.StrictValidation)
	if err != nil {
		return nil, &taskcli.UsageError{Flag: "image", Problem: err.Error(), Fix: "give a repository and a tag, such as registry.example.com/team/task-x:0.1"}
	}
	replace, err := parseReplacement(opts.StepsImage, opts.StepsImageStepNames)
	if err != nil {
		return nil, err
	}
	if opts.SourceArtifact != "" {
		if err := artifact.Use(ctx, opts.SourceArtifact, opts.SourceDir); err != nil {
			return nil, err
		}
	}
	root, err := os.OpenRoot(opts.SourceDir)
	if err != nil {
		return nil, fmt.Errorf("opening the source: %w", err)
	}
	defer root.Close()
	files, err := selected(root, opts.Context)
	if err != nil {
		return nil, err
	}
	dir := path.Dir(files[0])
	objects, err := read(root, files)
	if err != nil {
		return nil, err
	}
	if custom, err := kustomized(root, dir); err != nil {
		return nil, err
	} else if custom != nil {
		if objects, err = parse(dir, custom); err != nil {
			return nil, err
		}
	}
	about, err := describe(objects)
	if err != nil {
		return nil, err
	}
	for i := range objects {
		if err := replace.in(&objects[i]); err != nil {
			return nil, err
		}
	}
	annotations := opts.annotations(root, dir, about)
	if err := pushMigration(ctx, root, tag, dir, about.version, annotations); err != nil {
		return nil, err
	}
	img, err := bundle.Image(objects, annotations)
	if err != nil {
		return nil, err
	}
	ref, _, err := bundle.Push(ctx, tag.Repository.Name(), []string{tag.TagStr()}, img)
	if err != nil {
		return nil, err
	}
	slog.InfoContext(ctx, "pushed the bundle", "objects", len(objects), "digest", ref.DigestStr())
	return map[string]string{"IMAGE_URL": opts.Image, "IMAGE_DIGEST": ref.DigestStr(), "IMAGE_REF": opts.Image + "@" + ref.DigestStr()}, nil
}

// annotations say where the bundle comes from and where it is explained.
func (o Options) annotations(root *os.Root, dir string, about about) map[string]string {
	tree := o.URL + "/tree/" + o.Revision + "/" + o.Context
	all := map[string]string{
		"org.opencontainers.image.source": o.URL, "org.opencontainers.image.revision": o.Revision,
		"org.opencontainers.image.url": tree, bundle.VersionKey: about.version,
		"org.opencontainers.image.description": about.description,
	}
	for file, key := range map[string]string{
		"README.md": "org.opencontainers.image.documentation", "TROUBLESHOOTING.md": "dev.tekton.docs.troubleshooting", "USAGE.md": "dev.tekton.docs.usage",
	} {
		if info, err := root.Stat(path.Join(dir, file)); err == nil && info.Mode().IsRegular() {
			all[key] = tree + "/" + file
		}
	}
	return all
}

// What tells users of a bundle that it comes with a migration.
const (
	isMigration     = "dev.konflux-ci.task.is-migration"
	migrationDigest = "dev.konflux-ci.task.migration.digest"
	migrationTag    = "dev.konflux-ci.task.migration.tag"
)

// pushMigration pushes migrations/<version>.sh once, and names it in the
// bundle's annotations. What was pushed for a version does not change any more:
// somebody may have run it.
func pushMigration(ctx context.Context, root *os.Root, image name.Tag, dir, version string, annotations map[string]string) error {
	file := path.Join(dir, "migrations", version+".sh")
	if !filepath.IsLocal(file) {
		return nil
	}
	script, err := root.ReadFile(file)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the migration: %w", err)
	}
	tag, found, err := knownMigration(ctx, image.Repository, version, script)
	if err != nil {
		return err
	}
	if !found {
		tag = image.Context().Tag(fmt.Sprintf("%s%d", migrationPrefix(version, script), time.Now().Unix()))
		_, err := oci.PushFile(ctx, tag, oci.File{
			Name: path.Base(file), Content: script, ArtifactType: "application/vnd.unknown.artifact.v1", Annotations: map[string]string{isMigration: "true"},
		})
		if err != nil {
			return err
		}
	}
	ref, err := oci.Digest(ctx, tag.String())
	if err != nil {
		return err
	}
	annotations[migrationDigest], annotations[migrationTag] = ref.DigestStr(), tag.TagStr()
	return nil
}

// list splits a value at commas and white space.
func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
}
