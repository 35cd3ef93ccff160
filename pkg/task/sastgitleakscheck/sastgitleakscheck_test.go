package sastgitleakscheck

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headrace-ci/headrace/pkg/tekton/testoutput"
)

// TestNext: the parts make up the file, none is larger than two, and one ends
// at an empty line where there is one.
func TestNext(t *testing.T) {
	cases := map[string]struct {
		text  string
		parts int
	}{
		"nothing":          {parts: 0},
		"a line":           {text: "a\n", parts: 1},
		"no line's end":    {text: strings.Repeat("x", 5*part), parts: 3},
		"an empty line":    {text: strings.Repeat("x\n", part/2) + "y\n\nz\n", parts: 2},
		"one part exactly": {text: strings.Repeat("x", part), parts: 1},
	}
	for title, tc := range cases {
		t.Run(title, func(t *testing.T) {
			r := bufio.NewReaderSize(strings.NewReader(tc.text), part)
			var all strings.Builder
			parts := 0
			for {
				text, err := next(r)
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if len(text) > 3*part {
					t.Errorf("part %d has %d bytes", parts, len(text))
				}
				parts++
				all.WriteString(text)
			}
			if all.String() != tc.text || parts != tc.parts {
				t.Errorf("%d parts of %d bytes, want %d of %d", parts, all.Len(), tc.parts, len(tc.text))
			}
		})
	}
}

// TestWithoutRules: the command that is listed among the others has no
// detector, and does not say that it found nothing.
func TestWithoutRules(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "source"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := Command(nil)
	cmd.SetArgs([]string{"--results-dir=" + dir, "--work-dir=" + dir})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, testoutput.Name))
	if err != nil {
		t.Fatal(err)
	}
	verdict, err := testoutput.Parse(string(raw))
	if err != nil || verdict.Result != testoutput.Error || !strings.Contains(verdict.Note, "built without the rules") {
		t.Errorf("verdict = %v, %v", verdict, err)
	}
}
