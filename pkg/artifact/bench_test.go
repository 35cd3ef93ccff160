package artifact_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"math/rand"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/headrace-ci/headrace/pkg/artifact"
	"github.com/headrace-ci/headrace/pkg/run"
)

// benchSize is how much BenchmarkArtifact hands on, in bytes.
const benchSize = 2 << 30

// childVariable makes the test binary do one half of the benchmark and say
// what memory it took, so that the registry's is not counted.
const childVariable = "HEADRACE_ARTIFACT_BENCH"

func TestMain(m *testing.M) {
	if what := strings.Fields(os.Getenv(childVariable)); len(what) == 3 {
		child(what[0], what[1], what[2])
		return
	}
	os.Exit(m.Run())
}

func child(what, a, b string) {
	start := time.Now()
	var err error
	uri := ""
	if what == "create" {
		var uris map[string]string
		uris, err = artifact.Create(context.Background(), artifact.CreateOptions{Store: a, Paths: map[string]string{"A": b}})
		uri = uris["A"]
	} else {
		err = artifact.Use(context.Background(), a, b)
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%f %d %s\n", time.Since(start).Seconds(), peak(), uri)
}

// peak is the most memory this process had, in bytes.
func peak() int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		log.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				log.Fatal(err)
			}
			return kib << 10
		}
	}
	return 0
}

// BenchmarkArtifact hands on 2 GiB of files that compress to about half, through
// a registry that keeps them on disk, and has tar archive them for comparison.
func BenchmarkArtifact(b *testing.B) {
	dir := b.TempDir()
	b.Setenv("DOCKER_CONFIG", dir)
	blobs := filepath.Join(dir, "blobs")
	if err := os.Mkdir(blobs, 0o755); err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithBlobHandler(registry.NewDiskBlobHandler(blobs))))
	defer server.Close()
	source := filepath.Join(dir, "source")
	fill(b, source)
	store := strings.TrimPrefix(server.URL, "http://") + "/app:1.git"
	var made, used float64
	var madePeak, usedPeak int
	for b.Loop() {
		seconds, memory, uri := half(b, "create", store, source)
		made, madePeak = made+seconds, max(madePeak, memory)
		dest := filepath.Join(dir, "dest")
		seconds, memory, _ = half(b, "use", uri, dest)
		used, usedPeak = used+seconds, max(usedPeak, memory)
		if err := os.RemoveAll(dest); err != nil { // room for the next
			b.Fatal(err)
		}
	}
	theirs := tarProgram(b, "-czf", filepath.Join(dir, "source.tgz"), "-C", source, ".")
	b.ReportMetric(benchSize/1e6*float64(b.N)/made, "create-MB/s")
	b.ReportMetric(benchSize/1e6*float64(b.N)/used, "use-MB/s")
	b.ReportMetric(benchSize/1e6/theirs, "tar-czf-MB/s")
	b.ReportMetric(float64(madePeak)/1e6, "create-peak-MB")
	b.ReportMetric(float64(usedPeak)/1e6, "use-peak-MB")
}

// tarProgram runs tar and returns how many seconds it took.
func tarProgram(b *testing.B, args ...string) float64 {
	b.Helper()
	start := time.Now()
	if _, err := run.Output(b.Context(), "tar", args...); err != nil {
		b.Fatal(err)
	}
	return time.Since(start).Seconds()
}

func half(b *testing.B, what, from, to string) (seconds float64, memory int, uri string) {
	b.Helper()
	var out strings.Builder
	err := run.Command{Name: os.Args[0], Env: []string{childVariable + "=" + what + " " + from + " " + to}, Stdout: &out}.Run(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	if n, err := fmt.Sscanln(out.String(), &seconds, &memory, &uri); n < 2 {
		b.Fatal(out.String(), err)
	}
	return seconds, memory, uri
}

// fill writes files of a megabyte, half of each noise and half text.
func fill(b *testing.B, dir string) {
	b.Helper()
	noise := rand.New(rand.NewSource(1))
	block := make([]byte, 1<<20)
	copy(block[1<<19:], strings.Repeat("func main() { fmt.Println(\"hello\") }\n", 1<<19/37))
	for i := range benchSize >> 20 {
		_, _ = noise.Read(block[:1<<19]) // it never fails
		file := filepath.Join(dir, fmt.Sprintf("d%d", i%32), fmt.Sprintf("f%d", i))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(file, block, 0o644); err != nil {
			b.Fatal(err)
		}
	}
}
