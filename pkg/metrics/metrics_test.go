package metrics_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/metrics"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// start is when the builds of these tests end; their Snapshots are made two
// seconds later.
var start = time.Unix(1741064767, 0).UTC()

func after(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

func condition(kind string, status metav1.ConditionStatus, reason, message string, at int) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message, LastTransitionTime: metav1.NewTime(after(at))}
}

func state(tests snapshot.Tests, conditions ...metav1.Condition) *v1alpha1.Snapshot {
	s := &v1alpha1.Snapshot{ObjectMeta: metav1.ObjectMeta{
		CreationTimestamp: metav1.NewTime(after(2)), Labels: map[string]string{snapshot.FinishTimeLabel: "1741064767"}, Annotations: map[string]string{},
	}}
	if len(tests) > 0 {
		s.Annotations[snapshot.StatusAnnotation] = tests.String()
	}
	s.Status.Conditions = conditions
	return s
}

func run(scenario, name string, started, ended int) snapshot.Test {
	t := snapshot.Test{Scenario: scenario, Run: name, Status: snapshot.InProgress}
	if s := after(started); started > 0 {
		t.StartTime = &s
	}
	if e := after(ended); ended > 0 {
		t.CompletionTime, t.Status = &e, snapshot.TestPassed
	}
	return t
}

const (
	yes, no, unknown = metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown
	tests, service   = snapshot.TestsSucceededCondition, snapshot.IntegrationCondition
	released         = snapshot.AutoReleasedCondition
)

func TestOfSnapshot(t *testing.T) {
	begun := condition(service, unknown, "InProgress", "", 3)
	finished := condition(service, yes, "Finished", "", 60)
	good := condition(tests, yes, "Passed", "", 60)
	freed := condition(released, yes, "AutoReleased", snapshot.ReleasedMessage, 61)
	sample := func(metric string, value float64, labels ...string) metrics.Sample {
		return metrics.Sample{Metric: metric, Value: value, Labels: labels}
	}
	cases := map[string]struct {
		before, after *v1alpha1.Snapshot
		since         int
		want          []metrics.Sample
	}{
		"made":                 {after: state(nil)},
		"begun":                {before: state(nil), after: state(snapshot.Tests{{Scenario: "a"}}, begun), want: []metrics.Sample{sample(metrics.ResponseSeconds, 3)}},
		"nothing to test":      {before: state(nil), after: state(nil, condition(service, yes, "Finished", "", 3)), want: []metrics.Sample{sample(metrics.ResponseSeconds, 3)}},
		"begun, made by hand":  {before: state(nil), after: func() *v1alpha1.Snapshot { s := state(nil, begun); s.Labels = nil; return s }()},
		"begun, clocks differ": {before: state(nil), after: state(nil, condition(service, unknown, "InProgress", "", -1)), want: []metrics.Sample{sample(metrics.ResponseSeconds, 0)}},
		"nothing changed":      {before: state(nil, begun), after: state(nil, begun)},
		"a message changed":    {before: state(nil, begun), after: state(nil, condition(service, unknown, "InProgress", "more", 3))},
		"a test started": {before: state(snapshot.Tests{{Scenario: "a"}}, begun), after: state(snapshot.Tests{run("a", "a-1", 7, 0)}, begun),
			want: []metrics.Sample{sample(metrics.RunsTotal, 1), sample(metrics.StartedSeconds, 5)}},
		"it goes on": {before: state(snapshot.Tests{run("a", "a-1", 7, 0)}, begun), after: state(snapshot.Tests{run("a", "a-1", 7, 50)}, begun)},
		"a test started again": {before: state(snapshot.Tests{run("a", "a-1", 7, 9)}, finished, good), after: state(snapshot.Tests{run("a", "a-2", 500, 0)}, begun),
			want: []metrics.Sample{sample(metrics.RunsTotal, 1)}},
		"another started later": {before: state(snapshot.Tests{run("a", "a-1", 7, 9)}, finished), after: state(snapshot.Tests{run("a", "a-1", 7, 9), run("b", "b-1", 500, 0)}, finished),
			want: []metrics.Sample{sample(metrics.RunsTotal, 1)}},
		"passed": {before: state(nil, begun), after: state(nil, finished, good),
			want: []metrics.Sample{sample(metrics.AttemptsTotal, 1, tests, "Passed"), sample(metrics.AttemptSeconds, 58, tests, "Passed")}},
		"failed": {before: state(nil, begun), after: state(nil, finished, condition(tests, no, "Failed", "", 60)),
			want: []metrics.Sample{sample(metrics.AttemptsTotal, 1, tests, "Failed"), sample(metrics.AttemptSeconds, 58, tests, "Failed")}},
		"to be tested again": {before: state(nil, finished, good), after: state(nil, begun, condition(tests, unknown, "InProgress", "", 70))},
		"canceled": {before: state(nil, begun), after: state(nil, condition(service, yes, "Canceled", "", 12)),
			want: []metrics.Sample{sample(metrics.AttemptsTotal, 1, service, "Canceled"), sample(metrics.AttemptSeconds, 10, service, "Canceled")}},
		"invalid": {before: state(nil), after: state(nil, condition(service, no, "Invalid", "", 3)), want: []metrics.Sample{sample(metrics.AttemptsTotal, 1, service, "Invalid")}},
		"released": {before: state(snapshot.Tests{run("a", "a-1", 7, 58)}, finished, good), after: state(snapshot.Tests{run("a", "a-1", 7, 58)}, finished, good, freed),
			want: []metrics.Sample{sample(metrics.ReleaseLatencySecs, 3)}},
		"released, optional tests last": {before: state(nil, finished, good), after: func() *v1alpha1.Snapshot {
			late := run("b", "", 0, 61)
			late.Optional = true
			return state(snapshot.Tests{run("a", "", 0, 59), late}, finished, good, freed)
		}(), want: []metrics.Sample{sample(metrics.ReleaseLatencySecs, 2)}},
		"released without tests": {before: state(nil, finished, good), after: state(nil, finished, good, freed), want: []metrics.Sample{sample(metrics.ReleaseLatencySecs, 1)}},
		"not to be released":     {before: state(nil, finished, good), after: state(nil, finished, good, condition(released, yes, "AutoReleased", "Skipping", 61))},
		"not released yet":       {before: state(nil, finished, good), after: state(nil, finished, good, condition(released, no, snapshot.ErrorReason, "", 61))},
		"found after a start":    {after: state(snapshot.Tests{run("a", "a-1", 7, 58)}, finished, good, freed), since: 1000},
		"found after a start, in the middle": {after: state(snapshot.Tests{run("a", "a-1", 7, 58)}, finished, good, freed), since: 61,
			want: []metrics.Sample{sample(metrics.ReleaseLatencySecs, 3)}},
		"an annotation nobody can read": {before: state(nil, begun), after: func() *v1alpha1.Snapshot {
			s := state(nil, begun)
			s.Annotations[snapshot.StatusAnnotation] = "{"
			return s
		}()},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := metrics.OfSnapshot(tc.before, tc.after, after(tc.since))
			for i := range got {
				if len(got[i].Labels) == 0 {
					got[i].Labels = nil
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("samples (-want +got):\n%s", diff)
			}
			// The same state told again is no news.
			if again := metrics.OfSnapshot(tc.after, tc.after, after(tc.since)); len(again) > 0 {
				t.Errorf("told again it counts %v", again)
			}
		})
	}
}

// TestRecorder exposes upstream's names.
func TestRecorder(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	for range 2 { // a second one in the process counts on
		recorder, err := metrics.NewRecorder(registry)
		if err != nil {
			t.Fatal(err)
		}
		recorder.Record([]metrics.Sample{
			{Metric: metrics.RunsTotal, Value: 1}, {Metric: metrics.AttemptsTotal, Labels: []string{tests, "Passed"}, Value: 1},
			{Metric: metrics.ResponseSeconds, Value: 1.5}, {Metric: metrics.StartedSeconds, Value: 1}, {Metric: metrics.ReleaseLatencySecs, Value: 1},
			{Metric: metrics.AttemptSeconds, Labels: []string{tests, "Passed"}, Value: 20},
		})
	}
	answer := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		"integration_svc_integration_pipelinerun_total 2",
		`integration_svc_snapshot_attempt_total{reason="Passed",type="AppStudioTestSucceeded"} 2`,
		`integration_svc_snapshot_attempt_duration_seconds_bucket{reason="Passed",type="AppStudioTestSucceeded",le="15"} 0`,
		`integration_svc_snapshot_attempt_duration_seconds_bucket{reason="Passed",type="AppStudioTestSucceeded",le="30"} 2`,
		"integration_svc_response_seconds_sum 3",
		"integration_svc_snapshot_created_to_pipelinerun_started_seconds_count 2",
		"integration_svc_release_latency_seconds_count 2",
	} {
		if !strings.Contains(answer.Body.String(), want+"\n") {
			t.Errorf("the metrics lack %s:\n%s", want, answer.Body.String())
		}
	}
}
