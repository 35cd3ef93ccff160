package sastunicodecheck

import (
	"encoding/json"
	"fmt"
	"strings"
)

// sarifType is the media type of the report.
const sarifType = "application/sarif+json"

const ruleID = "unicode-control-character"

// The part of SARIF 2.1.0 that a report of findings needs.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool    sarifTool     `json:"tool"`
		Results []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name  string      `json:"name"`
		Rules []sarifRule `json:"rules"`
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
		Region           sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn"`
	}
)

// report writes the findings as SARIF.
func report(findings []finding) ([]byte, error) {
	run := sarifRun{
		Tool: sarifTool{Driver: sarifDriver{Name: "sast-unicode-check", Rules: []sarifRule{{
			ID:               ruleID,
			ShortDescription: sarifText{Text: "A character that is not printed and can make text look like other text"},
		}}}},
		Results: []sarifResult{}, // null would mean that nothing was looked at
	}
	for _, f := range findings {
		run.Results = append(run.Results, sarifResult{
			RuleID: ruleID, Level: "error", Message: sarifText{Text: f.message()},
			Locations: []sarifLocation{{PhysicalLocation: sarifPhysical{
				ArtifactLocation: sarifArtifact{URI: f.File},
				Region:           sarifRegion{StartLine: f.Line, StartColumn: f.Col},
			}}},
		})
	}
	return json.Marshal(sarifLog{
		Schema:  "https://json.schemastore.org/sarif-2.1.0.json",
		Version: "2.1.0", Runs: []sarifRun{run},
	})
}

// message names the characters, and never prints them.
func (f finding) message() string {
	var names []string
	for _, r := range f.Runes {
		names = append(names, fmt.Sprintf("%U", r))
	}
	return "control characters " + strings.Join(names, " ")
}
