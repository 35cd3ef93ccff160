// Package integration measures how long the controller's own program takes
// from builds to Releases when many builds end at once, what it asks of the API
// server for that, and what memory Snapshots take. The API server, etcd, the
// registry and the signatures in it are real; Tekton's part is played by the
// benchmark, which writes what Tekton would.
//
// It needs no cluster:
//
//	make apiserver   # or only: bin/cluster build
//	go test -tags=bench -run='^$' -bench=. -timeout=1h ./test/bench/integration
//
// HEADRACE_BENCH_BUILDS, _APPLICATIONS, _SCENARIOS and _SNAPSHOTS are other
// sizes, HEADRACE_BENCH_CONTROLLER more flags for the controller, and
// HEADRACE_BENCH_OUT the folder for the plots.
package integration

import (
	"fmt"
	"strconv"
	"strings"
)

// size is how much is measured.
type size struct {
	Applications int
	Components   int // of each application, each with one build
	Scenarios    int // of each application
	Snapshots    int // that are present when memory is measured
}

func (s size) builds() int { return s.Applications * s.Components }

// readSize reads a size from environment variables.
func readSize(getenv func(string) string) (size, error) {
	s := size{Applications: 50, Scenarios: 10, Snapshots: 10000}
	builds := 500
	for name, into := range map[string]*int{
		"APPLICATIONS": &s.Applications, "BUILDS": &builds, "SCENARIOS": &s.Scenarios, "SNAPSHOTS": &s.Snapshots,
	} {
		text := getenv("HEADRACE_BENCH_" + name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return s, fmt.Errorf("HEADRACE_BENCH_%s is %q, want a number of at least 1", name, text)
		}
		*into = n
	}
	for name, n := range map[string]int{"BUILDS": builds, "SNAPSHOTS": s.Snapshots} {
		if n%s.Applications != 0 {
			return s, fmt.Errorf("HEADRACE_BENCH_%s is %d, want a multiple of the %d applications", name, n, s.Applications)
		}
	}
	s.Components = builds / s.Applications
	return s, nil
}

// total is the sum of a metric's values, whatever their labels, in Prometheus's
// text format.
func total(text, name string) (float64, error) {
	sum, found := 0.0, false
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		fields := strings.Fields(rest)
		value, err := strconv.ParseFloat(fields[len(fields)-1], 64)
		if err != nil {
			return 0, fmt.Errorf("metric %s: %w", name, err)
		}
		sum, found = sum+value, true
	}
	if !found {
		return 0, fmt.Errorf("there is no metric %s", name)
	}
	return sum, nil
}
