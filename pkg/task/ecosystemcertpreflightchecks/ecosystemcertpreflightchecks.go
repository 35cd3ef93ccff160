// Package ecosystemcertpreflightchecks is the task
// ecosystem-cert-preflight-checks: it checks an image for what Red Hat's
// certification of containers asks of it, as far as the image itself can tell.
package ecosystemcertpreflightchecks

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/result"
	"github.com/headrace-ci/headrace/pkg/tekton/testoutput"
)

// What an artifact can be.
const (
	application    = "application"
	operatorBundle = "operatorbundle"
	introspect     = "introspect" // let its labels say
)

// Who says what it is.
const (
	byParameter     = "parameter"
	byIntrospection = "introspection"
)

// Options are the task's params.
type Options struct {
	ImageURL     string
	ArtifactType string
	Platform     string
}

// Command returns the task's command.
func Command() *cobra.Command {
	var opts Options
	var results result.Writer
	cmd := &cobra.Command{
		Use: "ecosystem-cert-preflight-checks", Short: "Check an image for what certification asks of it", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var c checked
			write := func(verdict testoutput.Output) error {
				return results.Write(map[string]string{
					testoutput.Name: verdict.String(), testoutput.ProcessedName: testoutput.Processed(opts.ImageURL, c.digests),
					"ARTIFACT_TYPE": c.kind, "ARTIFACT_TYPE_SET_BY": c.setBy,
				})
			}
			if err := write(testoutput.New(testoutput.Error, time.Now(), "The checks did not come to their end")); err != nil {
				return err
			}
			image, usage := opts.validate()
			verdict := testoutput.Judge(cmd.Context(), func(ctx context.Context) (testoutput.Output, error) {
				if usage != nil {
					return testoutput.Output{}, usage
				}
				done, err := opts.run(ctx, image)
				if err != nil {
					return testoutput.Output{}, err
				}
				c = done
				return c.verdict(time.Now()), nil
			})
			if err := write(verdict); err != nil {
				return err
			}
			return usage
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.ImageURL, "image-url", "", "Image to check, with its tag or digest")
	f.StringVar(&opts.ArtifactType, "artifact-type", introspect, "What it is, application or operatorbundle; anything else lets its labels say")
	f.StringVar(&opts.Platform, "platform", "", "Platform of an index to check, as in linux/arm64; empty for all")
	results.AddFlag(f)
	return cmd
}

func (o Options) validate() (name.Reference, error) {
	ref, err := oci.Reference(o.ImageURL)
	if err != nil {
		return nil, &taskcli.UsageError{Flag: "image-url", Problem: err.Error(), Fix: "set param image-url to the result of the build"}
	}
	return ref, nil
}

// checked is what the checks say.
type checked struct {
	kind, setBy string
	digests     []string
	images      int
	passed      int
	failed      []string // checks, with what is wrong
}

func (o Options) run(ctx context.Context, ref name.Reference) (checked, error) {
	var c checked
	resolved, err := oci.Digest(ctx, o.ImageURL)
	if err != nil {
		return c, err
	}
	images, digests, err := oci.Images(ctx, resolved, oci.Architecture(o.Platform))
	if err != nil {
		return c, err
	}
	c.digests, c.images, c.kind, c.setBy = digests, len(images), o.ArtifactType, byParameter
	if c.kind != application && c.kind != operatorBundle {
		c.setBy = byIntrospection
		if c.kind, err = kindOf(images[0]); err != nil {
			return c, err
		}
	}
	if c.kind == operatorBundle {
		return c, nil
	}
	for _, image := range images {
		for _, check := range checks {
			problem, err := check.run(subject{image, ref})
			if err != nil {
				return c, fmt.Errorf("check %s of %q: %w", check.name, image.Ref, err)
			}
			if problem == "" {
				c.passed++
				continue
			}
			slog.WarnContext(ctx, "failed", "check", check.name, "image", image.Ref, "problem", problem, "fix", check.fix)
			c.failed = append(c.failed, check.name+": "+problem)
		}
	}
	return c, nil
}

// bundleLabel begins the labels of an operator's bundle, of which it has at
// least so many.
const (
	bundleLabel  = "operators.operatorframework.io.bundle"
	bundleLabels = 3
)

func kindOf(image oci.Image) (string, error) {
	config, err := image.ConfigFile()
	if err != nil {
		return "", fmt.Errorf("reading the config of %q: %w", image.Ref, err)
	}
	n := 0
	for label := range config.Config.Labels {
		if strings.HasPrefix(label, bundleLabel) {
			n++
		}
	}
	if n >= bundleLabels {
		return operatorBundle, nil
	}
	return application, nil
}

// verdict is a warning where nothing failed: some of what certification asks
// was not checked.
func (c checked) verdict(now time.Time) testoutput.Output {
	if c.kind == operatorBundle {
		return testoutput.New(testoutput.Success, now, "This ecosystem check is not executed for operatorbundles.")
	}
	out := testoutput.New(testoutput.Warning, now, fmt.Sprintf("%d checks passed; not made here: %s", c.passed, strings.Join(notMade, ", ")))
	out.Warnings = 1
	if len(c.failed) > 0 {
		const most = 3
		some := c.failed
		if len(some) > most {
			some = some[:most]
		}
		out.Result, out.Note = testoutput.Failure, fmt.Sprintf("%d checks failed: %s", len(c.failed), strings.Join(some, "; "))
	}
	out.Successes, out.Failures = c.passed, len(c.failed)
	return out
}
