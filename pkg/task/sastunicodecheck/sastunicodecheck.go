// Package sastunicodecheck is the task sast-unicode-check: it looks for
// characters in a source that are not printed but change what a reader sees.
//
// Its verdict is in the result; the findings are attached to the image that
// was built from the source, as SARIF.
package sastunicodecheck

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/artifact"
	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/sast"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/result"
	"github.com/headrace-ci/headrace/pkg/tekton/testoutput"
)

// Options are the task's params.
type Options struct {
	sast.Options
	Cachi2Artifact         string // not looked at: it is not the project's source
	FindUnicodeControlArgs string
}

// Command returns the task's command.
func Command() *cobra.Command {
	var opts Options
	var results result.Writer
	cmd := &cobra.Command{
		Use: "sast-unicode-check", Short: "Look for control characters that hide what a source does", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			plan, usage := opts.validate()
			verdict := testoutput.Judge(cmd.Context(), func(ctx context.Context) (testoutput.Output, error) {
				if usage != nil {
					return testoutput.Output{}, usage
				}
				return run(ctx, opts, plan)
			})
			if err := results.Write(map[string]string{testoutput.Name: verdict.String()}); err != nil {
				return err
			}
			return usage
		},
	}
	f := cmd.Flags()
	opts.AddFlags(f)
	f.StringVar(&opts.Cachi2Artifact, "cachi2-artifact", "", "Prefetched dependencies; they are not looked at")
	f.StringVar(&opts.FindUnicodeControlArgs, "find-unicode-control-args", "-p bidi -v -d -t",
		"What to look for: -p bidi or -p all; -t leaves out tests, -v and -d change nothing")
	results.AddFlag(f)
	return cmd
}

// plan is what the params ask for, understood.
type plan struct {
	image     name.Digest
	dirs      []string
	forbidden func(rune) bool
	skipTests bool
}

func (o Options) validate() (plan, error) {
	p := plan{forbidden: isNonprinting}
	common, err := o.Plan()
	if err != nil {
		return p, err
	}
	if common.Image == nil { // which other checks do without
		_, err := oci.WithDigest(o.ImageURL, o.ImageDigest)
		return p, &taskcli.UsageError{Flag: "image-url", Problem: err.Error(), Fix: "set params image-url and image-digest to the results of the build"}
	}
	p.dirs, p.image = common.Dirs, *common.Image
	return p, p.readArgs(o.FindUnicodeControlArgs)
}

// readArgs reads the arguments of the program that this task once ran.
func (p *plan) readArgs(args string) error {
	words := strings.Fields(args)
	for i := 0; i < len(words); i++ {
		switch words[i] {
		case "-v", "--verbose", "-d", "--detailed": // the report always says where
		case "-t", "--notests":
			p.skipTests = true
		case "-p", "--nonprint":
			i++
			if i == len(words) || words[i] != "bidi" && words[i] != "all" {
				return &taskcli.UsageError{Flag: "find-unicode-control-args", Problem: "-p takes bidi or all"}
			}
			p.forbidden = isNonprinting
			if words[i] == "bidi" {
				p.forbidden = isBidi
			}
		default:
			return &taskcli.UsageError{Flag: "find-unicode-control-args", Problem: fmt.Sprintf("%q is not supported", words[i]), Fix: "-p bidi, -p all, -t, -v and -d are"}
		}
	}
	return nil
}

func run(ctx context.Context, opts Options, p plan) (testoutput.Output, error) {
	source := filepath.Join(opts.WorkDir, "source")
	if opts.SourceArtifact != "" {
		if err := artifact.Use(ctx, opts.SourceArtifact, source); err != nil {
			return testoutput.Output{}, err
		}
	}
	root, err := os.OpenRoot(source)
	if err != nil {
		return testoutput.Output{}, fmt.Errorf("opening the source: %w", err)
	}
	defer root.Close()
	s := &scanner{root: root, forbidden: p.forbidden, skipTests: p.skipTests}
	for _, dir := range p.dirs {
		if err := s.scan(ctx, dir); err != nil {
			return testoutput.Output{}, fmt.Errorf("scanning %q: %w", dir, err)
		}
	}
	for _, f := range s.findings {
		slog.WarnContext(ctx, "found", "file", f.File, "line", f.Line, "column", f.Col, "what", f.message())
	}
	sarif, err := report(s.findings)
	if err != nil {
		return testoutput.Output{}, err
	}
	attached, err := oci.Attach(ctx, p.image, sast.MediaType, "sast-unicode-check.sarif", sarif)
	if err != nil {
		return testoutput.Output{}, err
	}
	slog.InfoContext(ctx, "attached the findings", "image", p.image, "report", attached)
	return s.verdict(), nil
}

func (s *scanner) verdict() testoutput.Output {
	found := len(s.findings) + s.more
	var out testoutput.Output
	switch {
	case found > 0:
		out = testoutput.New(testoutput.Failure, time.Now(),
			fmt.Sprintf("%d lines have control characters, the first is line %d of %q", found, s.findings[0].Line, s.findings[0].File))
	case s.files == 0:
		out = testoutput.New(testoutput.Skipped, time.Now(), "There are no text files to look at")
	default:
		out = testoutput.New(testoutput.Success, time.Now(), fmt.Sprintf("No control characters in %d text files", s.files))
		out.Successes = 1
	}
	out.Failures = found
	return out
}
