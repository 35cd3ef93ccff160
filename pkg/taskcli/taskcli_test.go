package taskcli_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func TestRun(t *testing.T) {
	cases := map[string]struct {
		args   []string
		err    error
		code   int
		stderr string
	}{
		"done": {},
		"a failure is named by the command": {
			err: errors.New("cloning: no"), code: 1, stderr: "thing: cloning: no\n",
		},
		"a usage error names the flag and the fix": {
			err:    fmt.Errorf("checking: %w", &taskcli.UsageError{Flag: "url", Problem: "is empty", Fix: "give a URL"}),
			code:   2,
			stderr: "thing: checking: --url: is empty\nhint: give a URL\n",
		},
		"an unknown flag is a wrong call": {
			args: []string{"--nope"}, code: 2, stderr: "thing: unknown flag: --nope\n",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			cmd := &cobra.Command{Use: "thing", RunE: func(*cobra.Command, []string) error { return tc.err }}
			cmd.SetArgs(append([]string{}, tc.args...))
			var stderr bytes.Buffer

			code := taskcli.Run(t.Context(), cmd, &stderr)

			if code != tc.code || stderr.String() != tc.stderr {
				t.Errorf("exit %d and %q, want %d and %q", code, stderr.String(), tc.code, tc.stderr)
			}
		})
	}
}

func TestLogLevel(t *testing.T) {
	cmd := &cobra.Command{Use: "thing", RunE: func(*cobra.Command, []string) error { return nil }}
	cmd.SetArgs([]string{"--log-level=loud"})
	var stderr bytes.Buffer
	if code := taskcli.Run(t.Context(), cmd, &stderr); code != 2 || !strings.Contains(stderr.String(), "log-level") {
		t.Errorf("exit %d and %q, want 2 and the flag's name", code, stderr.String())
	}
}
