package gomod

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/headrace-ci/headrace/pkg/prefetch/fake"
	"github.com/headrace-ci/headrace/pkg/run"
)

// sample is the Go service that the demo builds.
const sample = "../../../test/demo/samples/service"

// BenchmarkFetch fetches the modules of the demo's Go service from a proxy on
// this machine, in turns with go mod download, and reports how much longer it
// takes: metric x-go. The go command unpacks what it downloads as well; the
// prefetch leaves that to the build.
func BenchmarkFetch(b *testing.B) {
	out, err := run.Output(b.Context(), "go", "env", "GOMODCACHE")
	if err != nil {
		b.Fatal(err)
	}
	if err := run.InDir(b.Context(), sample, nil, "go", "mod", "download"); err != nil {
		b.Skipf("NOT MEASURED: the sample's modules are not on this machine: %v", err)
	}
	proxy := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(strings.TrimSpace(string(out)), "cache", "download"))))
	defer proxy.Close()
	logger := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	defer slog.SetDefault(logger)
	var ours, theirs time.Duration
	prefetch := func() {
		job := fake.Job(b, sample)
		job.Proxy = proxy.URL
		start := time.Now()
		if _, err := (Input{Path: "."}).Fetch(b.Context(), job); err != nil {
			b.Fatal(err)
		}
		ours += time.Since(start)
	}
	download := func() {
		cache := b.TempDir()
		start := time.Now()
		err := run.InDir(b.Context(), sample, []string{
			"GOMODCACHE=" + cache, "GOPROXY=" + proxy.URL, "GOSUMDB=off", "GONOPROXY=none", "GOFLAGS=-modcacherw", "GOWORK=off",
		}, "go", "mod", "download")
		if err != nil {
			b.Fatal(err)
		}
		theirs += time.Since(start)
	}
	// In turns, and each first half of the time: the disk is slower for who
	// comes second.
	turn := 0
	for b.Loop() {
		order := []func(){prefetch, download}
		for i := range order {
			order[(i+turn)%2]()
		}
		turn++
	}
	b.ReportMetric(ours.Seconds()/float64(b.N), "s/prefetch")
	b.ReportMetric(theirs.Seconds()/float64(b.N), "s/go-mod-download")
	b.ReportMetric(float64(ours)/float64(theirs), "x-go")
}
