package sast

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/headrace-ci/headrace/pkg/tekton/testoutput"
)

// MediaType is that of a report.
const MediaType = "application/sarif+json"

// maxFindings bounds a report: a source with more is as bad as it gets.
const maxFindings = 10000

// Finding is one thing that should not be there.
type Finding struct {
	Rule    string // what says so
	Level   string // error, warning or note; "" for error
	Message string // never the secret, if it is one
	File    string // relative to the source, with slashes
	Line    int    // from 1
	Column  int    // from 1; 0 when it is not known
}

// Rule is what a finding is by.
type Rule struct{ ID, Description string }

// Report is what a check found.
type Report struct {
	Tool, Version string
	Rules         []Rule // what the findings' rules mean, where the report is to say it
	Findings      []Finding
	More          int            // findings past those that are listed
	Files         int            // files looked at
	Kind          string         // of files, as in "No findings in 3 shell scripts"
	Skipped       string         // why nothing was looked at; "" when it was
	ErrorsOnly    bool           // the verdict is about findings of level error; the report has all
	Properties    map[string]any // of the run, in the report
}

// Add adds a finding, or counts it when there are too many.
func (r *Report) Add(f Finding) {
	if len(r.Findings) == maxFindings {
		r.More++
		return
	}
	r.Findings = append(r.Findings, f)
}

func (r Report) verdict(now time.Time) testoutput.Output {
	counted := r.Findings
	if r.ErrorsOnly {
		counted = slices.DeleteFunc(slices.Clone(counted), func(f Finding) bool { return f.Level != "error" && f.Level != "" })
	}
	found := len(counted) + r.More
	switch {
	case r.Skipped != "":
		return testoutput.New(testoutput.Skipped, now, r.Skipped)
	case found > 0:
		first := Finding{}
		if len(counted) > 0 {
			first = counted[0]
		}
		out := testoutput.New(testoutput.Failure, now, fmt.Sprintf("%d findings in %d %s, the first in line %d of %q: %s (%s)",
			found, r.Files, r.Kind, first.Line, clip(first.File), clip(first.Message), clip(first.Rule)))
		out.Failures = found
		return out
	}
	out := testoutput.New(testoutput.Success, now, fmt.Sprintf("No findings in %d %s", r.Files, r.Kind))
	out.Successes = 1
	return out
}

// clip keeps what a source says from filling a result.
func clip(text string) string {
	const most = 200
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// The part of SARIF 2.1.0 that a report of findings needs.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool       sarifTool      `json:"tool"`
		Results    []sarifResult  `json:"results"`
		Properties map[string]any `json:"properties,omitempty"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version,omitempty"`
		Rules   []sarifRule `json:"rules,omitempty"`
	}
	sarifRule struct {
		ID               string    `json:"id"`
		ShortDescription sarifText `json:"shortDescription"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID    string          `json:"ruleId"`
		Level     string          `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations"`
	}
	sarifLocation struct {
		PhysicalLocation sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		ArtifactLocation sarifArtifact `json:"artifactLocation"`
		Region           *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn,omitempty"`
	}
)

// SARIF is the report in SARIF 2.1.0.
func (r Report) SARIF() ([]byte, error) {
	run := sarifRun{
		Tool:       sarifTool{Driver: sarifDriver{Name: r.Tool, Version: r.Version}},
		Results:    []sarifResult{}, // null would mean that nothing was looked at
		Properties: r.Properties,
	}
	for _, rule := range r.Rules {
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{rule.ID, sarifText{rule.Description}})
	}
	for _, f := range r.Findings {
		result := sarifResult{RuleID: f.Rule, Level: f.Level, Message: sarifText{f.Message}}
		if result.Level == "" {
			result.Level = "error"
		}
		place := sarifPhysical{ArtifactLocation: sarifArtifact{f.File}}
		if f.Line > 0 {
			place.Region = &sarifRegion{StartLine: f.Line, StartColumn: f.Column}
		}
		result.Locations = []sarifLocation{{place}}
		run.Results = append(run.Results, result)
	}
	return json.Marshal(sarifLog{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run}})
}

// ParseSARIF reads the findings of a program's report, the files below folder
// of the source.
func ParseSARIF(raw []byte, folder func(string) string) ([]Finding, error) {
	var log sarifLog
	if err := json.Unmarshal(raw, &log); err != nil {
		return nil, fmt.Errorf("reading a report in SARIF: %w", err)
	}
	if len(log.Runs) == 0 {
		return nil, fmt.Errorf("reading a report in SARIF: it has no run")
	}
	var found []Finding
	for _, run := range log.Runs {
		for _, r := range run.Results {
			f := Finding{Rule: r.RuleID, Level: r.Level, Message: r.Message.Text}
			if len(r.Locations) > 0 {
				place := r.Locations[0].PhysicalLocation
				f.File = folder(place.ArtifactLocation.URI)
				if place.Region != nil {
					f.Line, f.Column = place.Region.StartLine, place.Region.StartColumn
				}
			}
			found = append(found, f)
		}
	}
	return found, nil
}
