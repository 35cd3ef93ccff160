package verifyconforma

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/tekton/testoutput"
)

// AssertOptions say where ec's report is, and how serious it is.
type AssertOptions struct {
	Dir          string
	ExitCodeFile string
	Strict       bool
}

// report is the part of ec's JSON that is read.
type report struct {
	Success    bool        `json:"success"`
	Components []component `json:"components"`
}

type component struct {
	Name       string    `json:"name"`
	Image      string    `json:"containerImage"`
	Success    bool      `json:"success"`
	Violations []finding `json:"violations"`
	Warnings   []finding `json:"warnings"`
}

type finding struct {
	Message  string         `json:"msg"`
	Metadata map[string]any `json:"metadata"`
}

func (f finding) String() string {
	if code, ok := f.Metadata["code"].(string); ok {
		return code + ": " + f.Message
	}
	return f.Message
}

// ViolationError says what violates the policy.
type ViolationError struct{ Findings []string }

func (e *ViolationError) Error() string {
	return fmt.Sprintf("the policy is not satisfied, %d finding(s):\n  %s", len(e.Findings), strings.Join(e.Findings, "\n  "))
}

// Hint says where a fix is.
func (e *ViolationError) Hint() string {
	return "each line names the rule, and what to change; rules are in the policy's sources"
}

// Assert reads ec's report and gives the verdict. The error is nil unless the
// task shall fail: because ec could not do its work, or because it found
// something and strict is set.
func Assert(opts AssertOptions) (testoutput.Output, error) {
	r, err := read(opts)
	if err != nil {
		return testoutput.New(testoutput.Error, time.Now(), short(err.Error())), err
	}
	var findings []string
	output := testoutput.New(testoutput.Success, time.Now(), "all images satisfy the policy")
	for _, c := range r.Components {
		output.Warnings += len(c.Warnings)
		if c.Success && len(c.Violations) == 0 {
			output.Successes++
			continue
		}
		output.Failures += max(1, len(c.Violations))
		for _, v := range c.Violations {
			findings = append(findings, fmt.Sprintf("%s (%s): %s", c.Name, c.Image, v))
		}
		if len(c.Violations) == 0 {
			findings = append(findings, fmt.Sprintf("%s (%s): ec reports no success", c.Name, c.Image))
		}
	}
	switch {
	case len(findings) > 0 || !r.Success:
		output.Result, output.Note = testoutput.Failure, short(strings.Join(findings, "; "))
		failure := &ViolationError{Findings: findings}
		if opts.Strict {
			return output, failure
		}
		fmt.Fprintln(os.Stderr, failure)
	case output.Warnings > 0:
		output.Result, output.Note = testoutput.Warning, fmt.Sprintf("%d warning(s)", output.Warnings)
	}
	return output, nil
}

// read returns the report if it is whole: ec ended well, and it is about every
// component that was asked about, and each by the image that was asked.
func read(opts AssertOptions) (*report, error) {
	if opts.ExitCodeFile != "" {
		code, err := os.ReadFile(opts.ExitCodeFile)
		if err != nil {
			return nil, fmt.Errorf("reading ec's exit code: %w", err)
		}
		if text := strings.TrimSpace(string(code)); text != "0" {
			return nil, fmt.Errorf("ec could not do its work (exit code %s): see the log of the step before", text)
		}
	}
	text, err := os.ReadFile(filepath.Join(opts.Dir, reportFile))
	if err != nil {
		return nil, fmt.Errorf("reading ec's report: %w", err)
	}
	var r report
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("reading ec's report: %w", err)
	}
	asked, err := os.ReadFile(filepath.Join(opts.Dir, imagesFile))
	if err != nil {
		return nil, err
	}
	spec, err := readSpec(asked)
	if err != nil {
		return nil, err
	}
	return &r, covers(r.Components, spec.Components)
}

// covers fails when a component is missing in the report.
func covers(got []component, want []v1alpha1.SnapshotComponent) error {
	var problems []error
	for _, w := range want {
		reported := slices.ContainsFunc(got, func(c component) bool {
			return c.Name == w.Name && digestOf(c.Image) == digestOf(w.ContainerImage)
		})
		if !reported {
			problems = append(problems, fmt.Errorf("ec's report says nothing about component %q (%s)", w.Name, w.ContainerImage))
		}
	}
	return errors.Join(problems...)
}

func digestOf(image string) string {
	_, digest, _ := strings.Cut(image, "@")
	return digest
}

// short keeps a note within what results may take together.
func short(s string) string {
	const limit = 1024
	if len(s) > limit {
		return strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return s
}
