package testoutput_test

import (
	"strings"
	"testing"
	"time"

	"github.com/headrace-ci/headrace/pkg/tekton/testoutput"
)

func TestProcessed(t *testing.T) {
	cases := map[string]struct {
		pullspec string
		digests  []string
		want     string
	}{
		"two images":  {pullspec: "r/a:1", digests: []string{"sha256:1", "sha256:2"}, want: `{"image":{"pullspec":"r/a:1","digests":["sha256:1","sha256:2"]}}`},
		"nothing yet": {pullspec: "r/a:1", want: `{"image":{"pullspec":"r/a:1","digests":[]}}`},
		"quotes":      {pullspec: `"$(id)`, want: `{"image":{"pullspec":"\"$(id)","digests":[]}}`},
	}
	for title, tc := range cases {
		t.Run(title, func(t *testing.T) {
			if got := testoutput.Processed(tc.pullspec, tc.digests); got != tc.want {
				t.Errorf("Processed() = %s, want %s", got, tc.want)
			}
		})
	}
}

// TestLong: what a user wrote never makes a result too large.
func TestLong(t *testing.T) {
	long := strings.Repeat("é", 50_000)
	verdict := testoutput.New(testoutput.Failure, time.Unix(0, 0), long)
	if size := len(verdict.String()) + len(testoutput.Processed(long, nil)); size > 2000 {
		t.Errorf("the results have %d bytes", size)
	}
	if _, err := testoutput.Parse(verdict.String()); err != nil || !strings.HasPrefix(verdict.Note, "éé") {
		t.Errorf("verdict = %v, %v", verdict, err)
	}
}
