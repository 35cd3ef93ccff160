package sastsnykcheck_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/pkg/sast"
	"github.com/headrace-ci/headrace/pkg/task/sastsnykcheck"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/testoutput"
	"github.com/headrace-ci/headrace/test/fixture"
)

// vendor stands for Snyk's program: it appends its arguments and its token to
// a log, writes the report it is given, and exits with the codes it is given,
// one a start, the last again and again.
const vendor = `#!/bin/sh
here=$(dirname "$0")
printf '%s|' "$SNYK_TOKEN" "$@" >> "$here/log"; echo >> "$here/log"
[ "$1" = ignore ] && exit 0
for a in "$@"; do case "$a" in --sarif-file-output=*) [ -f "$here/report" ] && cp "$here/report" "${a#*=}";; esac; done
code=$(head -n1 "$here/codes"); [ "$(wc -l < "$here/codes")" -gt 1 ] && sed -i 1d "$here/codes"
exit "$code"
`

type program struct{ dir string }

func snyk(t *testing.T, report string, codes ...string) program {
	t.Helper()
	p := program{t.TempDir()}
	files := map[string]string{"snyk": vendor, "codes": strings.Join(codes, "\n") + "\n", "token": "s3cret\n"}
	if report != "" {
		files["report"] = report
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(p.dir, name), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func (p program) args() []string {
	return []string{"--snyk=" + filepath.Join(p.dir, "snyk"), "--token-file=" + filepath.Join(p.dir, "token"), "--retry-delay=1ms"}
}

// starts are the argument vectors, with the token first; temporary folders are
// cut off.
func (p program) starts(t *testing.T) []string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(p.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(raw)), "\n")
}

func check(t *testing.T, args ...string) (int, string, testoutput.Output) {
	t.Helper()
	dir := t.TempDir()
	cmd := sastsnykcheck.Command()
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
	if strings.Contains(stderr.String(), "s3cret") || strings.Contains(string(raw), "s3cret") {
		t.Error("the token is in the log or in a result")
	}
	return code, stderr.String(), verdict
}

const (
	location = `"locations":[{"physicalLocation":{"artifactLocation":{"uri":"a.py"},"region":{"startLine":3,"startColumn":5}}}]`
	report   = `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"SnykCode","version":"1.0.0"}},"results":[
{"ruleId":"python/Sqli","level":"error","message":{"text":"SQL injection"},` + location + `},
{"ruleId":"python/Weak","level":"warning","message":{"text":"weak hash"},` + location + `}],
"properties":{"coverage":[{"files":8,"isSupported":true,"lang":"py","type":"SUPPORTED"},{"files":2,"lang":"x","type":"UNSUPPORTED"}]}}]}`
)

func TestVerdict(t *testing.T) {
	clean := strings.Replace(report, `"results":[`, `"results":[],"x":[`, 1)
	cases := map[string]struct {
		report   string
		codes    []string
		args     []string
		want     string
		failures int
		note     string
		starts   int
	}{
		"nothing found": {report: clean, codes: []string{"0"}, want: testoutput.Success, starts: 1},
		"only what is important counts": {
			report: report, codes: []string{"1"}, want: testoutput.Failure, failures: 1, note: "SQL injection", starts: 1,
		},
		"all counts when asked for": {
			report: report, codes: []string{"1"}, args: []string{"--imp-findings-only=false"}, want: testoutput.Failure, failures: 2, starts: 1,
		},
		"no file that it knows":       {codes: []string{"3"}, want: testoutput.Success, note: "0 supported files", starts: 1},
		"a failure that goes away":    {report: report, codes: []string{"2", "2", "1"}, want: testoutput.Failure, failures: 1, starts: 3},
		"a failure that stays":        {codes: []string{"2"}, want: testoutput.Error, note: "exited with 2", starts: 3},
		"a finding without a report":  {codes: []string{"1"}, want: testoutput.Error, note: "reading what", starts: 1},
		"a report that is none":       {report: "<html>", codes: []string{"1"}, want: testoutput.Error, note: "SARIF", starts: 1},
		"a finding that is not there": {report: clean, codes: []string{"1"}, want: testoutput.Error, note: "its report is empty", starts: 1},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			b, p := fixture.Build(t, map[string]string{"a.py": "x"}), snyk(t, tc.report, tc.codes...)

			code, stderr, verdict := check(t, append(append(b.Args(), p.args()...), tc.args...)...)

			if code != 0 || verdict.Result != tc.want || verdict.Failures != tc.failures || !strings.Contains(verdict.Note, tc.note) {
				t.Errorf("exit code = %d, verdict = %v, want %s with %q: %s", code, verdict, tc.want, tc.note, stderr)
			}
			if got := p.starts(t); len(got) != tc.starts {
				t.Errorf("started %d times, want %d", len(got), tc.starts)
			}
		})
	}
}

func TestReport(t *testing.T) {
	b, p := fixture.Build(t, map[string]string{"web/a.py": "x"}), snyk(t, report, "1")
	check(t, append(append(b.Args(), p.args()...), "--target-dirs=web")...)

	reports := fixture.Attached(t, b.Image)[sast.MediaType]
	if len(reports) != 1 {
		t.Fatalf("%d reports, want 1", len(reports))
	}
	found, err := sast.ParseSARIF(reports[0], func(f string) string { return f })
	if err != nil {
		t.Fatal(err)
	}
	want := []sast.Finding{
		{Rule: "python/Sqli", Level: "error", Message: "SQL injection", File: "web/a.py", Line: 3, Column: 5},
		{Rule: "python/Weak", Level: "warning", Message: "weak hash", File: "web/a.py", Line: 3, Column: 5},
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	var log struct {
		Runs []struct{ Properties map[string]int }
	}
	if err := json.Unmarshal(reports[0], &log); err != nil {
		t.Fatal(err)
	}
	stats := map[string]int{"snyk-scanned-files-total": 10, "snyk-scanned-files-success": 8, "snyk-scanned-files-coverage": 80}
	if diff := cmp.Diff(stats, log.Runs[0].Properties); diff != "" {
		t.Errorf("statistics (-want +got):\n%s", diff)
	}
}

// TestArguments shows what the vendor's program is started with: no value of a
// param is ever more than one argument, but ARGS.
func TestArguments(t *testing.T) {
	t.Setenv("COMPONENT_LABEL", "my app; touch x")
	b, p := fixture.Build(t, map[string]string{"a.py": "x"}), snyk(t, "", "0")
	check(t, append(append(b.Args(), p.args()...), "--args=-d  --org=$(id)", "--ignore-file-paths=test, $(touch x)/*")...)

	got := p.starts(t)
	for i, s := range got {
		for _, field := range strings.Split(s, "|") {
			if strings.HasPrefix(field, "/") || strings.HasPrefix(field, "--sarif") {
				s = strings.Replace(s, field, strings.SplitAfterN(field, "/", 2)[0]+filepath.Base(field), 1)
			}
		}
		got[i] = s
	}
	want := []string{
		"s3cret|ignore|--file-path=test|",
		"s3cret|ignore|--file-path=$(touch x)/*|",
		"s3cret|code|test|-d|--org=$(id)|--project-name=my app; touch x|/source|--max-depth=1|--sarif-file-output=/snyk-0.sarif|",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("starts (-want +got):\n%s", diff)
	}
}

func TestWithoutToken(t *testing.T) {
	b, p := fixture.Build(t, nil), snyk(t, "", "0")
	code, stderr, verdict := check(t, append(append(b.Args(), p.args()...), "--token-file=/nowhere/snyk_token")...)
	if code != 0 || verdict.Result != testoutput.Skipped || !strings.Contains(verdict.Note, "snyk_token") {
		t.Errorf("exit code = %d, verdict = %v: %s", code, verdict, stderr)
	}
	if _, err := os.Stat(filepath.Join(p.dir, "log")); err == nil {
		t.Error("the program was started")
	}
}

func TestThereIsAlwaysAVerdict(t *testing.T) {
	b := fixture.Build(t, map[string]string{"a.py": "x"})
	zeros := "sha256:" + strings.Repeat("0", 64)
	cases := map[string]struct {
		args []string // over good ones
		code int
		text string // in the note
	}{
		"the program is missing":  {args: []string{"--snyk=snyk-that-is-not-there"}, text: "baseImageOverrides"},
		"the source is gone":      {args: []string{"--source-artifact=oci:" + b.Image.Context().Name() + "@" + zeros}, text: "fetching artifact"},
		"the image is gone":       {args: []string{"--image-digest=" + zeros}, text: "resolving"},
		"extra artifacts to come": {args: []string{"--fetch-extra-artifacts"}, code: 2, text: "not supported yet"},
		"an argument of the task": {args: []string{"--args=--sarif-file-output=/x"}, code: 2, text: "set by the task"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p := snyk(t, "", "0")
			code, stderr, verdict := check(t, append(append(b.Args(), p.args()...), tc.args...)...)
			if code != tc.code || verdict.Result != testoutput.Error || !strings.Contains(verdict.Note, tc.text) {
				t.Errorf("exit code = %d, verdict = %v, want %d and a note with %q: %s", code, verdict, tc.code, tc.text, stderr)
			}
		})
	}
}
