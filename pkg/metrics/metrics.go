// Package metrics counts and times what becomes of Snapshots, under the names
// that upstream's dashboards and alerts know.
//
// A sample is the difference between two states of an object, timed by the
// times that are written in it. So it does not matter who wrote it, nor how
// often: a controller that is started again, or that repeats a write, counts
// nothing twice. What happens while no controller leads is not counted.
//
// Units: durations are seconds. Times in conditions are whole seconds.
package metrics

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
)

// Names of the metrics.
const (
	ResponseSeconds    = "integration_svc_response_seconds"
	StartedSeconds     = "integration_svc_snapshot_created_to_pipelinerun_started_seconds"
	RunsTotal          = "integration_svc_integration_pipelinerun_total"
	AttemptSeconds     = "integration_svc_snapshot_attempt_duration_seconds"
	AttemptsTotal      = "integration_svc_snapshot_attempt_total"
	ReleaseLatencySecs = "integration_svc_release_latency_seconds"
)

// Sample is one observation of a histogram, or one count.
type Sample struct {
	Metric string
	Labels []string // values, in the order that the metric has them
	Value  float64  // seconds of a histogram; 1 for a count
}

// Buckets are upstream's, so that its dashboards stay true.
var (
	latencies = []float64{0.5, 1, 2, 3, 4, 5, 6, 7, 10, 15, 30, 60, 120, 240, 300, 450, 600, 750, 900, 1050, 1200}
	attempts  = []float64{7, 15, 30, 60, 150, 300, 450, 600, 750, 900, 1050}
)

// Recorder holds the metrics. It is safe for concurrent use.
type Recorder struct {
	histograms map[string]*prometheus.HistogramVec
	counters   map[string]*prometheus.CounterVec
}

// NewRecorder registers the metrics, or finds those that are registered.
func NewRecorder(registry prometheus.Registerer) (*Recorder, error) {
	r := &Recorder{histograms: map[string]*prometheus.HistogramVec{}, counters: map[string]*prometheus.CounterVec{}}
	for _, h := range []struct {
		name, help string
		buckets    []float64
		labels     []string
	}{
		{ResponseSeconds, "Seconds from the end of a build to its Snapshot being tested", latencies, nil},
		{StartedSeconds, "Seconds from a Snapshot's creation to the start of a test run", latencies, nil},
		{AttemptSeconds, "Seconds from a Snapshot's creation to its verdict", attempts, []string{"type", "reason"}},
		{ReleaseLatencySecs, "Seconds from the end of a Snapshot's tests to its Releases", latencies, nil},
	} {
		vec, err := register(registry, prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: h.name, Help: h.help, Buckets: h.buckets}, h.labels))
		if err != nil {
			return nil, err
		}
		r.histograms[h.name] = vec
		if len(h.labels) == 0 {
			vec.WithLabelValues() // shown before the first sample
		}
	}
	for _, c := range []struct {
		name, help string
		labels     []string
	}{
		{RunsTotal, "Test runs that were started", nil},
		{AttemptsTotal, "Verdicts on Snapshots", []string{"type", "reason"}},
	} {
		vec, err := register(registry, prometheus.NewCounterVec(prometheus.CounterOpts{Name: c.name, Help: c.help}, c.labels))
		if err != nil {
			return nil, err
		}
		r.counters[c.name] = vec
		if len(c.labels) == 0 {
			vec.WithLabelValues()
		}
	}
	return r, nil
}

func register[T prometheus.Collector](registry prometheus.Registerer, collector T) (T, error) {
	err := registry.Register(collector)
	var there prometheus.AlreadyRegisteredError
	if errors.As(err, &there) {
		if found, ok := there.ExistingCollector.(T); ok {
			return found, nil
		}
	}
	return collector, err
}

// Record adds samples.
func (r *Recorder) Record(samples []Sample) {
	for _, s := range samples {
		if h, ok := r.histograms[s.Metric]; ok {
			h.WithLabelValues(s.Labels...).Observe(s.Value)
		} else {
			r.counters[s.Metric].WithLabelValues(s.Labels...).Add(s.Value)
		}
	}
}

// Observer records what happens to Snapshots while its process leads.
type Observer struct {
	Registry prometheus.Registerer
	Now      func() time.Time

	recorder  *Recorder
	informers cache.Informers
}

// SetupWithManager registers the metrics, and the observer to run.
func (o *Observer) SetupWithManager(mgr ctrl.Manager) error {
	var err error
	if o.recorder, err = NewRecorder(o.Registry); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	o.informers = mgr.GetCache()
	return mgr.Add(o)
}

// NeedLeaderElection says that of several replicas one counts.
func (o *Observer) NeedLeaderElection() bool { return true }

// Start observes until ctx ends. Snapshots that are there already are told
// first, as if they were new: of those, only what happened since counts.
func (o *Observer) Start(ctx context.Context) error {
	since := o.Now()
	informer, err := o.informers.GetInformer(ctx, &v1alpha1.Snapshot{})
	if err != nil {
		return fmt.Errorf("watching Snapshots: %w", err)
	}
	handler, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(o2 any) {
			if s, ok := o2.(*v1alpha1.Snapshot); ok {
				o.recorder.Record(OfSnapshot(nil, s, since))
			}
		},
		UpdateFunc: func(o1, o2 any) {
			before, ok1 := o1.(*v1alpha1.Snapshot)
			after, ok2 := o2.(*v1alpha1.Snapshot)
			if ok1 && ok2 {
				o.recorder.Record(OfSnapshot(before, after, since))
			}
		},
	})
	if err != nil {
		return fmt.Errorf("watching Snapshots: %w", err)
	}
	<-ctx.Done()
	if err := informer.RemoveEventHandler(handler); err != nil {
		log.FromContext(ctx).Error(err, "leaving the Snapshots' events")
	}
	return nil
}
