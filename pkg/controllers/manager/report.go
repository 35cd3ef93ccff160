package manager

import (
	"cmp"
	"os"

	"github.com/spf13/pflag"

	"github.com/headrace-ci/headrace/pkg/controllers/report"
)

// reportFlags are how git hosts are told about tests. Upstream has them in
// variables.
func reportFlags(f *pflag.FlagSet, s *report.Settings) {
	s.AppSecret = "pipelines-as-code-secret"
	f.StringVar(&s.ConsoleName, "console-name", cmp.Or(os.Getenv("CONSOLE_NAME"), "Integration Service"), "What the name of a status on a git host begins with [$CONSOLE_NAME]")
	f.StringVar(&s.TaskURL, "console-url-tasklog", os.Getenv("CONSOLE_URL_TASKLOG"), "Page of a task's log, with {{NAMESPACE}}, {{PIPELINE_RUN_NAME}} and {{TASK_NAME}} in it; empty for none [$CONSOLE_URL_TASKLOG]")
	f.StringVar(&s.SnapshotURL, "console-url-snapshot", os.Getenv("CONSOLE_URL_SNAPSHOT"), "Page of a Snapshot, with {{NAMESPACE}} and {{SNAPSHOT_NAME}} in it; empty for none [$CONSOLE_URL_SNAPSHOT]")
	f.StringVar(&s.AppNamespace, "github-app-namespace", os.Getenv("INTEGRATION_NS"), "Namespace of Secret "+s.AppSecret+", the controller's when empty [$INTEGRATION_NS]")
	f.StringVar(&s.GitHubAPI, "github-app-api-url", "", "API of the GitHub that the App is of, such as https://host/api/v3; empty for github.com")
	f.IntVar(&s.Most, "max-concurrent-reports", 20, "Tasks at once that report to git hosts; 0 for any number")
}

// reports are the settings that other flags say, or that default to them.
func reports(opts Options) report.Settings {
	s := opts.Reports
	s.Namespace, s.RunURL = opts.Namespace, opts.Tests.LogURL
	s.AppNamespace = cmp.Or(s.AppNamespace, opts.Namespace)
	return s
}
