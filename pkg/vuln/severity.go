package vuln

import (
	"strings"

	cvss2 "github.com/pandatix/go-cvss/20"
	cvss30 "github.com/pandatix/go-cvss/30"
	cvss31 "github.com/pandatix/go-cvss/31"
	cvss4 "github.com/pandatix/go-cvss/40"
)

// Severity is how bad a vulnerability is, in the words that policies know.
type Severity string

// The severities, the worst first. Negligible counts as low.
const (
	Critical   Severity = "Critical"
	High       Severity = "High"
	Medium     Severity = "Medium"
	Low        Severity = "Low"
	Negligible Severity = "Negligible"
	Unknown    Severity = "Unknown"
)

// words are how databases and distributions say it.
var words = map[string]Severity{
	"critical": Critical, "high": High, "important": High, "medium": Medium, "moderate": Medium,
	"low": Low, "negligible": Negligible, "unimportant": Negligible,
}

// severity is what is said of the package; if nothing is, of the vulnerability;
// a word before a score.
func severity(r *Record, a Affected) Severity {
	for _, word := range []any{
		a.EcosystemSpecific.Severity, a.EcosystemSpecific.Urgency, a.DatabaseSpecific.Severity, r.DatabaseSpecific.Severity,
	} {
		text, _ := word.(string)
		if s, ok := words[strings.ToLower(strings.TrimSpace(text))]; ok {
			return s
		}
	}
	for _, scores := range [][]Score{a.Severity, r.Severity} {
		for _, kind := range []string{"CVSS_V4", "CVSS_V3", "CVSS_V2", "Ubuntu"} {
			for _, s := range scores {
				if s.Type != kind {
					continue
				}
				if known := s.severity(); known != Unknown {
					return known
				}
			}
		}
	}
	return Unknown
}

func (s Score) severity() Severity {
	if known, ok := words[strings.ToLower(s.Score)]; ok {
		return known
	}
	score, ok := s.number()
	switch {
	case !ok:
		return Unknown
	case score >= 9:
		return Critical
	case score >= 7:
		return High
	case score >= 4:
		return Medium
	case score > 0:
		return Low
	}
	return Negligible
}

// number is the base score of a CVSS vector.
func (s Score) number() (float64, bool) {
	switch {
	case strings.HasPrefix(s.Score, "CVSS:4.0/"):
		v, err := cvss4.ParseVector(s.Score)
		if err != nil {
			return 0, false
		}
		return v.Score(), true
	case strings.HasPrefix(s.Score, "CVSS:3.1/"):
		v, err := cvss31.ParseVector(s.Score)
		if err != nil {
			return 0, false
		}
		return v.BaseScore(), true
	case strings.HasPrefix(s.Score, "CVSS:3.0/"):
		v, err := cvss30.ParseVector(s.Score)
		if err != nil {
			return 0, false
		}
		return v.BaseScore(), true
	case s.Type == "CVSS_V2":
		v, err := cvss2.ParseVector(s.Score)
		if err != nil {
			return 0, false
		}
		return v.BaseScore(), true
	}
	return 0, false
}
