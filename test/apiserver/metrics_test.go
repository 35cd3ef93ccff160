//go:build apiserver

package apiserver_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/headrace-ci/headrace/pkg/controllers/manager"
	"github.com/headrace-ci/headrace/pkg/metrics"
	"github.com/headrace-ci/headrace/pkg/snapshot"
	"github.com/headrace-ci/headrace/test/fixture/chains"
)

// TestMetricsEndpoint asks the controller's own program for its metrics, while
// it leads: those of ours are there before anything happens.
func TestMetricsEndpoint(t *testing.T) {
	c := newClient(t)
	p := newProcess(t, c, chains.NewSigner(t).PublicKey)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	p.Start(t, "--metrics-bind-address="+address, "--leader-elect=true", "--max-concurrent-reconciles=2", "--kube-api-qps=-1")
	eventually(t, "the controller's metrics", func() error {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/metrics", nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			return err
		}
		for _, want := range []string{
			"integration_svc_response_seconds_count 0", "integration_svc_integration_pipelinerun_total 0",
			`leader_election_master_status{name="headrace-controller"} 1`, `controller_runtime_max_concurrent_reconciles{controller="snapshot"} 2`,
		} {
			if !strings.Contains(string(body), want+"\n") {
				return fmt.Errorf("they lack %q:\n%s", want, body)
			}
		}
		return nil
	})
}

// TestMetrics counts a Snapshot's verdict and run once, and nothing again
// after a restart.
func TestMetrics(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	create(t, c, application(ns), component(ns, "web"), testScenario(ns), plan(ns, ""))
	var p controllers
	p.start(t)
	before := observe(t)
	s := pushed(ns, "shop-1", "web", "1741064767000")
	s.Labels[snapshot.FinishTimeLabel] = fmt.Sprint(time.Now().Unix())
	create(t, c, s)
	finish(t, c, testOf(t, c, s), corev1.ConditionTrue, nil)
	autoReleased(t, c, s, metav1.ConditionTrue, "AutoReleased", "was auto-released")
	want := map[string]string{
		metrics.RunsTotal: "1", metrics.ResponseSeconds + "_count": "1", metrics.StartedSeconds + "_count": "1", metrics.ReleaseLatencySecs + "_count": "1",
		metrics.AttemptsTotal + `{reason="Passed",type="AppStudioTestSucceeded"}`: "1",
	}
	eventually(t, "the metrics count it", func() error {
		if diff := cmp.Diff(want, before(want)); diff != "" {
			return fmt.Errorf("metrics (-want +got):\n%s", diff)
		}
		return nil
	})
	p.restart(t)
	after := observe(t)
	other := pushed(ns, "shop-2", "web", "1741064768000")
	create(t, c, other)
	testOf(t, c, other)
	// The new Snapshot's run is all there is, once it is counted.
	eventually(t, "the metrics after a restart count what is new", func() error {
		got := after(want)
		if diff := cmp.Diff(map[string]string{metrics.RunsTotal: "1", metrics.StartedSeconds + "_count": "1"}, got); diff != "" {
			return fmt.Errorf("metrics (-want +got):\n%s", diff)
		}
		return nil
	})
}

// observe counts in a registry of its own, as a new process does. What it
// returns reads those metrics of names that are not zero.
func observe(t *testing.T) func(names map[string]string) map[string]string {
	t.Helper()
	again := true
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: manager.Scheme(), Metrics: server.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		Controller: ctrlconfig.Controller{SkipNameValidation: &again},
	})
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	if err := (&metrics.Observer{Registry: registry, Now: time.Now}).SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the observer ended with %v", err)
		}
	})
	<-mgr.Elected()
	if !mgr.GetCache().WaitForCacheSync(t.Context()) {
		t.Fatal("the cache does not fill")
	}
	return func(names map[string]string) map[string]string {
		answer := httptest.NewRecorder()
		promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
		got := map[string]string{}
		for name := range names {
			line := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\d+)$`).FindStringSubmatch(answer.Body.String())
			if line != nil && line[1] != "0" {
				got[name] = line[1]
			}
		}
		return got
	}
}
