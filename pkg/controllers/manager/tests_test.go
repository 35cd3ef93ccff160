package manager

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	domain "github.com/headrace-ci/headrace/pkg/snapshot"
)

// TestTestFlags takes what Konflux's deployment sets, and flags before that.
func TestTestFlags(t *testing.T) {
	t.Setenv("PIPELINE_TIMEOUT", "6h")
	t.Setenv("TASKS_TIMEOUT", "4h")
	t.Setenv("FINALLY_TIMEOUT", "soon")
	t.Setenv("CONSOLE_URL", "https://console.test/{{PIPELINE_RUN_NAME}}")
	var got domain.Defaults
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	testFlags(f, &got)
	if err := f.Parse([]string{"--test-tasks-timeout=1h"}); err != nil {
		t.Fatal(err)
	}
	want := domain.Defaults{Pipeline: 6 * time.Hour, Tasks: time.Hour, LogURL: "https://console.test/{{PIPELINE_RUN_NAME}}"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
