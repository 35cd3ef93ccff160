package manager

import (
	"os"
	"time"

	"github.com/spf13/pflag"

	domain "github.com/headrace-ci/headrace/pkg/snapshot"
)

// testFlags binds what an installation says of test runs. Each defaults to the
// environment variable by which Konflux has it configured.
func testFlags(f *pflag.FlagSet, d *domain.Defaults) {
	f.DurationVar(&d.Pipeline, "test-pipeline-timeout", fromEnvironment("PIPELINE_TIMEOUT"), "Timeout of test runs; 0 for Tekton's default [$PIPELINE_TIMEOUT]")
	f.DurationVar(&d.Tasks, "test-tasks-timeout", fromEnvironment("TASKS_TIMEOUT"), "Timeout of the tasks of test runs; 0 for none of their own [$TASKS_TIMEOUT]")
	f.DurationVar(&d.Finally, "test-finally-timeout", fromEnvironment("FINALLY_TIMEOUT"), "Timeout of the last tasks of test runs; 0 for none of their own [$FINALLY_TIMEOUT]")
	f.StringVar(&d.LogURL, "console-url", os.Getenv("CONSOLE_URL"), "Page of a run, with {{NAMESPACE}} and {{PIPELINE_RUN_NAME}} in it; empty for none [$CONSOLE_URL]")
}

// fromEnvironment is a variable's duration. What cannot be read is as if it
// were not there, as it is in a scenario's annotation.
func fromEnvironment(name string) time.Duration {
	d, err := time.ParseDuration(os.Getenv(name))
	if err != nil || d < 0 {
		return 0
	}
	return d
}
