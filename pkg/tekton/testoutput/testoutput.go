// Package testoutput is the verdict of a test task: the value of its result
// TEST_OUTPUT, one line of JSON that policies and the integration service
// parse.
//
// A test task exits 0 whatever it finds; the verdict is here.
package testoutput

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Name is the result's name; LegacyName is what it was before, and is read too.
const (
	Name       = "TEST_OUTPUT"
	LegacyName = "HACBS_TEST_OUTPUT"
)

// What a verdict can be.
const (
	Success = "SUCCESS"
	Skipped = "SKIPPED"
	Warning = "WARNING"
	Failure = "FAILURE"
	Error   = "ERROR"
)

// severity orders verdicts, the mildest first.
var severity = []string{Success, Skipped, Warning, Failure, Error}

// Output is a verdict and the counts behind it.
type Output struct {
	Result    string `json:"result"`
	Timestamp string `json:"timestamp"` // RFC 3339 in UTC, or seconds since 1970
	Note      string `json:"note,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Successes int    `json:"successes"`
	Failures  int    `json:"failures"`
	Warnings  int    `json:"warnings"`
}

var timestamp = regexp.MustCompile(
	`^([0-9]{10}|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})?)$`)

// maxNote is how many bytes a note may have: results are small.
const maxNote = 1024

// New is a verdict given at now. A note that is too long for a result is cut.
func New(result string, now time.Time, note string) Output {
	return Output{Result: result, Timestamp: now.UTC().Format(time.RFC3339), Note: cut(note, maxNote), Namespace: "default"}
}

// cut is the beginning of text, at most so many bytes and no half character.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "")
}

// Parse reads a verdict and checks it: known result, timestamp, the three
// counts present and not negative.
func Parse(text string) (Output, error) {
	var raw struct {
		Output
		Successes *int `json:"successes"`
		Failures  *int `json:"failures"`
		Warnings  *int `json:"warnings"`
	}
	decoder := json.NewDecoder(bytes.NewBufferString(text))
	if err := decoder.Decode(&raw); err != nil {
		return Output{}, fmt.Errorf("parsing %s: %w", Name, err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return Output{}, fmt.Errorf("parsing %s: more than one JSON value", Name)
	}
	if !slices.Contains(severity, raw.Result) {
		return Output{}, fmt.Errorf("parsing %s: result %q is none of %v", Name, raw.Result, severity)
	}
	if !timestamp.MatchString(raw.Timestamp) {
		return Output{}, fmt.Errorf("parsing %s: timestamp %q is neither RFC 3339 nor seconds since 1970", Name, raw.Timestamp)
	}
	out := raw.Output
	for _, count := range []struct {
		name string
		from *int
		to   *int
	}{
		{"successes", raw.Successes, &out.Successes}, {"failures", raw.Failures, &out.Failures}, {"warnings", raw.Warnings, &out.Warnings},
	} {
		if count.from == nil || *count.from < 0 {
			return Output{}, fmt.Errorf("parsing %s: %s is missing or negative", Name, count.name)
		}
		*count.to = *count.from
	}
	return out, nil
}

// String is the verdict as one line of JSON.
func (o Output) String() string {
	text, err := json.Marshal(o)
	if err != nil {
		panic(err) // strings and integers always marshal
	}
	return string(text)
}

// Merge is the verdict over several: the counts summed, the latest timestamp,
// the worst result and the note that came with it.
func Merge(outputs ...Output) Output {
	if len(outputs) == 0 {
		return Output{}
	}
	merged := outputs[0]
	for _, o := range outputs[1:] {
		if slices.Index(severity, o.Result) > slices.Index(severity, merged.Result) {
			merged.Result, merged.Note = o.Result, o.Note
		}
		merged.Timestamp = max(merged.Timestamp, o.Timestamp)
		merged.Successes += o.Successes
		merged.Failures += o.Failures
		merged.Warnings += o.Warnings
	}
	return merged
}
