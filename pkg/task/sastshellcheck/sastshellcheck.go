// Package sastshellcheck is the task sast-shell-check: it runs ShellCheck over
// the shell scripts of a source.
//
// ShellCheck is not ours and not in our base image. Where it is missing the
// verdict is that the check was skipped, never that nothing was found.
package sastshellcheck

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/run"
	"github.com/headrace-ci/headrace/pkg/sast"
	"github.com/headrace-ci/headrace/pkg/tekton/result"
)

// Options are the task's params.
type Options struct {
	sast.Options
	ImpFindingsOnly bool
	SkipJinja       bool
	Program         string // ShellCheck
}

// Command returns the task's command.
func Command() *cobra.Command {
	var opts Options
	var results result.Writer
	cmd := &cobra.Command{
		Use: "sast-shell-check", Short: "Run ShellCheck over the shell scripts of a source", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return opts.Run(cmd.Context(), results, nil, opts.check)
		},
	}
	f := cmd.Flags()
	opts.AddFlags(f)
	f.BoolVar(&opts.ImpFindingsOnly, "imp-findings-only", true, "Report only findings that are nearly always mistakes; else all errors and warnings")
	f.BoolVar(&opts.SkipJinja, "skip-jinja", true, "Leave out scripts that are Jinja2 templates")
	f.StringVar(&opts.Program, "shellcheck", "shellcheck", "ShellCheck, by name or path")
	results.AddFlag(f)
	return cmd
}

// missing says what to do where there is no ShellCheck.
const missing = "The image of this step has no ShellCheck, so no script was looked at: publish the catalog with a base image for cmd/sast-shell-check that has it (baseImageOverrides in .ko.yaml)"

// batch is how many scripts one run of ShellCheck is given: enough to pay for
// its start, and few enough for its memory.
const batch = 50

func (o Options) check(ctx context.Context, source sast.Source) (sast.Report, error) {
	report := sast.Report{Tool: "sast-shell-check", Kind: "shell scripts"}
	program, ok, err := run.Find(o.Program)
	if err != nil {
		return report, err
	}
	if !ok {
		report.Skipped = missing
		return report, nil
	}
	if report.Version, err = version(ctx, program); err != nil {
		return report, err
	}
	scripts, templates, err := o.scripts(ctx, source)
	if err != nil {
		return report, err
	}
	report.Files = len(scripts)
	if len(templates) > 0 {
		report.Properties = map[string]any{"templates-left-out": templates}
	}
	for some := range slices.Chunk(scripts, batch) {
		comments, err := shellcheck(ctx, program, source.Dir, some)
		if err != nil {
			return report, err
		}
		for _, c := range comments {
			if f, ok := c.finding(o.ImpFindingsOnly); ok {
				report.Add(f)
			}
		}
	}
	return report, nil
}

var versionLine = regexp.MustCompile(`(?m)^version: (\S+)$`)

func version(ctx context.Context, program string) (string, error) {
	out, err := run.Output(ctx, program, "--version")
	if err != nil {
		return "", err
	}
	m := versionLine.FindSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("%s does not say its version: it is no ShellCheck", program)
	}
	return string(m[1]), nil
}

// comment is what ShellCheck says of one place.
type comment struct {
	File         string
	Line, Column int
	Level        string // error, warning, info or style
	Code         int
	Message      string
}

// shellcheck checks scripts. Names start with ./, so that none is an option.
func shellcheck(ctx context.Context, program, dir string, scripts []string) ([]comment, error) {
	args := []string{"--format=json1", "--"}
	for _, s := range scripts {
		args = append(args, "./"+s)
	}
	var out bytes.Buffer
	err := run.Command{Name: program, Args: args, Dir: dir, Stdout: &out}.Run(ctx)
	var exit *run.Error
	if err != nil && !(errors.As(err, &exit) && exit.Code == 1) { // 1: there are comments
		return nil, err
	}
	var answer struct{ Comments []comment }
	if err := json.Unmarshal(out.Bytes(), &answer); err != nil {
		return nil, fmt.Errorf("reading what %s says: %w", program, err)
	}
	return answer.Comments, nil
}

// important are the codes of findings that are nearly always mistakes: the
// list that Konflux reports by default.
var important = []int{
	1020, 1035, 1054, 1066, 1068, 1073, 1080, 1083, 1099, 1113, 1115, 1127, 1128, 1143,
	2043, 2050, 2055, 2057, 2066, 2069, 2071, 2077, 2078, 2091, 2092, 2157, 2171, 2193, 2194, 2195,
	2215, 2216, 2218, 2224, 2225, 2242, 2256, 2258, 2261,
}

func (c comment) finding(importantOnly bool) (sast.Finding, bool) {
	if c.Level != "error" && c.Level != "warning" && !importantOnly {
		return sast.Finding{}, false
	}
	if importantOnly && !slices.Contains(important, c.Code) {
		return sast.Finding{}, false
	}
	level := c.Level
	if level != "error" && level != "warning" {
		level = "note"
	}
	return sast.Finding{
		Rule: fmt.Sprintf("SC%d", c.Code), Level: level, Message: c.Message,
		File: path.Clean(c.File), Line: c.Line, Column: c.Column,
	}, true
}

var (
	extension = regexp.MustCompile(`\.(sh|bash|ksh|dash)$`)
	shebang   = regexp.MustCompile(`^#![ \t]*\S*(/|/env[ \t]+(-S[ \t]+)?)(sh|bash|dash|ksh)([ \t]|$)`)
	jinja     = regexp.MustCompile(`\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}`)
)

// maxScript is more than any script has, in bytes.
const maxScript = 4 << 20

// scripts lists the shell scripts, by their extension or by their first line,
// and those that are templates of scripts.
func (o Options) scripts(ctx context.Context, source sast.Source) (scripts, templates []string, err error) {
	err = source.Files(ctx, func(name string) error {
		file, err := source.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		r := bufio.NewReader(io.LimitReader(file, maxScript))
		first, err := r.Peek(256)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		line, _, _ := strings.Cut(string(first), "\n")
		byLine := shebang.MatchString(strings.TrimSuffix(line, "\r"))
		if !byLine && (!extension.MatchString(name) || strings.HasPrefix(line, "#!")) {
			return nil // another program's, whatever it is called
		}
		if o.SkipJinja {
			text, err := io.ReadAll(r)
			if err != nil {
				return err
			}
			if jinja.Match(text) {
				slog.InfoContext(ctx, "left out a template", "file", name)
				templates = append(templates, name)
				return nil
			}
		}
		scripts = append(scripts, name)
		return nil
	})
	return scripts, templates, err
}
