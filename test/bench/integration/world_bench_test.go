//go:build bench

package integration

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/headrace-ci/headrace/pkg/controllers/manager"
	"github.com/headrace-ci/headrace/test/fixture"
	"github.com/headrace-ci/headrace/test/fixture/chains"
	"github.com/headrace-ci/headrace/test/fixture/kube"
)

const (
	// user is the controller, in the audit log.
	user = "system:serviceaccount:" + kube.ServiceNamespace + ":controller"
	// clients is how many requests the benchmark has open at once.
	clients = 64
	// patience is how long nothing may happen before the benchmark gives up.
	patience = 3 * time.Minute
)

// auditPolicy has the controller's requests in the audit log, and no other's.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
  - {level: Metadata, users: ["` + user + `"]}
  - level: None
`

// world is an API server, the controller, and a registry.
type world struct {
	*testing.B
	size       size
	c          client.WithWatch
	registry   string
	signer     *chains.Signer
	controller *kube.Controller
	arguments  []string // of the controller, more than its defaults
	address    string   // of its metrics
	audit      string   // path of the audit log
	out        string   // folder for the plots
}

func newWorld(b *testing.B) *world {
	b.Helper()
	ctrl.SetLogger(zap.New(zap.WriteTo(io.Discard)))
	w := &world{B: b, registry: fixture.Registry(b), signer: chains.NewSigner(b), arguments: strings.Fields(os.Getenv("HEADRACE_BENCH_CONTROLLER"))}
	var err error
	w.size, err = readSize(os.Getenv)
	w.must(err)
	w.out = os.Getenv("HEADRACE_BENCH_OUT")
	if w.out == "" {
		w.out, err = os.MkdirTemp("", "headrace-bench-")
		w.must(err)
	}
	w.must(os.MkdirAll(w.out, 0o755))
	dir := b.TempDir()
	policy := filepath.Join(dir, "policy.yaml")
	w.audit = filepath.Join(dir, "audit.log")
	w.must(os.WriteFile(policy, []byte(auditPolicy), 0o600))
	server, err := kube.Start(b.Context(), map[string]string{
		"audit-policy-file": policy, "audit-log-path": w.audit, "audit-log-maxsize": "4096",
	})
	w.must(err)
	b.Cleanup(func() {
		if err := server.Stop(); err != nil {
			b.Error(err)
		}
	})
	config := rest.CopyConfig(server.Config)
	config.QPS = -1
	w.c, err = client.NewWithWatch(config, client.Options{Scheme: manager.Scheme()})
	w.must(err)
	w.controller = kube.NewController(b, server.Config, w.c, w.signer.PublicKey)
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// start starts the controller and waits until it has nothing to do.
func (w *world) start() {
	w.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	w.address = listener.Addr().String()
	w.must(listener.Close())
	w.controller.Start(w, append([]string{"--metrics-bind-address=" + w.address}, w.arguments...)...)
	w.rest()
}

// metrics are the controller's, in Prometheus's text format.
func (w *world) metrics(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.address+"/metrics", nil)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return string(body), err
}

// metric is the sum of one of the controller's metrics.
func (w *world) metric(name string) float64 {
	w.Helper()
	text, err := w.metrics(w.Context())
	w.must(err)
	value, err := total(text, name)
	w.must(err)
	return value
}

// rest waits until the controller has done whatever there was to do. What it
// will look at again later is not waited for.
func (w *world) rest() {
	w.Helper()
	worked, since := -1.0, time.Now()
	for quiet := 0; quiet < 5; time.Sleep(200 * time.Millisecond) {
		done, busy, err := w.work()
		if err == nil && done != worked {
			worked, since = done, time.Now()
		}
		if quiet++; err != nil || busy || time.Since(since) < time.Second {
			quiet = 0
		}
		if time.Since(since) > patience {
			w.Fatalf("the controller has not done all there is, and does nothing for %v (%v)", patience, err)
		}
	}
}

// work is how much the controller has done, and whether there is more to do. A
// controller that is just starting is an error.
func (w *world) work() (done float64, busy bool, err error) {
	text, err := w.metrics(w.Context())
	if err != nil {
		return 0, false, err
	}
	waiting, err := total(text, "workqueue_depth")
	if err != nil {
		return 0, false, err
	}
	working, err := total(text, "controller_runtime_active_workers")
	if err != nil {
		return 0, false, err
	}
	done, err = total(text, "controller_runtime_reconcile_total")
	return done, waiting+working > 0, err
}

// watchMemory samples the controller's memory until stop, which returns the
// most it was, in bytes.
func (w *world) watchMemory() (stop func() float64) {
	var most float64
	ctx, cancel := context.WithCancel(w.Context())
	var done sync.WaitGroup
	done.Go(func() {
		for tick := time.Tick(500 * time.Millisecond); ctx.Err() == nil; {
			// It may be just starting: then there is nothing to see yet.
			if text, err := w.metrics(ctx); err == nil {
				if value, err := total(text, "process_resident_memory_bytes"); err == nil {
					most = max(most, value)
				}
			}
			select {
			case <-tick:
			case <-ctx.Done():
			}
		}
	})
	return func() float64 {
		cancel()
		done.Wait()
		return most
	}
}

// requests are those of the controller until now.
func (w *world) requests() requests {
	w.Helper()
	file, err := os.Open(w.audit)
	w.must(err)
	defer file.Close()
	counted, err := readAudit(file, user)
	w.must(err)
	return counted
}

// each does something n times, with as many clients as the benchmark has.
func (w *world) each(n int, do func(context.Context, int) error) {
	w.Helper()
	group, ctx := errgroup.WithContext(w.Context())
	group.SetLimit(clients)
	for i := range n {
		group.Go(func() error { return do(ctx, i) })
	}
	w.must(group.Wait())
}

// create creates objects and returns how many a second that were.
func (w *world) create(objects []client.Object) float64 {
	w.Helper()
	start := time.Now()
	w.each(len(objects), func(ctx context.Context, i int) error {
		if err := w.c.Create(ctx, objects[i]); err != nil {
			return fmt.Errorf("creating %T %s: %w", objects[i], objects[i].GetName(), err)
		}
		return nil
	})
	return float64(len(objects)) / time.Since(start).Seconds()
}

var worlds atomic.Int32

// namespaces makes one for each application.
func (w *world) namespaces() []string {
	w.Helper()
	var names []string
	var all []client.Object
	n := worlds.Add(1)
	for i := range w.size.Applications {
		names = append(names, fmt.Sprintf("bench-%d-%d", n, i))
		all = append(all, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: names[i]}})
	}
	w.create(all)
	return names
}

// machine is what the numbers were measured on, for people who compare.
func machine(before string) string {
	return fmt.Sprintf("%s/%s, %d CPUs for all of it; load over a minute %s before, %s after.",
		runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), before, load())
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

// shown are the arguments that the controller ran with, for people.
func (w *world) shown() []string {
	if len(w.arguments) == 0 {
		return []string{"its default flags"}
	}
	return slices.Clone(w.arguments)
}
