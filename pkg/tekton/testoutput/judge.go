package testoutput

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// maxError is how many bytes of an error go into a note.
const maxError = 512

// Judge runs a check. Its error, and its panic, become the verdict Error, so
// that a test task always has one.
func Judge(ctx context.Context, check func(context.Context) (Output, error)) (verdict Output) {
	defer func() {
		if cause := recover(); cause != nil {
			verdict = failed(ctx, fmt.Errorf("the check crashed: %v", cause))
		}
	}()
	verdict, err := check(ctx)
	if err != nil {
		return failed(ctx, err)
	}
	return verdict
}

// failed is the verdict of a check that could not be made, with what to do
// about it where the error says so.
func failed(ctx context.Context, err error) Output {
	note, logged := cut("The check could not be made: "+err.Error(), maxError), []any{"error", err}
	var hinter interface{ Hint() string }
	if errors.As(err, &hinter) && hinter.Hint() != "" {
		note, logged = note+". What to do: "+hinter.Hint(), append(logged, "hint", hinter.Hint())
	}
	slog.ErrorContext(ctx, "the check could not be made", logged...)
	return New(Error, time.Now(), note)
}
