package sastshellcheck_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/pkg/run"
	"github.com/headrace-ci/headrace/pkg/sast"
	"github.com/headrace-ci/headrace/pkg/task/sastshellcheck"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/testoutput"
	"github.com/headrace-ci/headrace/test/fixture"
)

func check(t *testing.T, args ...string) (int, string, testoutput.Output) {
	t.Helper()
	dir := t.TempDir()
	cmd := sastshellcheck.Command()
	cmd.SetArgs(append([]string{"--results-dir=" + dir, "--work-dir=" + t.TempDir()}, args...))
	var stderr bytes.Buffer
	code := taskcli.Run(t.Context(), cmd, &stderr)
	raw, err := os.ReadFile(filepath.Join(dir, testoutput.Name))
	if err != nil {
		t.Fatal(err)
	}
	verdict, err := testoutput.Parse(string(raw))
	if err != nil {
		t.Fatal(err)
	}
	return code, stderr.String(), verdict
}

// needShellCheck skips a test where there is none.
func needShellCheck(t *testing.T) {
	t.Helper()
	if _, ok, err := run.Find("shellcheck"); err != nil || !ok {
		t.Skipf("SKIPPED: there is no shellcheck on this machine (apt-get install shellcheck): %v", err)
	}
}

// rules are those of the report attached to an image, by file and line.
func rules(t *testing.T, b fixture.Built) []string {
	t.Helper()
	reports := fixture.Attached(t, b.Image)[sast.MediaType]
	if len(reports) != 1 {
		t.Fatalf("%d reports are attached, want 1", len(reports))
	}
	found, err := sast.ParseSARIF(reports[0], func(f string) string { return f })
	if err != nil {
		t.Fatal(err)
	}
	all := []string{}
	for _, f := range found {
		all = append(all, f.File+" "+f.Rule)
	}
	return all
}

const (
	good = "#!/bin/sh\necho hello\n"
	bad  = "#!/bin/bash\nif [[ $1=b ]]; then echo $x; fi\n" // a comparison that is always true
)

func TestVerdict(t *testing.T) {
	needShellCheck(t)
	cases := map[string]struct {
		files    map[string]string
		args     []string
		want     string
		failures int
		rules    []string
	}{
		"scripts without mistakes": {
			files: map[string]string{"a.sh": good, "main.go": "package main"}, want: testoutput.Success, rules: []string{},
		},
		"a mistake": {
			files: map[string]string{"bin/a.sh": bad}, want: testoutput.Failure, failures: 1, rules: []string{"bin/a.sh SC2077"},
		},
		"a script by its first line": {
			files: map[string]string{"run": "#!/usr/bin/env bash\n[[ $1=b ]]\n"}, want: testoutput.Failure, failures: 1, rules: []string{"run SC2077"},
		},
		"errors and warnings when they are asked for": {
			files: map[string]string{"a.sh": bad}, args: []string{"--imp-findings-only=false"},
			want: testoutput.Failure, failures: 2, rules: []string{"a.sh SC2077", "a.sh SC2154"},
		},
		"another language": {
			files: map[string]string{"a.sh": "#!/usr/bin/python3\nif [[ $1=b ]]\n"}, want: testoutput.Success, rules: []string{},
		},
		"a template is left out": {
			files: map[string]string{"a.sh": bad + "{{ name }}\n"}, want: testoutput.Success, rules: []string{},
		},
		"a template when it is asked for": {
			files: map[string]string{"a.sh": bad + "# {{ name }}\n"}, args: []string{"--skip-jinja=false"},
			want: testoutput.Failure, failures: 1, rules: []string{"a.sh SC2077"},
		},
		"a name like an option runs nothing": {
			files: map[string]string{"--format=gcc.sh": bad, "$(touch x).sh": bad},
			want:  testoutput.Failure, failures: 2, rules: []string{"--format=gcc.sh SC2077", "$(touch x).sh SC2077"},
		},
		"folders that overlap": {
			files: map[string]string{"a/b/c.sh": bad, "d.sh": bad}, args: []string{"--target-dirs=a,a/b"},
			want: testoutput.Failure, failures: 1, rules: []string{"a/b/c.sh SC2077"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			b := fixture.Build(t, tc.files)

			code, stderr, verdict := check(t, append(b.Args(), tc.args...)...)

			if code != 0 || verdict.Result != tc.want || verdict.Failures != tc.failures {
				t.Errorf("exit code = %d, verdict = %v, want %s: %s", code, verdict, tc.want, stderr)
			}
			if diff := cmp.Diff(tc.rules, rules(t, b)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNoShellCheck: an image without ShellCheck has looked at nothing.
func TestNoShellCheck(t *testing.T) {
	b := fixture.Build(t, map[string]string{"a.sh": bad})
	code, stderr, verdict := check(t, append(b.Args(), "--shellcheck=shellcheck-that-is-not-there")...)
	if code != 0 || verdict.Result != testoutput.Skipped || !strings.Contains(verdict.Note, "baseImageOverrides") {
		t.Errorf("exit code = %d, verdict = %v: %s", code, verdict, stderr)
	}
	if got := fixture.Attached(t, b.Image); len(got) > 0 {
		t.Errorf("a report of nothing is attached: %v", got)
	}
}

func TestThereIsAlwaysAVerdict(t *testing.T) {
	needShellCheck(t)
	b := fixture.Build(t, map[string]string{"a.sh": good})
	zeros := "sha256:" + strings.Repeat("0", 64)
	cases := map[string]struct {
		args []string // over good ones
		code int
		text string // in the note
	}{
		"the source is gone":          {args: []string{"--source-artifact=oci:" + b.Image.Context().Name() + "@" + zeros}, text: "fetching artifact"},
		"the image is gone":           {args: []string{"--image-digest=" + zeros}, text: "resolving"},
		"the registry is gone":        {args: []string{"--source-artifact=oci:127.0.0.1:1/a@" + zeros}, text: "127.0.0.1:1"},
		"the folder is not there":     {args: []string{"--target-dirs=nowhere"}, text: "nowhere"},
		"a name of 100 kB":            {args: []string{"--target-dirs=" + strings.Repeat("-x", 50_000)}, text: "looking at"},
		"a program that is another":   {args: []string{"--shellcheck=true"}, text: "no ShellCheck"},
		"a folder outside":            {args: []string{"--target-dirs=../.."}, code: 2, text: "leaves the source"},
		"no source":                   {args: []string{"--source-artifact="}, code: 2, text: "--source-artifact: is empty"},
		"half an image":               {args: []string{"--image-url="}, code: 2, text: "--image-url"},
		"false positives are to come": {args: []string{"--kfp-git-url=https://example.com/x"}, code: 2, text: "not supported yet"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			code, stderr, verdict := check(t, append(b.Args(), tc.args...)...)
			if code != tc.code || verdict.Result != testoutput.Error || !strings.Contains(verdict.Note, tc.text) {
				t.Errorf("exit code = %d, verdict = %v, want %d and a note with %q: %s", code, verdict, tc.code, tc.text, stderr)
			}
		})
	}
}

// TestNoImage: without an image there is a verdict, and nothing to attach to.
func TestNoImage(t *testing.T) {
	needShellCheck(t)
	b := fixture.Build(t, map[string]string{"a.sh": bad})
	code, stderr, verdict := check(t, "--source-artifact="+b.Source)
	if code != 0 || verdict.Result != testoutput.Failure {
		t.Errorf("exit code = %d, verdict = %v: %s", code, verdict, stderr)
	}
}
