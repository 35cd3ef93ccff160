//go:build bench

package integration

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	resolutionv1 "github.com/tektoncd/pipeline/pkg/apis/resolution/v1beta1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	toolswatch "k8s.io/client-go/tools/watch"
	"knative.dev/pkg/apis"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/snapshot"
	"github.com/headrace-ci/headrace/test/fixture/chains"
)

// key is an object by namespace and name.
type key = client.ObjectKey

// timeline is when what happened, by the benchmark's clock.
type timeline struct {
	sync.Mutex
	built    map[key]time.Time   // builds
	made     map[key]time.Time   // Snapshots, by build
	names    map[key]key         // builds, by Snapshot
	started  map[key][]time.Time // test runs, by Snapshot
	runs     map[key][]key       // test runs, by Snapshot
	tested   map[key]time.Time   // last tests, by Snapshot
	released map[key]time.Time   // Releases, by Snapshot
	failure  error               // to watch
	happened time.Time           // something, last
}

func newTimeline() *timeline {
	return &timeline{
		built: map[key]time.Time{}, made: map[key]time.Time{}, names: map[key]key{}, started: map[key][]time.Time{},
		runs: map[key][]key{}, tested: map[key]time.Time{}, released: map[key]time.Time{}, happened: time.Now(),
	}
}

// see notes what a watch saw.
func (l *timeline) see(kind string, o *metav1.PartialObjectMetadata, now time.Time) {
	l.Lock()
	defer l.Unlock()
	at := func(name string) key { return key{Namespace: o.Namespace, Name: name} }
	switch kind {
	case "Snapshot":
		build := at(o.Labels[snapshot.BuildLabel])
		l.made[build], l.names[at(o.Name)] = now, build
	case "PipelineRun":
		of := at(o.Labels[snapshot.SnapshotKey])
		l.started[of], l.runs[of] = append(l.started[of], now), append(l.runs[of], at(o.Name))
	case "Release":
		l.released[at(o.Labels["release.appstudio.openshift.io/snapshot"])] = now
	}
	l.happened = now
}

// watcher watches the metadata of a kind's objects with labels.
type watcher struct {
	c      client.WithWatch
	list   metav1.PartialObjectMetadataList
	labels client.MatchingLabels
}

// WatchWithContext lets a RetryWatcher go on where the API server ended.
func (w watcher) WatchWithContext(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	return w.c.Watch(ctx, &w.list, w.labels, &client.ListOptions{Raw: &opts})
}

// watch notes every object of a kind with labels that is made from now on.
func (w *world) watch(ctx context.Context, l *timeline, version, kind string, labels client.MatchingLabels) {
	w.Helper()
	from := watcher{c: w.c, labels: labels}
	from.list.APIVersion, from.list.Kind = version, kind+"List"
	now := from.list.DeepCopy()
	w.must(w.c.List(ctx, now))
	watching, err := toolswatch.NewRetryWatcherWithContext(ctx, now.ResourceVersion, from)
	w.must(err)
	go func() {
		why := fmt.Errorf("the watch of %s ended", kind)
		for e := range watching.ResultChan() {
			if e.Type == watch.Error {
				why = fmt.Errorf("watching %s: %w", kind, apierrors.FromObject(e.Object))
			}
			if o, ok := e.Object.(*metav1.PartialObjectMetadata); ok && e.Type == watch.Added {
				l.see(kind, o, time.Now())
			}
		}
		l.Lock()
		defer l.Unlock()
		l.failure = why
	}()
}

// await waits until as many as wanted have happened.
func (w *world) await(l *timeline, what string, wanted int, count func() int) {
	w.Helper()
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		l.Lock()
		n, failure, last := count(), l.failure, l.happened
		l.Unlock()
		if n >= wanted {
			fmt.Fprintf(os.Stderr, "%d %s after %.1fs\n", n, what, time.Since(start).Seconds())
			return
		}
		if failure != nil {
			w.Fatal(failure)
		}
		if time.Since(start) > patience && time.Since(last) > patience {
			w.Fatalf("there are %d %s, want %d, and nothing happens any more", n, what, wanted)
		}
	}
}

// BenchmarkBurst ends many builds at once, and then all tests of theirs.
func BenchmarkBurst(b *testing.B) {
	var w *world
	var latest burst
	for b.Loop() {
		w = newWorld(b) // without what another left
		latest = w.burst()
		w.must(latest.print(os.Stdout))
	}
	for _, c := range latest.Curves {
		w.must(draw(w.out, c.File, c.chart()))
		b.ReportMetric(c.quantile(0.95).Seconds(), c.File[:len(c.File)-len(".svg")]+"-p95-s")
	}
	b.ReportMetric(0, "ns/op") // of everything, and so of nothing
	b.ReportMetric(float64(latest.Requests.writes())/float64(w.size.builds()), "writes/Snapshot")
	b.ReportMetric(latest.Resident/mebibyte, "RSS-MiB")
	fmt.Printf("plots: %s\n", w.out)
}

// build is one that is to end.
type build struct {
	run   *tektonv1.PipelineRun
	image name.Digest
}

func (w *world) burst() burst {
	w.Helper()
	r := burst{Size: w.size, Arguments: w.shown()}
	builds, rate := w.prepare()
	r.Server = rate
	w.start()
	defer w.controller.Kill()
	w.resolve()
	l, ctx := newTimeline(), w.Context()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w.watch(ctx, l, "appstudio.redhat.com/v1alpha1", "Snapshot", nil)
	w.watch(ctx, l, "tekton.dev/v1", "PipelineRun", client.MatchingLabels{snapshot.RunTypeLabel: snapshot.TestRun})
	w.watch(ctx, l, "appstudio.redhat.com/v1alpha1", "Release", nil)
	before, used, quiet := w.requests(), w.metric("process_cpu_seconds_total"), load()
	peak, start := w.watchMemory(), time.Now()

	r.Ended = w.endBuilds(l, builds)
	n, tests := len(builds), len(builds)*w.size.Scenarios
	w.await(l, "Snapshots", n, func() int { return len(l.made) })
	w.await(l, "test runs", tests, func() int { return lengths(l.runs) })
	w.rest()
	w.runTasks(l)
	w.endTests(l)
	w.await(l, "Releases", n, func() int { return len(l.released) })
	w.rest()

	r.Took, r.Resident = time.Since(start), peak()
	r.CPU = time.Duration((w.metric("process_cpu_seconds_total") - used) * float64(time.Second))
	r.Requests, r.Machine = w.requests().minus(before), machine(quiet)
	r.Curves = l.curves()
	return r
}

// prepare makes everything that is there before builds end, and returns the
// builds and how many of them the API server could create a second.
func (w *world) prepare() ([]build, float64) {
	w.Helper()
	names := w.namespaces()
	managed := names[0] + "-managed"
	w.must(w.c.Create(w.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: managed}}))
	w.must(w.c.Create(w.Context(), policy(managed)))
	var all, runs []client.Object
	var builds []build
	for _, ns := range names {
		all = slices.Concat(all, application(ns, w.size.Components), scenarios(ns, w.size.Scenarios), releases(ns, managed))
		for i := range w.size.Components {
			image := chains.Image(w, w.registry+"/"+ns+"/"+part(i))
			w.signer.Sign(w, image)
			w.signer.Attest(w, image, image)
			run := buildRun(ns, part(i))
			runs, builds = append(runs, run), append(builds, build{run, image})
		}
	}
	w.create(all)
	return builds, w.create(runs)
}

// resolve answers what the controller asks about the scenarios' pipelines.
func (w *world) resolve() {
	w.Helper()
	const pipeline = `{"apiVersion":"tekton.dev/v1","kind":"Pipeline","metadata":{"name":"test"},"spec":{"params":[{"name":"SNAPSHOT"}],"tasks":[{"name":"check","taskRef":{"name":"check"}}]}}`
	var list resolutionv1.ResolutionRequestList
	w.must(w.c.List(w.Context(), &list))
	w.each(len(list.Items), func(ctx context.Context, i int) error {
		request := &list.Items[i]
		request.Status.Conditions = []apis.Condition{{Type: apis.ConditionSucceeded, Status: corev1.ConditionTrue, Reason: "Succeeded"}}
		request.Status.Data = base64.StdEncoding.EncodeToString([]byte(pipeline))
		request.Status.RefSource = &tektonv1.RefSource{}
		request.Status.Source = request.Status.RefSource //lint:ignore SA1019 the schema requires it
		return w.c.Status().Update(ctx, request)
	})
	w.rest()
}

// endBuilds ends all builds and returns how long that took.
func (w *world) endBuilds(l *timeline, builds []build) time.Duration {
	w.Helper()
	start := time.Now()
	w.each(len(builds), func(ctx context.Context, i int) error {
		run := builds[i].run
		before := run.DeepCopy()
		succeed(run, time.Now(), "", built(builds[i].image, run.Labels[snapshot.ComponentLabel]))
		if err := w.c.Status().Patch(ctx, run, client.MergeFrom(before)); err != nil {
			return fmt.Errorf("ending build %s: %w", run.Name, err)
		}
		l.Lock()
		defer l.Unlock()
		l.built[client.ObjectKeyFromObject(run)] = time.Now()
		return nil
	})
	return time.Since(start)
}

// tests are the test runs, all of one Snapshot after another's.
func (l *timeline) tests() (snapshots, runs []key) {
	for _, s := range slices.SortedFunc(maps.Keys(l.runs), func(a, b key) int { return l.made[l.names[a]].Compare(l.made[l.names[b]]) }) {
		for _, run := range l.runs[s] {
			snapshots, runs = append(snapshots, s), append(runs, run)
		}
	}
	return snapshots, runs
}

// runTasks runs the one task of every test.
func (w *world) runTasks(l *timeline) {
	w.Helper()
	_, runs := l.tests()
	w.each(len(runs), func(ctx context.Context, i int) error {
		task := check(runs[i], time.Now())
		status := task.Status
		if err := w.c.Create(ctx, task); err != nil {
			return fmt.Errorf("creating the task of %s: %w", runs[i], err)
		}
		task.Status = status
		return w.c.Status().Update(ctx, task)
	})
}

// endTests ends all tests.
func (w *world) endTests(l *timeline) {
	w.Helper()
	snapshots, runs := l.tests()
	left := map[key]int{}
	for _, s := range snapshots {
		left[s]++
	}
	l.Lock()
	l.happened = time.Now()
	l.Unlock()
	w.each(len(runs), func(ctx context.Context, i int) error {
		run := &tektonv1.PipelineRun{}
		run.Namespace, run.Name = runs[i].Namespace, runs[i].Name
		before := run.DeepCopy()
		succeed(run, time.Now(), run.Name+"-check", nil)
		run.Status.StartTime = run.Status.CompletionTime
		if err := w.c.Status().Patch(ctx, run, client.MergeFrom(before)); err != nil {
			return fmt.Errorf("ending test %s: %w", run.Name, err)
		}
		l.Lock()
		defer l.Unlock()
		if left[snapshots[i]]--; left[snapshots[i]] == 0 {
			l.tested[snapshots[i]] = time.Now()
		}
		return nil
	})
}

// curves are how long everything took.
func (l *timeline) curves() []curve {
	snapshots := curve{Name: "build done -> Snapshot", File: "snapshot.svg"}
	tests := curve{Name: "Snapshot -> test runs", File: "tests.svg"}
	releases := curve{Name: "tests done -> Release", File: "release.svg"}
	// What a watch shows before the write is answered took no time.
	between := func(from, to time.Time) time.Duration { return max(0, to.Sub(from)) }
	for s, b := range l.names {
		snapshots.Took = append(snapshots.Took, between(l.built[b], l.made[b]))
		tests.Took = append(tests.Took, between(l.made[b], slices.MaxFunc(l.started[s], time.Time.Compare)))
		releases.Took = append(releases.Took, between(l.tested[s], l.released[s]))
	}
	return []curve{snapshots, tests, releases}
}

func lengths[V any](lists map[key][]V) int {
	n := 0
	for _, list := range lists {
		n += len(list)
	}
	return n
}
