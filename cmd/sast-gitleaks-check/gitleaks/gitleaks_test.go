package gitleaks_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/cmd/sast-gitleaks-check/gitleaks"
	"github.com/headrace-ci/headrace/pkg/run"
	"github.com/headrace-ci/headrace/pkg/sast"
	"github.com/headrace-ci/headrace/pkg/task/sastgitleakscheck"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/testoutput"
	"github.com/headrace-ci/headrace/test/fixture"
)

// token has the form of a token of GitHub's, and is none. It is in two parts so
// that this file has none.
var token = "ghp_" + "k3Jd82hFq0Zp7LmXw9RtVb4NcYs6GaUe1Toi"

// asProgram makes the test binary the program: rules are read once a process.
const asProgram = "HEADRACE_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		taskcli.Main(sastgitleakscheck.Command(gitleaks.New))
	}
	os.Exit(m.Run())
}

func check(t *testing.T, args ...string) (int, string, testoutput.Output) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, code := t.TempDir(), 0
	var stderr bytes.Buffer
	err = run.Command{
		Name: program, Args: append([]string{"--results-dir=" + dir, "--work-dir=" + t.TempDir()}, args...),
		Env: []string{asProgram + "=1"}, Stderr: &stderr,
	}.Run(t.Context())
	var exit *run.Error
	if errors.As(err, &exit) {
		code = exit.Code
	} else if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, testoutput.Name))
	if err != nil {
		t.Fatal(err)
	}
	verdict, err := testoutput.Parse(string(raw))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(stderr.String(), token) || strings.Contains(string(raw), token) {
		t.Error("the secret is in the log or in a result")
	}
	return code, stderr.String(), verdict
}

func TestVerdict(t *testing.T) {
	far := strings.Repeat("a line that is not empty\n", 100_000) // more than is looked at at once
	cases := map[string]struct {
		files map[string]string
		args  []string
		want  string
		found []string // file:line rule
		note  string
	}{
		"a source without secrets": {
			files: map[string]string{"main.go": "package main\n", "README.md": "token: see the vault\n"}, want: testoutput.Success, found: []string{}, note: "2 text files",
		},
		"a token": {
			files: map[string]string{"a/b.env": "x=1\nTOKEN=" + token + "\n"}, want: testoutput.Failure, found: []string{"a/b.env:2 github-pat"}, note: "GitHub Personal Access Token",
		},
		"the same token twice": {
			files: map[string]string{"a.env": token + "\n" + token + "\n"}, want: testoutput.Failure, found: []string{"a.env:1 github-pat", "a.env:2 github-pat"},
		},
		"far into a file": {
			files: map[string]string{"a.txt": far + token + "\n" + far}, want: testoutput.Failure, found: []string{"a.txt:100001 github-pat"},
		},
		"in a folder that is not looked at": {
			files: map[string]string{"a/x": token, "b/x": "x"}, args: []string{"--target-dirs=b"}, want: testoutput.Success, found: []string{},
		},
		"a line that is left out": {
			files: map[string]string{"a": token + " # gitleaks:allow\n"}, want: testoutput.Success, found: []string{},
		},
		"a line that is not, when asked for": {
			files: map[string]string{"a": token + " # gitleaks:allow\n"}, args: []string{"--gitleaks-args=--ignore-gitleaks-allow -v"}, want: testoutput.Failure, found: []string{"a:1 github-pat"},
		},
		"rules of the project add to the others": {
			files: map[string]string{".gitleaks.toml": "[[rules]]\nid = \"ours\"\ndescription = \"our key\"\nregex = '''OURS-[0-9]{8}'''\n", "a": "OURS-12345678\n", "b": token},
			want:  testoutput.Failure, found: []string{"a:1 ours", "b:1 github-pat"},
		},
		"an exception of the project": {
			files: map[string]string{".gitleaks.toml": "[[allowlists]]\npaths = ['''^testdata/''']\n", "testdata/a": token}, want: testoutput.Success, found: []string{},
		},
	}
	for title, tc := range cases {
		t.Run(title, func(t *testing.T) {
			b := fixture.Build(t, tc.files)

			code, stderr, verdict := check(t, append(b.Args(), tc.args...)...)

			if code != 0 || verdict.Result != tc.want || verdict.Failures != len(tc.found) || !strings.Contains(verdict.Note, tc.note) {
				t.Errorf("exit code = %d, verdict = %v, want %s with %q: %s", code, verdict, tc.want, tc.note, stderr)
			}
			reports := fixture.Attached(t, b.Image)[sast.MediaType]
			if len(reports) != 1 {
				t.Fatalf("%d reports are attached, want 1", len(reports))
			}
			if bytes.Contains(reports[0], []byte(token)) {
				t.Error("the secret is in the report")
			}
			findings, err := sast.ParseSARIF(reports[0], func(f string) string { return f })
			if err != nil {
				t.Fatal(err)
			}
			found := []string{}
			for _, f := range findings {
				found = append(found, f.File+":"+strconv.Itoa(f.Line)+" "+f.Rule)
			}
			if diff := cmp.Diff(tc.found, found); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestThereIsAlwaysAVerdict(t *testing.T) {
	zeros := "sha256:" + strings.Repeat("0", 64)
	cases := map[string]struct {
		rules string
		args  func(fixture.Built) []string // over good ones
		code  int
		text  string // in the note
	}{
		"rules that are no TOML":       {rules: "[[", text: "reading .gitleaks.toml"},
		"a rule that is no rule":       {rules: "[[rules]]\nid = \"x\"\nregex = '''(('''\n", text: "no rule"},
		"rules that read another file": {rules: "[extend]\npath = \"/etc/passwd\"\n", text: "not supported"},
		"rules that are far too many":  {rules: strings.Repeat("#", 1<<20+1), text: "more than"},
		"the source is gone": {args: func(b fixture.Built) []string {
			return []string{"--source-artifact=oci:" + b.Image.Context().Name() + "@" + zeros}
		}, text: "fetching artifact"},
		"the image is gone":              {args: func(fixture.Built) []string { return []string{"--image-digest=" + zeros} }, text: "resolving"},
		"an argument nobody understands": {args: func(fixture.Built) []string { return []string{"--gitleaks-args=--exit-code=0"} }, code: 2, text: "--exit-code=0"},
	}
	for title, tc := range cases {
		t.Run(title, func(t *testing.T) {
			files := map[string]string{"a": "x"}
			if tc.rules != "" {
				files[".gitleaks.toml"] = tc.rules
			}
			b := fixture.Build(t, files)
			args := b.Args()
			if tc.args != nil {
				args = append(args, tc.args(b)...)
			}
			code, stderr, verdict := check(t, args...)
			if code != tc.code || verdict.Result != testoutput.Error || !strings.Contains(verdict.Note, tc.text) {
				t.Errorf("exit code = %d, verdict = %v, want %d and a note with %q: %s", code, verdict, tc.code, tc.text, stderr)
			}
		})
	}
}
