package snapshot_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"

	"github.com/headrace-ci/headrace/pkg/snapshot"
)

func TestTurnOf(t *testing.T) {
	settled := `{"status":"failed","reason":"ResultMissing","message":"m"}`
	late := `{"status":"failed","reason":"NotSigned","message":"m"}`
	cases := map[string]struct {
		status      corev1.ConditionStatus
		annotations map[string]string
		labels      map[string]string
		deleted     bool
		want        snapshot.Turn
	}{
		"running":                         {want: snapshot.Hold},
		"deleted while it runs":           {deleted: true, want: snapshot.LetGo},
		"failed":                          {status: "False", want: snapshot.Report},
		"failed and deleted":              {status: "False", deleted: true, want: snapshot.Report},
		"succeeded":                       {status: "True", want: snapshot.Make},
		"succeeded and deleted":           {status: "True", deleted: true, want: snapshot.Make},
		"has its Snapshot":                {status: "True", annotations: map[string]string{snapshot.SnapshotKey: "s"}, want: snapshot.LetGo},
		"never has one":                   {status: "True", annotations: map[string]string{snapshot.CreatedAnnotation: settled}, want: snapshot.LetGo},
		"waits for a signature":           {status: "True", annotations: map[string]string{snapshot.CreatedAnnotation: late}, want: snapshot.Make},
		"says what nobody can read":       {status: "True", annotations: map[string]string{snapshot.CreatedAnnotation: "soon"}, want: snapshot.Make},
		"out of a backup":                 {status: "True", labels: map[string]string{"velero.io/restore-name": "r"}, want: snapshot.Leave},
		"out of a backup, while it ran":   {labels: map[string]string{"velero.io/backup-name": "b"}, want: snapshot.Leave},
		"upstream's word on what failed":  {status: "True", annotations: map[string]string{snapshot.CreatedAnnotation: `{"status":"failed","message":"m"}`}, want: snapshot.LetGo},
		"upstream's word on what is done": {status: "True", annotations: map[string]string{snapshot.CreatedAnnotation: `{"status":"success","message":"m"}`}, want: snapshot.LetGo},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			run := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Annotations: tc.annotations, Labels: tc.labels}}
			if tc.status != "" {
				run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: tc.status})
			}
			if tc.deleted {
				run.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
			}
			if got := snapshot.TurnOf(run); got != tc.want {
				t.Errorf("TurnOf() = %d, want %d", got, tc.want)
			}
		})
	}
}

// hinted is an error that says what to do.
type hinted struct{}

func (hinted) Error() string { return "no signature" }
func (hinted) Hint() string  { return "ask Chains" }

func TestDecideProof(t *testing.T) {
	cases := map[string]struct {
		err     error
		age     time.Duration
		deleted time.Duration // ago, 0 for not
		signed  string
		proceed bool
		warning string
		status  string // said
		reason  string
		again   time.Duration
	}{
		"proven":                             {age: time.Hour, proceed: true},
		"proven, though Chains gave up":      {signed: "failed", proceed: true},
		"at once":                            {err: hinted{}, age: 0, again: time.Second},
		"after a while":                      {err: hinted{}, age: 15 * time.Second, again: 1500 * time.Millisecond},
		"after a longer while":               {err: hinted{}, age: time.Minute, status: "pending", reason: "WaitingForSigning", again: 6 * time.Second},
		"after the deadline":                 {err: hinted{}, age: 5*time.Minute + time.Second, status: "failed", reason: "NotSigned", again: 30100 * time.Millisecond},
		"long after the deadline":            {err: hinted{}, age: 3 * time.Hour, status: "failed", reason: "NotSigned", again: time.Minute},
		"deleted just now":                   {err: hinted{}, age: 10 * time.Second, deleted: time.Second, again: time.Second},
		"deleted a while ago":                {err: hinted{}, age: time.Minute, deleted: 31 * time.Second, status: "failed", reason: "NotSigned"},
		"a day later":                        {err: hinted{}, age: 25 * time.Hour, status: "failed", reason: "NotSigned"},
		"Chains gave up":                     {err: hinted{}, signed: "failed", proceed: true, warning: "Chains gave up"},
		"Chains says it signed, but did not": {err: hinted{}, signed: "true", age: time.Minute, status: "pending", reason: "WaitingForSigning", again: 6 * time.Second},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			end := metav1.Unix(1000, 0)
			run := &tektonv1.PipelineRun{}
			run.Status.CompletionTime = &end
			if tc.signed != "" {
				run.Annotations = map[string]string{snapshot.SignedAnnotation: tc.signed}
			}
			if tc.deleted > 0 {
				run.DeletionTimestamp = &metav1.Time{Time: end.Add(tc.age - tc.deleted)}
			}
			got := snapshot.DecideProof(run, tc.err, end.Add(tc.age))
			if got.Proceed != tc.proceed || got.Again != tc.again || !strings.Contains(got.Warning, tc.warning) || (got.Warning == "") != (tc.warning == "") {
				t.Errorf("DecideProof() = %+v", got)
			}
			switch {
			case got.Say == nil && tc.status != "" || got.Say != nil && (got.Say.Status != tc.status || got.Say.Reason != tc.reason):
				t.Errorf("it says %+v", got.Say)
			case got.Say != nil && !strings.Contains(got.Say.Message, "no signature; ask Chains"):
				t.Errorf("it says not why: %s", got.Say.Message)
			}
		})
	}
}

func TestDecideRefused(t *testing.T) {
	cases := map[string]struct {
		reason string
		age    time.Duration
		status string
		again  time.Duration
	}{
		"for good":                  {snapshot.ResultMissing, time.Minute, "failed", 0},
		"no room":                   {snapshot.QuotaExceeded, time.Minute, "pending", time.Minute},
		"no room for six hours":     {snapshot.QuotaExceeded, 6*time.Hour + 1, "failed", time.Hour},
		"no room for a day":         {snapshot.QuotaExceeded, 24*time.Hour + 1, "failed", 0},
		"forbidden":                 {snapshot.CreateForbidden, time.Minute, "pending", time.Minute},
		"a namespace that is going": {snapshot.NamespaceGone, 0, "failed", 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			end := metav1.Unix(1000, 0)
			run := &tektonv1.PipelineRun{}
			run.Status.CompletionTime = &end
			got, again := snapshot.DecideRefused(run, &snapshot.Refusal{Reason: tc.reason, Err: errors.New("why")}, end.Add(tc.age))
			if got.Status != tc.status || got.Reason != tc.reason || !strings.HasPrefix(got.Message, "why") || again != tc.again {
				t.Errorf("DecideRefused() = %+v, %v", got, again)
			}
		})
	}
}

// FuzzParseOutcome reads whatever is in an annotation.
func FuzzParseOutcome(f *testing.F) {
	f.Add(`{"status":"success","message":"m"}`)
	f.Add(`{"status":1}`)
	f.Fuzz(func(t *testing.T, text string) {
		o, ok := snapshot.ParseOutcome(text)
		if !ok && o != (snapshot.Outcome{}) {
			t.Errorf("%q is no outcome, and %+v", text, o)
		}
		if again, ok2 := snapshot.ParseOutcome(o.String()); ok && (!ok2 || again != o) {
			t.Errorf("%+v is written as %s and read as %+v", o, o, again)
		}
	})
}
