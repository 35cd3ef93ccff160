package testoutput

import (
	"context"
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

func failed(ctx context.Context, err error) Output {
	slog.ErrorContext(ctx, "the check could not be made", "error", err)
	return New(Error, time.Now(), cut("The check could not be made: "+err.Error(), maxError))
}
