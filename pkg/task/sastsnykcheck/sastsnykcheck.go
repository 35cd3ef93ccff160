// Package sastsnykcheck is the task sast-snyk-check: it runs Snyk Code over a
// source.
//
// Snyk's program is the vendor's and not in our base image, and it works with a
// token of the user's alone. Without a token the check is skipped.
package sastsnykcheck

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/run"
	"github.com/headrace-ci/headrace/pkg/sast"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/result"
)

// Options are the task's params.
type Options struct {
	sast.Options
	Args                string // of the program, separated by spaces
	IgnoreFilePaths     string // separated by commas
	ImpFindingsOnly     bool
	FetchExtraArtifacts bool
	ExtraArtifactFilter string
	TokenFile           string
	Program             string
	RetryDelay          time.Duration // between tries
}

// Command returns the task's command.
func Command() *cobra.Command {
	var opts Options
	var results result.Writer
	cmd := &cobra.Command{
		Use: "sast-snyk-check", Short: "Run Snyk Code over a source", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return opts.Run(cmd.Context(), results, opts.validate(), opts.check)
		},
	}
	f := cmd.Flags()
	opts.AddFlags(f)
	f.StringVar(&opts.Args, "args", "", "More arguments for snyk code test, separated by spaces")
	f.StringVar(&opts.IgnoreFilePaths, "ignore-file-paths", "", "Files and folders to leave out, separated by commas")
	f.BoolVar(&opts.ImpFindingsOnly, "imp-findings-only", true, "Judge by findings of level error alone; the report has all")
	f.BoolVar(&opts.FetchExtraArtifacts, "fetch-extra-artifacts", false, "Look at files of an artifact that is no image too; not supported yet")
	f.StringVar(&opts.ExtraArtifactFilter, "extra-artifact-filter",
		`(^|/)(Dockerfile|Containerfile|[^/]+\.(sh|bash|zsh|ksh|py|rb|pl|js|mjs|cjs|ts|ps1))$`, "Which of those files")
	f.StringVar(&opts.TokenFile, "token-file", "/etc/secrets/snyk_token", "File with the token")
	f.StringVar(&opts.Program, "snyk", "snyk", "Snyk's program, by name or path")
	f.DurationVar(&opts.RetryDelay, "retry-delay", 30*time.Second, "How long to wait before trying again")
	results.AddFlag(f)
	return cmd
}

// validate checks what is Snyk's alone. An argument that writes the report
// elsewhere would leave us without one.
func (o Options) validate() error {
	if o.FetchExtraArtifacts {
		return &taskcli.UsageError{Flag: "fetch-extra-artifacts", Problem: "is not supported yet", Fix: "leave param FETCH_EXTRA_ARTIFACTS at false"}
	}
	for arg := range strings.FieldsSeq(o.Args) {
		if strings.HasPrefix(arg, "--sarif-file-output") || strings.HasPrefix(arg, "--json-file-output") {
			return &taskcli.UsageError{Flag: "args", Problem: fmt.Sprintf("%q is set by the task", arg), Fix: "take it out of param ARGS"}
		}
	}
	return nil
}

// skipped is the verdict's note without a token.
const skipped = "Task sast-snyk-check skipped: If you wish to use the Snyk code SAST task, please create a secret (param SNYK_SECRET, by default snyk-secret) with the key 'snyk_token' containing the Snyk token"

// The program's exit codes.
const (
	exitFound       = 1
	exitUnsupported = 3 // no file that it knows
)

// tries is how often a failing program is started.
const tries = 3

func (o Options) check(ctx context.Context, source sast.Source) (sast.Report, error) {
	report := sast.Report{Tool: "sast-snyk-check", Kind: "supported files", ErrorsOnly: o.ImpFindingsOnly}
	token, err := os.ReadFile(o.TokenFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return report, fmt.Errorf("reading the token: %w", err)
	}
	if token = bytes.TrimSpace(token); len(token) == 0 {
		report.Skipped = skipped
		return report, nil
	}
	program, ok, err := run.Find(o.Program)
	if err != nil {
		return report, err
	}
	if !ok {
		return report, fmt.Errorf("there is a token, and the image of this step has no %s: publish the catalog with a base image for cmd/sast-snyk-check that has it (baseImageOverrides in .ko.yaml)", o.Program)
	}
	s := snyk{program: program, env: []string{"SNYK_TOKEN=" + string(token)}, source: source.Dir, delay: o.RetryDelay}
	for file := range strings.SplitSeq(o.IgnoreFilePaths, ",") {
		if file = strings.TrimSpace(file); file == "" {
			continue
		}
		if err := s.start(ctx, "ignore", "--file-path="+file); err != nil {
			return report, err
		}
	}
	for i, dir := range source.Dirs {
		out := filepath.Join(o.WorkDir, fmt.Sprintf("snyk-%d.sarif", i))
		if err := s.test(ctx, o.arguments(), dir, out, &report); err != nil {
			return report, err
		}
	}
	return report, nil
}

// arguments are the user's, with the name of the project unless they have one.
func (o Options) arguments() []string {
	args := strings.Fields(o.Args)
	project := o.ProjectName
	if project == "" {
		project = os.Getenv("COMPONENT_LABEL")
	}
	named := slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "--project-name") })
	if project != "" && !named {
		args = append(args, "--project-name="+project)
	}
	return args
}

type snyk struct {
	program, source string
	env             []string
	delay           time.Duration
}

func (s snyk) start(ctx context.Context, args ...string) error {
	return run.Command{Name: s.program, Args: args, Dir: s.source, Env: s.env, Stdout: os.Stderr, Stderr: os.Stderr}.Run(ctx)
}

// test checks one folder, and adds what is found to the report.
func (s snyk) test(ctx context.Context, args []string, dir, out string, report *sast.Report) error {
	args = append([]string{"code", "test"}, args...)
	args = append(args, filepath.Join(s.source, filepath.FromSlash(dir)), "--max-depth=1", "--sarif-file-output="+out)
	code, err := s.retry(ctx, args)
	if err != nil || code == exitUnsupported {
		return err
	}
	raw, err := os.ReadFile(out)
	if errors.Is(err, fs.ErrNotExist) && code == 0 {
		return nil // nothing found, nothing written
	}
	if err != nil {
		return fmt.Errorf("reading what %s found: %w", s.program, err)
	}
	found, err := sast.ParseSARIF(raw, func(file string) string { return path.Join(dir, file) })
	if err != nil {
		return err
	}
	if code == exitFound && len(found) == 0 {
		return fmt.Errorf("%s says that it found something, and its report is empty", s.program)
	}
	for _, f := range found {
		if f.Level == "" {
			f.Level = "warning" // what SARIF means by none
		}
		report.Add(f)
	}
	return cover(raw, report)
}

// retry starts the program until it ends with an answer.
func (s snyk) retry(ctx context.Context, args []string) (code int, err error) {
	for try := 1; ; try++ {
		err := s.start(ctx, args...)
		var exit *run.Error
		switch {
		case err == nil:
			return 0, nil
		case !errors.As(err, &exit):
			return 0, err
		case exit.Code == exitFound || exit.Code == exitUnsupported:
			return exit.Code, nil
		case try == tries:
			return 0, err
		}
		slog.WarnContext(ctx, "trying again", "program", s.program, "exit", exit.Code, "in", s.delay)
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(s.delay):
		}
	}
}

// Names of the statistics in the report.
const (
	statTotal   = "snyk-scanned-files-total"
	statSuccess = "snyk-scanned-files-success"
	statRatio   = "snyk-scanned-files-coverage" // percent
)

// cover adds up how many files were there, and how many the program knows.
func cover(raw []byte, report *sast.Report) error {
	var log struct {
		Runs []struct {
			Tool       struct{ Driver struct{ Version string } }
			Properties struct {
				Coverage []struct {
					Files int
					Type  string
				}
			}
		}
	}
	if err := json.Unmarshal(raw, &log); err != nil {
		return fmt.Errorf("reading a report in SARIF: %w", err)
	}
	if report.Properties == nil {
		report.Properties = map[string]any{statTotal: 0, statSuccess: 0, statRatio: 0}
	}
	total, known := report.Properties[statTotal].(int), report.Files
	for _, r := range log.Runs {
		if v := r.Tool.Driver.Version; versionForm.MatchString(v) {
			report.Version = v
		}
		for _, c := range r.Properties.Coverage {
			total += c.Files
			if c.Type == "SUPPORTED" {
				known += c.Files
			}
		}
	}
	report.Files = known
	report.Properties[statTotal], report.Properties[statSuccess] = total, known
	if total > 0 {
		report.Properties[statRatio] = known * 100 / total
	}
	return nil
}

var versionForm = regexp.MustCompile(`^[0-9A-Za-z.+-]{1,64}$`)
