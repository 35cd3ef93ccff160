// Package rpmssignaturescan is the task rpms-signature-scan: it lists the RPM
// packages of an image and counts them by the key that signed them.
//
// Which keys are good is for a policy to say; the task only counts.
package rpmssignaturescan

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/result"
	"github.com/headrace-ci/headrace/pkg/tekton/testoutput"
)

// unsigned stands for the key of packages that have none.
const unsigned = "unsigned"

// Options are the task's params.
type Options struct {
	ImageURL, ImageDigest string
	WorkDir               string
}

// Command returns the task's command.
func Command() *cobra.Command {
	var opts Options
	var results result.Writer
	cmd := &cobra.Command{
		Use: "rpms-signature-scan", Short: "Count an image's RPM packages by the key that signed them", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// A database can be made to crash what reads it. The verdict of a
			// crash is therefore written before.
			done := scan{pullspec: opts.ImageURL}
			crashed := testoutput.New(testoutput.Error, time.Now(), "The scan did not come to its end")
			if err := results.Write(done.values(crashed)); err != nil {
				return err
			}
			image, usage := opts.image()
			verdict := testoutput.Judge(cmd.Context(), func(ctx context.Context) (testoutput.Output, error) {
				if usage != nil {
					return testoutput.Output{}, usage
				}
				err := done.run(ctx, image, opts.WorkDir)
				return done.verdict(), err
			})
			if err := results.Write(done.values(verdict)); err != nil {
				return err
			}
			return usage
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.ImageURL, "image-url", "", "Image to scan, with its tag")
	f.StringVar(&opts.ImageDigest, "image-digest", "", "Digest of that image")
	f.StringVar(&opts.WorkDir, "workdir", "/tmp", "Folder for temporary files")
	results.AddFlag(f)
	return cmd
}

// scan is what was seen.
type scan struct {
	pullspec string
	digests  []string       // of the manifests, and of their index
	images   int            // manifests scanned
	keys     map[string]int // packages by key
}

func (o Options) image() (name.Digest, error) {
	image, err := oci.WithDigest(o.ImageURL, o.ImageDigest)
	if err != nil {
		return image, &taskcli.UsageError{Flag: "image-url", Problem: err.Error(), Fix: "set params image-url and image-digest to the results of the build"}
	}
	if info, err := os.Stat(o.WorkDir); err != nil || !info.IsDir() {
		return image, &taskcli.UsageError{Flag: "workdir", Problem: fmt.Sprintf("%q is not a folder", o.WorkDir), Fix: "leave param workdir at /tmp"}
	}
	return image, nil
}

// run scans the image, and every image of an index. After an error nothing
// counts as scanned.
func (s *scan) run(ctx context.Context, ref name.Digest, dir string) error {
	images, digests, err := oci.Images(ctx, ref, "")
	if err != nil {
		return err
	}
	keys := map[string]int{}
	for i, image := range images {
		found, err := packages(image, dir)
		if err != nil {
			return fmt.Errorf("scanning %s: %w", digests[i], err)
		}
		for _, pkg := range found {
			key := pkg.Key
			if key == "" {
				key = unsigned
				slog.WarnContext(ctx, "package is not signed", "package", pkg.Name, "image", digests[i])
			}
			keys[key]++
		}
		slog.InfoContext(ctx, "scanned", "image", digests[i], "packages", len(found))
	}
	s.digests, s.images, s.keys = digests, len(images), keys
	return nil
}

func (s scan) verdict() testoutput.Output {
	total := 0
	for _, count := range s.keys {
		total += count
	}
	out := testoutput.New(testoutput.Success, time.Now(), fmt.Sprintf("%d packages in %d images, all signed", total, s.images))
	if total == 0 {
		out.Note = fmt.Sprintf("No RPM packages in %d images", s.images)
	}
	if count := s.keys[unsigned]; count > 0 {
		out = testoutput.New(testoutput.Warning, time.Now(), fmt.Sprintf("%d of %d packages in %d images are not signed", count, total, s.images))
		out.Warnings = count
	}
	out.Successes = s.images
	return out
}

// values are the task's results.
func (s scan) values(verdict testoutput.Output) map[string]string {
	if s.keys == nil {
		s.keys = map[string]int{}
	}
	return map[string]string{
		testoutput.Name:          verdict.String(),
		testoutput.ProcessedName: testoutput.Processed(s.pullspec, s.digests),
		"RPMS_DATA":              compact(map[string]any{"keys": s.keys}),
	}
}

func compact(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // strings and integers always marshal
	}
	return string(text)
}
