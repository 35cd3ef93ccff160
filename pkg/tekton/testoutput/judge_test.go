package testoutput_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/headrace-ci/headrace/pkg/tekton/testoutput"
)

type hinting struct{ error }

func (hinting) Hint() string { return "start it" }

func TestJudge(t *testing.T) {
	cases := map[string]struct {
		check func(context.Context) (testoutput.Output, error)
		want  string
		note  string
	}{
		"a verdict is handed on": {
			check: func(context.Context) (testoutput.Output, error) {
				return testoutput.New(testoutput.Failure, time.Unix(0, 0), "found"), nil
			},
			want: testoutput.Failure, note: "found",
		},
		"an error is a verdict": {
			check: func(context.Context) (testoutput.Output, error) { return testoutput.Output{}, errors.New("no disk") },
			want:  testoutput.Error, note: "no disk",
		},
		"so is a panic": {
			check: func(context.Context) (testoutput.Output, error) { panic("index out of range") },
			want:  testoutput.Error, note: "crashed: index out of range",
		},
		"what to do about it is said": {
			check: func(context.Context) (testoutput.Output, error) {
				return testoutput.Output{}, fmt.Errorf("scanning: %w", hinting{errors.New("no daemon")})
			},
			want: testoutput.Error, note: "scanning: no daemon. What to do: start it",
		},
		"a long error is cut between characters": {
			check: func(context.Context) (testoutput.Output, error) {
				return testoutput.Output{}, errors.New(strings.Repeat("é", 1000))
			},
			want: testoutput.Error, note: "éé",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := testoutput.Judge(t.Context(), tc.check)
			if got.Result != tc.want || !strings.Contains(got.Note, tc.note) || len(got.Note) > 600 {
				t.Errorf("Judge() = %v, want %s with %q", got, tc.want, tc.note)
			}
			if _, err := testoutput.Parse(got.String()); err != nil {
				t.Error(err)
			}
		})
	}
}
