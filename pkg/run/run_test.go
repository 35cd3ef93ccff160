package run_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/headrace-ci/headrace/pkg/run"
)

func TestErrorCarriesTheEndOfTheOutput(t *testing.T) {
	err := run.Command{Name: "ls", Args: []string{"--", "/no/such/place"}}.Run(t.Context())

	var failed *run.Error
	if !errors.As(err, &failed) || failed.Code != 2 || !strings.Contains(failed.Output, "/no/such/place") {
		t.Errorf("Run() = %v, want exit code 2 and ls's own words", err)
	}
}

func TestValuesAreNotInterpreted(t *testing.T) {
	hostile := "$(touch /tmp/x); `id` '\" \n -n"
	out, err := run.Output(t.Context(), "printf", "%s", hostile)
	if err != nil || string(out) != hostile {
		t.Errorf("printf wrote %q (%v), want the value as it is", out, err)
	}
}

func TestCancelEndsTheProgram(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := (run.Command{Name: "sleep", Args: []string{"60"}}).Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run() = %v, want the context's error", err)
	}
}
