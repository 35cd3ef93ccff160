package taskcli_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func TestAddLogLevel(t *testing.T) {
	cases := map[string]struct {
		args []string
		code int
		want bool // whether a debug message is shown
	}{
		"the command's own default": {want: true},
		"less when asked":           {args: []string{"--log-level=warning"}},
		"an unknown level is refused": {
			args: []string{"--log-level=loud"}, code: 2,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			cmd := &cobra.Command{Use: "x", RunE: func(*cobra.Command, []string) error {
				slog.Debug("detail")
				return nil
			}}
			taskcli.AddLogLevel(cmd, slog.LevelDebug)
			cmd.SetArgs(tc.args)
			var stderr strings.Builder
			if code := taskcli.Run(context.Background(), cmd, &stderr); code != tc.code {
				t.Errorf("exit code = %d, want %d: %s", code, tc.code, &stderr)
			}
			if got := strings.Contains(stderr.String(), "detail"); got != tc.want {
				t.Errorf("shown = %v, want %v: %s", got, tc.want, &stderr)
			}
		})
	}
	if got := defaultLevel(); got != "debug" {
		t.Errorf("default = %q, want it as a Task writes it", got)
	}
}

func defaultLevel() string {
	cmd := &cobra.Command{Use: "x"}
	taskcli.AddLogLevel(cmd, slog.LevelDebug)
	return cmd.PersistentFlags().Lookup("log-level").DefValue
}
