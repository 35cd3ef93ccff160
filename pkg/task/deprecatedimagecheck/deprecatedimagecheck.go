// Package deprecatedimagecheck is the task deprecated-image-check: it asks a
// catalogue of images whether those that an image was built from are still
// maintained.
package deprecatedimagecheck

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/package-url/packageurl-go"
	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/sbom"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/result"
	"github.com/headrace-ci/headrace/pkg/tekton/testoutput"
)

// Options are the task's params.
type Options struct {
	PolicyDir         string // ignored: the rule is ours
	PolicyNamespace   string // of the verdict
	BaseImagesDigests string // lines of repository:tag@digest
	ImageURL          string
	ImageDigest       string
	CatalogURL        string
}

// Command returns the task's command.
func Command() *cobra.Command {
	var opts Options
	var results result.Writer
	cmd := &cobra.Command{
		Use: "deprecated-image-check", Short: "Look for base images that nobody maintains", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var digests []string
			write := func(verdict testoutput.Output) error {
				return results.Write(map[string]string{
					testoutput.Name: verdict.String(), testoutput.ProcessedName: testoutput.Processed(opts.ImageURL, digests),
				})
			}
			if err := write(testoutput.New(testoutput.Error, time.Now(), "The check did not come to its end")); err != nil {
				return err
			}
			image, usage := opts.validate()
			verdict := testoutput.Judge(cmd.Context(), func(ctx context.Context) (testoutput.Output, error) {
				if usage != nil {
					return testoutput.Output{}, usage
				}
				found, err := opts.check(ctx, image)
				if err != nil {
					return testoutput.Output{}, err
				}
				digests = found.digests
				return found.verdict(time.Now()), nil
			})
			verdict.Namespace = opts.PolicyNamespace
			if err := write(verdict); err != nil {
				return err
			}
			return usage
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.PolicyDir, "policy-dir", "/project/repository/", "Ignored: a repository that its catalogue calls Deprecated is a failure")
	f.StringVar(&opts.PolicyNamespace, "policy-namespace", "required_checks", "Namespace of the verdict")
	f.StringVar(&opts.BaseImagesDigests, "base-images-digests", "", "Images that were built from, one a line, besides those in the SBOM")
	f.StringVar(&opts.ImageURL, "image-url", "", "Image to check, with its tag")
	f.StringVar(&opts.ImageDigest, "image-digest", "", "Digest of that image")
	f.StringVar(&opts.CatalogURL, "catalog-url", "https://catalog.redhat.com", "Catalogue to ask")
	results.AddFlag(f)
	return cmd
}

func (o Options) validate() (name.Digest, error) {
	image, err := oci.WithDigest(o.ImageURL, o.ImageDigest)
	if err != nil {
		return image, &taskcli.UsageError{Flag: "image-url", Problem: err.Error(), Fix: "set params IMAGE_URL and IMAGE_DIGEST to the results of the build"}
	}
	if u, err := url.Parse(o.CatalogURL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return image, &taskcli.UsageError{Flag: "catalog-url", Problem: fmt.Sprintf("%q is no URL", o.CatalogURL), Fix: "give the catalogue's URL, as in https://catalog.redhat.com"}
	}
	return image, nil
}

// found is what the catalogue says of the images that were built from.
type found struct {
	digests    []string
	noSBOM     []string // images without one
	maintained []string
	deprecated []string
	unknown    []string // to the catalogue
	failed     []string // nobody could tell
}

func (o Options) check(ctx context.Context, ref name.Digest) (found, error) {
	var f found
	images, digests, err := oci.Images(ctx, ref, "")
	if err != nil {
		return f, err
	}
	bases, err := fromParam(o.BaseImagesDigests)
	if err != nil {
		return f, err
	}
	for _, image := range images {
		listed, err := sbom.Attached(ctx, image.Ref)
		if errors.Is(err, sbom.ErrNone) {
			slog.WarnContext(ctx, "no SBOM says what the image was built from", "image", image.Ref)
			f.noSBOM = append(f.noSBOM, image.Ref.DigestStr())
			continue
		}
		if err != nil {
			return f, err
		}
		bases = append(bases, marked(listed)...)
	}
	slices.Sort(bases)
	c, err := newCatalogue(o.CatalogURL)
	if err != nil {
		return f, err
	}
	for _, base := range slices.Compact(bases) {
		deprecated, err := c.deprecated(ctx, base)
		switch {
		case errors.Is(err, errUnknown):
			slog.WarnContext(ctx, "the catalogue does not know the repository", "repository", base)
			f.unknown = append(f.unknown, base)
		case err != nil:
			slog.ErrorContext(ctx, "asking the catalogue", "repository", base, "error", err)
			f.failed = append(f.failed, base+": "+err.Error())
		case deprecated:
			slog.WarnContext(ctx, "the repository is deprecated", "repository", base)
			f.deprecated = append(f.deprecated, base)
		default:
			f.maintained = append(f.maintained, base)
		}
	}
	f.digests = digests
	return f, nil
}

// fromParam reads repositories from lines of images.
func fromParam(lines string) ([]string, error) {
	var bases []string
	for line := range strings.FieldsSeq(strings.ReplaceAll(lines, `\n`, "\n")) {
		image, _, _ := strings.Cut(line, "@")
		ref, err := name.ParseReference(image)
		if err != nil {
			return nil, fmt.Errorf("base image %q: %w", line, err)
		}
		bases = append(bases, ref.Context().Name())
	}
	return bases, nil
}

// The beginnings of the marks of images that an image was built from.
var baseMarks = []string{"konflux:container:is_base_image", "konflux:container:is_builder_image"}

// marked are the repositories of listed images that were built from.
func marked(listed []sbom.Listed) []string {
	var bases []string
	for _, l := range listed {
		isBase := slices.ContainsFunc(l.Marks, func(mark string) bool {
			return slices.ContainsFunc(baseMarks, func(begin string) bool { return strings.HasPrefix(mark, begin) })
		})
		purl, err := packageurl.FromString(l.PURL)
		if !isBase || err != nil || purl.Type != packageurl.TypeOCI {
			continue
		}
		repository := purl.Qualifiers.Map()["repository_url"]
		if repo, err := name.NewRepository(repository); err == nil {
			bases = append(bases, repo.Name())
		}
	}
	return bases
}

func (f found) verdict(now time.Time) testoutput.Output {
	out := testoutput.New(testoutput.Success, now, fmt.Sprintf("%d base images are maintained", len(f.maintained)))
	switch {
	case len(f.failed) > 0:
		out.Result, out.Note = testoutput.Error, "The catalogue could not tell of "+few(f.failed)
	case len(f.deprecated) > 0:
		out.Result, out.Note = testoutput.Failure, "Deprecated base images: "+few(f.deprecated)
	case len(f.noSBOM) > 0:
		out.Result, out.Note = testoutput.Warning, "No SBOM says what these were built from: "+few(f.noSBOM)
	case len(f.unknown) > 0:
		out.Result, out.Note = testoutput.Warning, "The catalogue does not know "+few(f.unknown)
	case len(f.maintained) == 0:
		out.Note = "No base images to check"
	}
	out.Successes, out.Failures, out.Warnings = len(f.maintained), len(f.deprecated), len(f.unknown)+len(f.noSBOM)
	return out
}

// few lists the first of many, so that the note stays small.
func few(all []string) string {
	const most = 5
	if len(all) > most {
		return strings.Join(all[:most], ", ") + fmt.Sprintf(" and %d more", len(all)-most)
	}
	return strings.Join(all, ", ")
}
