package reportstatus

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"knative.dev/pkg/apis"

	"github.com/headrace-ci/headrace/pkg/report"
	"github.com/headrace-ci/headrace/pkg/scm"
	"github.com/headrace-ci/headrace/pkg/snapshot"
	"github.com/headrace-ci/headrace/pkg/tekton/testoutput"
)

// Links are where a report sends its readers.
type Links struct {
	ConsoleName         string
	Run, Task, Snapshot string // addresses with placeholders; empty where there is no console
}

// noConsole is the address where there is none, as upstream has it.
const noConsole = "https://CONSOLE_URL_NOT_AVAILABLE"

func (l Links) fill(template string, values ...string) string {
	if template == "" {
		return noConsole
	}
	for i := 1; i < len(values); i += 2 {
		values[i] = url.PathEscape(values[i])
	}
	return strings.NewReplacer(values...).Replace(template)
}

func (l Links) run(namespace, run string) string {
	return l.fill(l.Run, "{{NAMESPACE}}", namespace, "{{PIPELINE_RUN_NAME}}", run)
}

func (l Links) task(namespace, run, task string) string {
	return l.fill(l.Task, "{{NAMESPACE}}", namespace, "{{PIPELINE_RUN_NAME}}", run, "{{TASK_NAME}}", task)
}

func (l Links) snapshot(namespace, name string) string {
	return l.fill(l.Snapshot, "{{NAMESPACE}}", namespace, "{{SNAPSHOT_NAME}}", name)
}

// outcome is how a line's status is said.
type outcome struct {
	state  scm.State
	title  string
	phrase string
	icon   string
}

var outcomes = map[string]outcome{
	snapshot.Pending:              {scm.Pending, "Pending", "is pending", ":hourglass:"},
	report.BuildInProgress:        {scm.Pending, "Pending", "is pending because the build is in progress", ":hourglass:"},
	snapshot.InProgress:           {scm.Running, "In Progress", "is in progress", ":arrow_forward:"},
	snapshot.TestPassed:           {scm.Success, "Succeeded", "has passed", ":heavy_check_mark:"},
	snapshot.TestWarning:          {scm.Warning, "Warning", "has warning(s)", ":warning:"},
	snapshot.TestFail:             {scm.Failure, "Failed", "has failed", ":x:"},
	snapshot.TestInvalid:          {scm.Error, "Errored", "is invalid", ":heavy_exclamation_mark:"},
	"EnvironmentProvisionError":   {scm.Error, "Errored", "is invalid: its environment could not be provisioned", ":heavy_exclamation_mark:"},
	"DeploymentError":             {scm.Error, "Errored", "is invalid: its deployment failed", ":heavy_exclamation_mark:"},
	snapshot.Deleted:              {scm.Deleted, "Deleted", "was deleted before it ended", ":wastebasket:"},
	report.BuildFailed:            {scm.Cancelled, "Failed", "has not run because the build failed", ":x:"},
	report.SnapshotCreationFailed: {scm.Cancelled, "Failed", "has not run because no Snapshot could be made", ":x:"},
	report.GroupSnapshotFailed:    {scm.Cancelled, "Failed", "has not run because no group Snapshot could be made", ":x:"},
	report.GroupAwaited:           {scm.Warning, "Waiting", "", ":hourglass:"},
	report.GroupSettled:           {scm.Success, "Settled", "", ":heavy_check_mark:"},
	report.Canceled:               {scm.Cancelled, "Cancelled", "was cancelled", ":no_entry_sign:"},
}

// outcomeOf is what a status means; one that is not known may be said by a
// newer controller and has not passed.
func outcomeOf(status string) outcome {
	if o, ok := outcomes[strings.TrimSuffix(status, "_Deprecated")]; ok {
		return o
	}
	return outcome{scm.Error, "Errored", "has the unknown status " + status, ":question:"}
}

// of says what a report is on.
func of(s report.Subject) string {
	if s.Component == report.GroupName {
		return "Integration test for " + report.GroupName
	}
	return "Integration test for component " + s.Component
}

func summary(s report.Subject, line snapshot.Test) string {
	text := of(s)
	if s.Kind == report.KindSnapshot {
		text += " snapshot " + s.Name
	}
	if report.OfGroup(line) {
		return text + ": " + line.Details
	}
	text += " and "
	if line.Optional {
		text += "optional "
	}
	return text + "scenario " + line.Scenario + " " + outcomeOf(line.Status).phrase
}

// status is a line as hosts are told it.
func (t *task) status(ctx context.Context, s report.Subject, line snapshot.Test) scm.Status {
	o := outcomeOf(line.Status)
	status := scm.Status{
		Name:       fmt.Sprintf("%s / %s / %s", t.Links.ConsoleName, line.Scenario, s.Component),
		ExternalID: line.Scenario + "-" + s.Component,
		State:      o.state, Optional: line.Optional, Title: o.title, Summary: summary(s, line),
		Text: t.details(ctx, s, line), URL: t.link(s, line),
	}
	if line.StartTime != nil {
		status.Started = *line.StartTime
	}
	if line.CompletionTime != nil {
		status.Completed = *line.CompletionTime
	}
	return status
}

// link is where to read more: the test's run, or what it is a test of.
func (t *task) link(s report.Subject, line snapshot.Test) string {
	switch {
	case line.Run != "":
		return t.Links.run(s.Namespace, line.Run)
	case s.Kind == report.KindBuild:
		return t.Links.run(s.Namespace, s.Name)
	}
	return t.Links.snapshot(s.Namespace, s.Name)
}

// consolidated is one status for all scenarios.
func (t *task) consolidated(s report.Subject) scm.Status {
	passed, open, failed, all := 0, 0, 0, 0
	for _, line := range s.Lines {
		if report.OfGroup(line) {
			continue
		}
		all++
		switch {
		case line.Passed():
			passed++
		case !report.Final(line):
			open++
		case !line.Optional:
			failed++
		}
	}
	status := scm.Status{
		Name: t.Links.ConsoleName + " / Integration Tests", ExternalID: "integration-tests-" + s.Component, State: scm.Success, Title: "Integration Tests",
		Summary: fmt.Sprintf("%d/%d passed", passed, all), URL: t.Links.snapshot(s.Namespace, s.Name),
	}
	switch {
	case failed > 0:
		status.State = scm.Failure
	case open > 0:
		status.State = scm.Running
	}
	return status
}

// comment is all lines for a pull request.
func (t *task) comment(ctx context.Context, s report.Subject, note string) string {
	var b strings.Builder
	b.WriteString(of(s))
	if s.Kind == report.KindSnapshot {
		fmt.Fprintf(&b, " snapshot [%s](%s)", s.Name, t.Links.snapshot(s.Namespace, s.Name))
	}
	b.WriteString("\n\n| Scenario | Result | Details |\n| --- | --- | --- |\n")
	for _, line := range s.Lines {
		o, scenario := outcomeOf(line.Status), line.Scenario
		if line.Optional {
			scenario += " (optional)"
		}
		fmt.Fprintf(&b, "| [%s](%s) | %s %s | %s |\n", escape(scenario), t.link(s, line), o.icon, o.title, escape(line.Details))
	}
	for _, text := range []string{s.Warning, note} {
		if text != "" {
			fmt.Fprintf(&b, "\n%s\n", escape(text))
		}
	}
	for _, line := range s.Lines {
		if table := t.table(ctx, s, line); table != "" {
			fmt.Fprintf(&b, "\n<details><summary>%s</summary>\n\n%s\n</details>\n", escape(line.Scenario), table)
		}
	}
	return b.String()
}

// details are a line's, for a check run.
func (t *task) details(ctx context.Context, s report.Subject, line snapshot.Test) string {
	var parts []string
	for _, part := range []string{escape(line.Details), t.table(ctx, s, line), escape(s.Warning)} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if line.Run != "" {
		parts = append(parts, fmt.Sprintf("PipelineRun: [%s](%s)", line.Run, t.Links.run(s.Namespace, line.Run)))
	}
	return strings.Join(parts, "\n\n")
}

// table is what ran in a test that has ended, empty where nothing is known.
func (t *task) table(ctx context.Context, s report.Subject, line snapshot.Test) string {
	if !report.Final(line) {
		return ""
	}
	runs := t.tasks(ctx, line.Run)
	if len(runs) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("| Task | Duration | Test Suite | Status | Details |\n| --- | --- | --- | --- | --- |\n")
	for i := range runs {
		name := cmp.Or(runs[i].Labels["tekton.dev/pipelineTask"], runs[i].Name)
		suite, result, details := said(&runs[i])
		fmt.Fprintf(&b, "| [%s](%s) | %s | %s | %s | %s |\n", escape(name), t.Links.task(s.Namespace, line.Run, name), duration(&runs[i]), escape(suite), result, escape(details))
	}
	return b.String()
}

func duration(run *tektonv1.TaskRun) string {
	if run.Status.StartTime == nil || run.Status.CompletionTime == nil {
		return ""
	}
	return run.Status.CompletionTime.Sub(run.Status.StartTime.Time).Round(time.Second).String()
}

var verdicts = map[string]string{
	testoutput.Success: ":heavy_check_mark: SUCCESS", testoutput.Skipped: ":white_check_mark: SKIPPED", testoutput.Warning: ":warning: WARNING",
	testoutput.Failure: ":x: FAILURE", testoutput.Error: ":heavy_exclamation_mark: ERROR",
}

// said is what a task reported of itself, or else how it ended.
func said(run *tektonv1.TaskRun) (suite, result, details string) {
	for _, r := range run.Status.Results {
		if r.Name != testoutput.Name && r.Name != "HACBS_TEST_OUTPUT" {
			continue
		}
		out, err := testoutput.Parse(r.Value.StringVal)
		if err != nil {
			return "", ":heavy_exclamation_mark: Invalid result", err.Error()
		}
		var counts []string
		for _, c := range []struct {
			n    int
			word string
		}{{out.Successes, "success(es)"}, {out.Warnings, "warning(s)"}, {out.Failures, "failure(s)"}} {
			if c.n > 0 {
				counts = append(counts, fmt.Sprintf("%d %s", c.n, c.word))
			}
		}
		return out.Namespace, verdicts[out.Result], strings.Trim(strings.Join(counts, ", ")+". "+out.Note, ". ")
	}
	switch condition := run.Status.GetCondition(apis.ConditionSucceeded); {
	case condition.IsTrue():
		return "", ":heavy_check_mark: Succeeded", ""
	case condition.IsFalse():
		return "", ":x: " + escape(condition.Reason), condition.Message
	}
	return "", "", ""
}

// escape makes text safe to stand in a cell of a table: it cannot end the cell,
// be HTML, or call somebody by name.
func escape(text string) string {
	const most = 1000 // characters; a table of tasks has many cells
	text = strings.ToValidUTF8(text, "")
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return strings.NewReplacer("\\", "\\\\", "\r\n", " ", "\n", " ", "\r", " ", "|", "\\|", "<", "&lt;", "@", "@\u200b", "![", "!\\[").Replace(text)
}
