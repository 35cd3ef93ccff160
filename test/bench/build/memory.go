package build

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// memory is what a container used, in bytes.
type memory struct {
	WorkingSet float64 // what the kubelet holds against its limit
	Peak       float64 // the most since the container started, page cache included
	Resident   float64 // what the process itself counts, shared file pages included
}

// sample is a line of Prometheus's text format: name, labels, value, and
// perhaps a time.
var sample = regexp.MustCompile(`^([a-z_]+)(?:\{(.*)\})? ([0-9.eE+-]+)(?: [0-9]+)?$`)

// metric finds the one value of a metric in text, the metrics of a kubelet or
// a program, that has all of the labels, each as name="value".
func metric(text, name string, labels ...string) (float64, error) {
	var found []float64
	for line := range strings.Lines(text) {
		m := sample.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil || m[1] != name {
			continue
		}
		matches := true
		for _, label := range labels {
			matches = matches && strings.Contains(","+m[2]+",", ","+label+",")
		}
		if !matches {
			continue
		}
		value, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			return 0, fmt.Errorf("metric %s: %w", name, err)
		}
		found = append(found, value)
	}
	if len(found) != 1 {
		return 0, fmt.Errorf("metric %s with %s: %d values, want one", name, strings.Join(labels, ","), len(found))
	}
	return found[0], nil
}

// readMemory reads what pod's container used from the metrics of its kubelet's
// cAdvisor and those of the program in it.
func readMemory(cadvisor, program, namespace, pod, container string) (memory, error) {
	var m memory
	labels := []string{
		fmt.Sprintf("namespace=%q", namespace), fmt.Sprintf("pod=%q", pod), fmt.Sprintf("container=%q", container),
	}
	for name, into := range map[string]*float64{
		"container_memory_working_set_bytes": &m.WorkingSet, "container_memory_max_usage_bytes": &m.Peak,
	} {
		value, err := metric(cadvisor, name, labels...)
		if err != nil {
			return m, err
		}
		*into = value
	}
	resident, err := metric(program, "process_resident_memory_bytes")
	m.Resident = resident
	return m, err
}
