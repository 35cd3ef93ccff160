// Package sastgitleakscheck is the task sast-gitleaks-check: it looks for
// secrets in a source, such as keys, tokens and passwords.
//
// What knows secrets is a [Detector], because the one there is brings many
// modules that only this program needs.
package sastgitleakscheck

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/sast"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/result"
)

// Secret is a place where a secret is. It never says which.
type Secret struct {
	Rule, Description string
	Line, Column      int // from 1
}

// Detector finds secrets in text.
type Detector interface {
	// Detect looks at a part of a file, which starts after so many lines.
	Detect(ctx context.Context, file, text string, lines int) ([]Secret, error)
	// Version is the version of its rules.
	Version() string
}

// Open makes a detector. rules are the project's own, in gitleaks' form, nil
// for none; allowed honours the comments by which a line is left out.
type Open func(rules []byte, allowed bool) (Detector, error)

// Options are the task's params.
type Options struct {
	sast.Options
	GitleaksArgs string
}

// Command returns the task's command. With open nil it can only say that it is
// not there.
func Command(open Open) *cobra.Command {
	var opts Options
	var results result.Writer
	cmd := &cobra.Command{
		Use: "sast-gitleaks-check", Short: "Look for secrets in a source", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			allowed, usage := opts.readArgs()
			return opts.Run(cmd.Context(), results, usage, func(ctx context.Context, source sast.Source) (sast.Report, error) {
				if open == nil {
					return sast.Report{}, errors.New("this program was built without the rules of secrets: use sast-gitleaks-check")
				}
				return check(ctx, source, open, allowed)
			})
		},
	}
	f := cmd.Flags()
	opts.AddFlags(f)
	f.StringVar(&opts.GitleaksArgs, "gitleaks-args", "", "Arguments of gitleaks that are understood: --ignore-gitleaks-allow, --redact, --verbose, --no-banner")
	results.AddFlag(f)
	return cmd
}

// readArgs reads the arguments of the program that this task once ran.
func (o Options) readArgs() (allowed bool, err error) {
	allowed = true
	for arg := range strings.FieldsSeq(o.GitleaksArgs) {
		switch arg {
		case "--ignore-gitleaks-allow":
			allowed = false
		case "--redact", "--verbose", "-v", "--no-banner": // always redacted, and logged
		default:
			return false, &taskcli.UsageError{
				Flag: "gitleaks-args", Problem: fmt.Sprintf("%q is not supported", arg),
				Fix: "put rules and exceptions into .gitleaks.toml of the repository",
			}
		}
	}
	return allowed, nil
}

// rulesFile is where a project keeps rules and exceptions of its own.
const rulesFile = ".gitleaks.toml"

const (
	// maxRules is more than any project's rules have, in bytes.
	maxRules = 1 << 20
	// part is how much of a file is looked at at once, in bytes.
	part = 1 << 20
	// sniff is how many bytes at the start of a file say whether it is text.
	sniff = 8000
)

func check(ctx context.Context, source sast.Source, open Open, allowed bool) (sast.Report, error) {
	report := sast.Report{Tool: "sast-gitleaks-check", Kind: "text files"}
	rules, err := readRules(source)
	if err != nil {
		return report, err
	}
	if rules != nil {
		report.Properties = map[string]any{"rules": rulesFile}
	}
	detector, err := open(rules, allowed)
	if err != nil {
		return report, fmt.Errorf("reading %s: %w", rulesFile, err)
	}
	report.Version = detector.Version()
	err = source.Files(ctx, func(name string) error {
		if err := file(ctx, source, name, detector, &report); err != nil {
			return fmt.Errorf("reading %q: %w", name, err)
		}
		return nil
	})
	return report, err
}

func readRules(source sast.Source) ([]byte, error) {
	f, err := source.Open(rulesFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", rulesFile, err)
	}
	defer f.Close()
	rules, err := io.ReadAll(io.LimitReader(f, maxRules+1))
	if err == nil && len(rules) > maxRules {
		err = fmt.Errorf("has more than %d bytes", maxRules)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", rulesFile, err)
	}
	return rules, nil
}

// file looks at a file, in parts that end with a line where one ends near.
func file(ctx context.Context, source sast.Source, name string, detector Detector, report *sast.Report) error {
	f, err := source.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, part)
	start, err := r.Peek(sniff)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if strings.IndexByte(string(start), 0) >= 0 {
		return nil // not text
	}
	report.Files++
	seen := map[Secret]bool{}
	for lines := 0; ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		text, err := next(r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		found, err := detector.Detect(ctx, path.Clean(name), text, lines)
		if err != nil {
			return err
		}
		for _, s := range found {
			if !seen[s] {
				seen[s] = true
				report.Add(sast.Finding{Rule: s.Rule, Message: s.Description, File: name, Line: s.Line, Column: s.Column})
			}
		}
		lines += strings.Count(text, "\n")
	}
}

// next is the next part: so many bytes, and the rest of the line after them
// unless it is as long again. A secret of several lines is not cut in two where
// an empty line can be found.
func next(r *bufio.Reader) (string, error) {
	text := make([]byte, part)
	n, err := io.ReadFull(r, text)
	if n == 0 {
		return "", err
	}
	text = text[:n]
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", err
	}
	for len(text) < 2*part {
		line, err := r.ReadSlice('\n')
		text = append(text, line...)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return "", err
		}
		if len(line) <= 1 && err == nil {
			break // an empty line
		}
	}
	return string(text), nil
}
