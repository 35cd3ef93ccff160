// Package taskcli is what every task binary shares: signals, the log, exit
// codes and how an error is shown.
//
// Exit codes: 0 done, 1 failed, 2 called wrongly. A check that found something
// is done: it says so in its result.
package taskcli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// UsageError says that a flag has a value the command cannot work with. The
// program exits with 2.
type UsageError struct {
	Flag    string // without dashes; the task's param of that name, lower-kebabed
	Problem string
	Fix     string // what to write instead; may be empty
}

func (e *UsageError) Error() string { return fmt.Sprintf("--%s: %s", e.Flag, e.Problem) }

// Hint is the fix.
func (e *UsageError) Hint() string { return e.Fix }

// Main runs the command until it ends or the process is asked to stop, and
// exits.
func Main(cmd *cobra.Command) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(Run(ctx, cmd, os.Stderr))
}

// Run runs the command, writes its log and error to stderr, and returns the
// exit code.
func Run(ctx context.Context, cmd *cobra.Command, stderr io.Writer) int {
	if cmd.PersistentFlags().Lookup(logLevelFlag) == nil {
		AddLogLevel(cmd, slog.LevelInfo)
	}
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetErr(stderr)
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &callError{err} })
	before := cmd.PersistentPreRunE
	cmd.PersistentPreRunE = func(c *cobra.Command, args []string) error {
		level := cmd.PersistentFlags().Lookup(logLevelFlag).Value.(*logLevel)
		slog.SetDefault(slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.Level(*level)})))
		if before != nil {
			return before(c, args)
		}
		return nil
	}
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "%s: %v\n", cmd.Name(), err)
	var hinter interface{ Hint() string }
	if errors.As(err, &hinter) && hinter.Hint() != "" {
		fmt.Fprintf(stderr, "hint: %s\n", hinter.Hint())
	}
	var usage *UsageError
	var call *callError
	if errors.As(err, &usage) || errors.As(err, &call) {
		return 2
	}
	return 1
}

// callError is a command line that could not be read.
type callError struct{ error }

func (e *callError) Unwrap() error { return e.error }
