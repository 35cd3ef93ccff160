package sastunicodecheck

import (
	"fmt"
	"strings"

	"github.com/headrace-ci/headrace/pkg/sast"
)

const ruleID = "unicode-control-character"

// report writes the findings as SARIF.
func report(findings []finding) ([]byte, error) {
	r := sast.Report{
		Tool:  "sast-unicode-check",
		Rules: []sast.Rule{{ID: ruleID, Description: "A character that is not printed and can make text look like other text"}},
	}
	for _, f := range findings {
		r.Findings = append(r.Findings, sast.Finding{Rule: ruleID, Message: f.message(), File: f.File, Line: f.Line, Column: f.Col})
	}
	return r.SARIF()
}

// message names the characters, and never prints them.
func (f finding) message() string {
	var names []string
	for _, r := range f.Runes {
		names = append(names, fmt.Sprintf("%U", r))
	}
	return "control characters " + strings.Join(names, " ")
}
