package build

import (
	"strings"
	"testing"
	"time"
)

const cadvisor = `# HELP container_memory_working_set_bytes Current working set.
container_memory_working_set_bytes{container="controller",id="/a",namespace="headrace-system",pod="controller-1"} 2.1e+07 1795246963756
container_memory_working_set_bytes{container="controller",id="/b",namespace="other",pod="controller-1"} 1 1795246963756
container_memory_working_set_bytes{container="",id="/c",namespace="headrace-system",pod="controller-1"} 2
container_memory_max_usage_bytes{container="controller",id="/a",namespace="headrace-system",pod="controller-1"} 2.4e+07 1795246963756
`

const program = "process_resident_memory_bytes 6.4e+07\nprocess_resident_memory_bytes_max 9\n"

func TestReadMemory(t *testing.T) {
	cases := map[string]struct {
		cadvisor, program string
		want              memory
		err               string // a part of it
	}{
		"one container's": {
			cadvisor: cadvisor, program: program, want: memory{WorkingSet: 21e6, Peak: 24e6, Resident: 64e6},
		},
		"a kubelet that does not know it": {program: program, err: `container_memory_`},
		"two of a name": {
			cadvisor: cadvisor + cadvisor, program: program, err: "2 values, want one",
		},
		"a program without the metric": {
			cadvisor: cadvisor, program: "up 1\n", err: "process_resident_memory_bytes",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := readMemory(tc.cadvisor, tc.program, "headrace-system", "controller-1", "controller")
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("error = %v, want one with %q", err, tc.err)
				}
				return
			}
			if err != nil || got != tc.want {
				t.Errorf("memory = %+v, %v; want %+v", got, err, tc.want)
			}
		})
	}
}

func TestReportSaysWhatItMeasured(t *testing.T) {
	r := report{
		Run: "bench-1", Took: 40 * time.Second, Pods: 2, Machine: "2 CPUs",
		Tasks: []task{
			{Name: "clone", Took: 6 * time.Second, Steps: []timing{{"clone", time.Second}, {"create", time.Second}}},
			{Name: "build", Took: 20 * time.Second, Steps: []timing{{"build", 14 * time.Second}}},
		},
		Before: memory{WorkingSet: 20 << 20}, After: memory{WorkingSet: 21 << 20, Peak: 30 << 20, Resident: 64 << 20},
	}
	var out strings.Builder
	if err := r.print(&out); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(out.String()), " ") // however it is set
	for _, want := range []string{
		"clone 6 2.00 clone 1.00 create 1.00", "whole build 40.0 16.00", "working set 20.0 21.0 MiB",
		"peak since it started 0.0 30.0 MiB", "resident (RSS) 0.0 64.0 MiB", "2 pods a build", "2.50 times as long",
		"The 24.0s between, 12.0s a pod", "build/build is 88% (14.0s)", "2 CPUs",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, &out)
		}
	}
}
