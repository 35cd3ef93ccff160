package testoutput_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/pkg/tekton/testoutput"
)

func TestParse(t *testing.T) {
	const good = `{"result":"SUCCESS","timestamp":"2026-01-02T03:04:05Z","note":"n","namespace":"default","successes":1,"failures":0,"warnings":2}`
	cases := map[string]struct {
		text    string
		want    testoutput.Output
		wantErr string
	}{
		"what a task writes": {
			text: good,
			want: testoutput.Output{Result: "SUCCESS", Timestamp: "2026-01-02T03:04:05Z", Note: "n", Namespace: "default", Successes: 1, Warnings: 2},
		},
		"seconds are a timestamp": {
			text: `{"result":"FAILURE","timestamp":"1700000000","successes":0,"failures":1,"warnings":0}`,
			want: testoutput.Output{Result: "FAILURE", Timestamp: "1700000000", Failures: 1},
		},
		"an unknown result":      {text: strings.Replace(good, "SUCCESS", "FINE", 1), wantErr: `"FINE" is none of`},
		"a count left out":       {text: strings.Replace(good, `"failures":0,`, "", 1), wantErr: "failures is missing"},
		"a negative count":       {text: strings.Replace(good, `"failures":0`, `"failures":-1`, 1), wantErr: "failures is missing or negative"},
		"a timestamp in words":   {text: strings.Replace(good, "2026-01-02T03:04:05Z", "today", 1), wantErr: `timestamp "today"`},
		"two values":             {text: good + good, wantErr: "more than one JSON value"},
		"not JSON":               {text: "SUCCESS", wantErr: "parsing TEST_OUTPUT"},
		"a count that is a word": {text: strings.Replace(good, `"successes":1`, `"successes":"1"`, 1), wantErr: "successes"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := testoutput.Parse(tc.text)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Fatalf("Parse() error = %v, want %q in it", err, tc.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if again, err := testoutput.Parse(got.String()); err != nil || again != got {
				t.Errorf("String() reads back as %v, %v", again, err)
			}
		})
	}
}

func TestMergeTakesTheWorst(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	passed, failed := testoutput.New(testoutput.Success, at, "fine"), testoutput.New(testoutput.Failure, at.Add(time.Hour), "one bad file")
	passed.Successes, failed.Failures = 3, 1

	want := testoutput.Output{Result: "FAILURE", Timestamp: "2026-01-02T04:04:05Z", Note: "one bad file", Namespace: "default", Successes: 3, Failures: 1}
	for _, got := range []testoutput.Output{testoutput.Merge(passed, failed), testoutput.Merge(failed, passed)} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`{"result":"SUCCESS","timestamp":"1700000000","successes":0,"failures":0,"warnings":0}`)
	f.Add(`{"result":null}`)
	f.Fuzz(func(t *testing.T, text string) {
		out, err := testoutput.Parse(text)
		if err == nil && (out.Successes < 0 || out.Failures < 0 || out.Warnings < 0) {
			t.Errorf("%q parsed to negative counts", text)
		}
	})
}
