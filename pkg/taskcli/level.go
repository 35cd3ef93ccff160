package taskcli

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"
)

const logLevelFlag = "log-level"

// AddLogLevel adds --log-level with a default of its own. A command that does
// not call it gets the flag from [Run], with info.
func AddLogLevel(cmd *cobra.Command, level slog.Level) {
	value := logLevel(level)
	cmd.PersistentFlags().Var(&value, logLevelFlag, "Least level to log: debug, info, warn or error")
}

// logLevel is a level as users write it: in lower case, "warning" for "warn"
// where a task has always called it so.
type logLevel slog.Level

func (l *logLevel) String() string { return strings.ToLower(slog.Level(*l).String()) }
func (l *logLevel) Type() string   { return "level" }

func (l *logLevel) Set(text string) error {
	name := text
	if strings.EqualFold(name, "warning") {
		name = "warn"
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(name)); err != nil {
		return fmt.Errorf("%q is none of debug, info, warn and error", text)
	}
	*l = logLevel(level)
	return nil
}
