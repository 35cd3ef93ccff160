//go:build bench

package build

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/tekton/catalog"
	"github.com/headrace-ci/headrace/test/demo"
)

const (
	tenant = "demo-tenant"
	// component is one of its own, in an application of its own: what the demo
	// releases is not touched, and no test nor release runs beside what is
	// measured.
	component = "bench"
)

// Where the controllers run.
const (
	controllerNamespace = "headrace-system"
	controllerApp       = "controller"
	metricsPort         = "8080"
)

// bench is what the benchmark works with.
type bench struct {
	demo    *demo.Demo
	sample  demo.Component
	clients *kubernetes.Clientset
	cache   string
}

func newBench(b *testing.B) *bench {
	b.Helper()
	if os.Geteuid() != 0 {
		b.Fatal("running the steps of pods bare needs root, for their mounts and users: run this as root")
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		b.Fatal(err)
	}
	config.QPS, config.Burst = 50, 100
	clients, err := kubernetes.NewForConfig(rest.CopyConfig(config))
	if err != nil {
		b.Fatal(err)
	}
	registry, cache := os.Getenv("REGISTRY"), os.Getenv("HEADRACE_CACHE")
	if registry == "" || cache == "" {
		b.Fatal("REGISTRY and HEADRACE_CACHE are not set: run this with make bench")
	}
	sample := demo.Samples("../../demo/samples")[0]
	sample.Name = component
	d, err := demo.New(demo.Config{
		Registry: registry, Tenant: tenant, Application: component, Lock: catalog.LockFile(registry),
		BuildAuth: os.Getenv("BUILD_AUTH"), Cache: filepath.Join(cache, "demo"), Out: os.Stderr,
		Components: []demo.Component{sample},
	}, config)
	if err != nil {
		b.Fatal(err)
	}
	return &bench{demo: d, sample: sample, clients: clients, cache: cache}
}

// BenchmarkBuild builds the demo's Go service on Tekton, and then runs the
// same steps bare.
func BenchmarkBuild(b *testing.B) {
	ctx, cancel := context.WithTimeout(b.Context(), 30*time.Minute)
	defer cancel()
	bench := newBench(b)
	if err := bench.prepare(ctx); err != nil {
		b.Fatal(err)
	}
	// The first build fetches what a node keeps, and is not measured.
	if _, _, err := bench.build(ctx); err != nil {
		b.Fatal(err)
	}
	var pods, took, bare, resident, peak float64
	for b.Loop() {
		r, err := bench.measure(ctx)
		if err != nil {
			b.Fatal(err)
		}
		if err := r.print(os.Stdout); err != nil {
			b.Fatal(err)
		}
		pods, took, bare = pods+float64(r.Pods), took+r.Took.Seconds(), bare+r.bare().Seconds()
		resident, peak = resident+r.After.Resident, max(peak, r.After.Peak)
	}
	n := float64(b.N)
	b.ReportMetric(0, "ns/op") // of everything, and so of nothing
	b.ReportMetric(pods/n, "pods/build")
	b.ReportMetric(took/n, "s/build")
	b.ReportMetric(bare/n, "s/bare")
	b.ReportMetric(took/bare, "build/bare")
	b.ReportMetric(resident/n/mebibyte, "controller-RSS-MiB")
	b.ReportMetric(peak/mebibyte, "controller-peak-MiB")
}

// prepare puts in place what the builds need.
func (b *bench) prepare(ctx context.Context) error {
	if err := b.demo.PrepareBuilds(ctx); err != nil {
		return err
	}
	application := &v1alpha1.Application{
		ObjectMeta: metav1.ObjectMeta{Namespace: tenant, Name: component},
		Spec:       v1alpha1.ApplicationSpec{DisplayName: "Benchmark"},
	}
	if err := b.demo.Client().Create(ctx, application); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("making the application: %w", err)
	}
	return nil
}

// build runs one build until its Snapshot is there, so that nothing of it runs
// any more, and says how long the PipelineRun took.
func (b *bench) build(ctx context.Context) (*tektonv1.PipelineRun, time.Duration, error) {
	var story demo.Story
	run, err := b.demo.Build(ctx, b.sample, &story)
	if err != nil {
		return nil, 0, err
	}
	// The API's times have whole seconds, so the clock is here.
	start := time.Now()
	err = wait.PollUntilContextCancel(ctx, 100*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		err := b.demo.Client().Get(ctx, client.ObjectKeyFromObject(run), run)
		return run.IsDone(), err
	})
	took := time.Since(start)
	if err != nil {
		return nil, 0, fmt.Errorf("waiting for build %q: %w", run.Name, err)
	}
	if err := b.demo.AwaitBuild(ctx, run); err != nil {
		return nil, 0, err
	}
	if _, err := b.demo.AwaitSnapshot(ctx, run); err != nil {
		return nil, 0, err
	}
	return run, took, nil
}

// measure builds once on Tekton and once bare.
func (b *bench) measure(ctx context.Context) (report, error) {
	var r report
	var err error
	idle := load()
	if r.Before, err = b.controllerMemory(ctx); err != nil {
		return r, err
	}
	run, took, err := b.build(ctx)
	if err != nil {
		return r, err
	}
	r.Run, r.Took = run.Name, took
	built := load()
	if r.After, err = b.controllerMemory(ctx); err != nil {
		return r, err
	}
	pods, err := b.pods(ctx, run)
	if err != nil {
		return r, err
	}
	r.Pods = len(pods)
	if r.Tasks, err = b.runBare(ctx, run, pods); err != nil {
		return r, err
	}
	// A busy machine makes both longer, and unevenly when it is not so all along.
	r.Machine = fmt.Sprintf("%d CPUs; load over a minute %s before, %s after the build, %s after the programs.",
		runtime.NumCPU(), idle, built, load())
	return r, nil
}

// runBare runs the steps of a build's pods on this machine.
func (b *bench) runBare(ctx context.Context, run *tektonv1.PipelineRun, pods map[string]*corev1.Pod) (tasks []task, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	inside, here, err := b.demo.Sources(ctx)
	if err != nil {
		return nil, err
	}
	var list tektonv1.TaskRunList
	if err := b.demo.Client().List(ctx, &list, ofRun(run)...); err != nil {
		return nil, err
	}
	slices.SortFunc(list.Items, func(x, y tektonv1.TaskRun) int {
		return cmp.Or(x.CreationTimestamp.Compare(y.CreationTimestamp.Time), strings.Compare(x.Name, y.Name))
	})
	// One that was interrupted left its folder.
	dir := filepath.Join(b.cache, "bench")
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fmt.Fprintf(os.Stderr, "running the steps of %s bare\n", run.Name)
	var log bytes.Buffer
	tasks, err = bare{client: b.demo.Client(), dir: dir, log: &log, inside: inside, here: here}.sequence(ctx, list.Items, pods)
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, log.Bytes())
	}
	return tasks, nil
}

func ofRun(run *tektonv1.PipelineRun) []client.ListOption {
	return []client.ListOption{client.InNamespace(run.Namespace), client.MatchingLabels{"tekton.dev/pipelineRun": run.Name}}
}

// pods are those of a build, by name.
func (b *bench) pods(ctx context.Context, run *tektonv1.PipelineRun) (map[string]*corev1.Pod, error) {
	var list corev1.PodList
	if err := b.demo.Client().List(ctx, &list, ofRun(run)...); err != nil {
		return nil, err
	}
	pods := map[string]*corev1.Pod{}
	for i := range list.Items {
		pods[list.Items[i].Name] = &list.Items[i]
	}
	return pods, nil
}

// controllerMemory asks the kubelet and the controllers what they use.
func (b *bench) controllerMemory(ctx context.Context) (memory, error) {
	var list corev1.PodList
	err := b.demo.Client().List(ctx, &list, client.InNamespace(controllerNamespace),
		client.MatchingLabels{"app.kubernetes.io/name": controllerApp})
	if err != nil {
		return memory{}, err
	}
	running := slices.DeleteFunc(list.Items, func(pod corev1.Pod) bool {
		return pod.Status.Phase != corev1.PodRunning || !pod.DeletionTimestamp.IsZero()
	})
	if len(running) != 1 {
		return memory{}, fmt.Errorf("%d pods of the controllers run in %s, want one: wait until it is rolled out", len(running), controllerNamespace)
	}
	pod := running[0]
	core := b.clients.CoreV1().RESTClient()
	cadvisor, err := core.Get().Resource("nodes").Name(pod.Spec.NodeName).SubResource("proxy").Suffix("metrics/cadvisor").DoRaw(ctx)
	if err != nil {
		return memory{}, fmt.Errorf("reading the metrics of node %q: %w", pod.Spec.NodeName, err)
	}
	program, err := core.Get().Namespace(pod.Namespace).Resource("pods").Name(pod.Name + ":" + metricsPort).
		SubResource("proxy").Suffix("metrics").DoRaw(ctx)
	if err != nil {
		return memory{}, fmt.Errorf("reading the metrics of pod %q: %w", pod.Name, err)
	}
	return readMemory(string(cadvisor), string(program), pod.Namespace, pod.Name, pod.Spec.Containers[0].Name)
}

// load is the machine's load over the last minute.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(text), " ")
	return one
}
