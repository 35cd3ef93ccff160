package integration

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/test/bench/plot"
)

func TestReadSize(t *testing.T) {
	cases := map[string]struct {
		env  map[string]string
		want size
		err  string
	}{
		"nothing said": {want: size{Applications: 50, Components: 10, Scenarios: 10, Snapshots: 10000}},
		"all of it": {
			env:  map[string]string{"BUILDS": "6", "APPLICATIONS": "2", "SCENARIOS": "1", "SNAPSHOTS": "4"},
			want: size{Applications: 2, Components: 3, Scenarios: 1, Snapshots: 4},
		},
		"no number": {env: map[string]string{"SCENARIOS": "many"}, err: `HEADRACE_BENCH_SCENARIOS is "many"`},
		"nothing":   {env: map[string]string{"BUILDS": "0"}, err: `HEADRACE_BENCH_BUILDS is "0"`},
		"uneven":    {env: map[string]string{"BUILDS": "7", "APPLICATIONS": "2"}, err: "a multiple of the 2 applications"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := readSize(func(key string) string { return tc.env[strings.TrimPrefix(key, "HEADRACE_BENCH_")] })
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("error = %v, want one with %q", err, tc.err)
				}
				return
			}
			if err != nil || got != tc.want {
				t.Errorf("readSize = %+v, %v; want %+v", got, err, tc.want)
			}
		})
	}
}

func TestTotal(t *testing.T) {
	const text = "# HELP depth x\ndepth{name=\"a b\"} 2\ndepth{name=\"b\"} 3\ndepth_max 9\nrss 6.4e+07\nbad no\n"
	for name, want := range map[string]float64{"depth": 5, "rss": 64e6} {
		if got, err := total(text, name); err != nil || got != want {
			t.Errorf("total of %s = %v, %v; want %v", name, got, err, want)
		}
	}
	for _, name := range []string{"bad", "dep"} {
		if _, err := total(text, name); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("total of %s is no error that names it: %v", name, err)
		}
	}
}

const log = `{"stage":"RequestReceived","verb":"create","user":{"username":"us"},"objectRef":{"resource":"pipelineruns"}}
{"stage":"ResponseComplete","verb":"create","user":{"username":"us"},"objectRef":{"resource":"pipelineruns"},"responseStatus":{"code":201}}
{"stage":"ResponseComplete","verb":"create","user":{"username":"us"},"objectRef":{"resource":"pipelineruns"},"responseStatus":{"code":201}}
{"stage":"ResponseComplete","verb":"create","user":{"username":"them"},"objectRef":{"resource":"pipelineruns"},"responseStatus":{"code":201}}
{"stage":"ResponseComplete","verb":"patch","user":{"username":"us"},"objectRef":{"resource":"snapshots","subresource":"status"},"responseStatus":{"code":200}}
{"stage":"ResponseComplete","verb":"patch","user":{"username":"us"},"objectRef":{"resource":"snapshots","subresource":"status"},"responseStatus":{"code":409}}
{"stage":"ResponseComplete","verb":"list","user":{"username":"us"},"objectRef":{"resource":"taskruns"},"responseStatus":{"code":200}}
{"stage":"ResponseComplete","verb":"watch","user":{"username":"us"},"objectRef":{"resource":"taskruns"},"responseStatus":{"code":200}}
{"stage":"ResponseComplete","verb":"update","user":{"username":"us"},"objectRef":{"resource":"leases"},"responseStatus":{"code":200}}
{"stage":"ResponseComplete","verb":"get","requestURI":"/apis/tekton.dev?timeout=1s","user":{"username":"us"},"responseStatus":{"code":200}}
{"stage":"Respo`

func TestReadAudit(t *testing.T) {
	got, err := readAudit(strings.NewReader(log), "us")
	if err != nil {
		t.Fatal(err)
	}
	made, listed := operation{Verb: "create", Resource: "pipelineruns"}, operation{Verb: "list", Resource: "taskruns"}
	asked := operation{Verb: "get", Resource: "/apis/tekton.dev"}
	status, conflict := operation{Verb: "patch", Resource: "snapshots/status"}, operation{Verb: "patch", Resource: "snapshots/status", Refused: 409}
	if diff := cmp.Diff(requests{made: 2, status: 1, conflict: 1, listed: 1, asked: 1}, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]operation{made, status, conflict}, got.sorted(true)); diff != "" || got.writes() != 4 {
		t.Errorf("%d writes, want 4 (-want +got):\n%s", got.writes(), diff)
	}
	if diff := cmp.Diff(requests{made: 1, conflict: 1, listed: 1, asked: 1}, got.minus(requests{made: 1, status: 1})); diff != "" {
		t.Errorf("the rest (-want +got):\n%s", diff)
	}
	if _, err := readAudit(strings.NewReader("{}\nnot JSON\n"), "us"); err == nil || !strings.Contains(err.Error(), "line 2 of the audit log") {
		t.Errorf("error = %v, want one of line 2", err)
	}
}

func TestQuantile(t *testing.T) {
	var hundred curve
	for i := range 100 {
		hundred.Took = append(hundred.Took, time.Duration(100-i)*time.Second)
	}
	cases := map[string]struct {
		curve curve
		q     float64
		want  time.Duration
	}{
		"of none":         {q: 0.5},
		"of one":          {curve: curve{Took: []time.Duration{7}}, q: 0.5, want: 7},
		"the half":        {curve: hundred, q: 0.5, want: 50 * time.Second},
		"all but a few":   {curve: hundred, q: 0.95, want: 95 * time.Second},
		"all, so the max": {curve: hundred, q: 1, want: 100 * time.Second},
	}
	for name, tc := range cases {
		if got := tc.curve.quantile(tc.q); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

// says fails for what is not printed, however it is set.
func says(t *testing.T, text string, want ...string) {
	t.Helper()
	text = strings.Join(strings.Fields(text), " ")
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("no %q in:\n%s", w, text)
		}
	}
}

func TestBurstSaysWhatItMeasured(t *testing.T) {
	r := burst{
		Size:   size{Applications: 2, Components: 1, Scenarios: 4},
		Curves: []curve{{Name: "build done -> Snapshot", Took: []time.Duration{time.Second, 3 * time.Second}}},
		Requests: requests{
			{Verb: "create", Resource: "pipelineruns"}:                  8,
			{Verb: "patch", Resource: "snapshots/status", Refused: 409}: 1,
			{Verb: "list", Resource: "taskruns"}:                        5,
		},
		Server: 16, Ended: time.Second / 2, Resident: 64 << 20, CPU: time.Second, Took: 2 * time.Second,
		Machine: "2 CPUs", Arguments: []string{"--kube-api-qps=-1"},
	}
	var out strings.Builder
	if err := r.print(&out); err != nil {
		t.Fatal(err)
	}
	says(t, out.String(), "build done -> Snapshot 2 1.00 3.00 3.00 p95 <= 2", "create pipelineruns 8 4.00",
		"patch snapshots/status (409) 1 0.50", "all writes 9 4.50", "list taskruns 5 2.50 all reads 5 2.50",
		"2 builds ended within 0.5s, in 2 applications with 4 scenarios each", "(--kube-api-qps=-1) used 1.0s CPU in 2.0s, and at most 64 MiB",
		"took 16 creations a second", "8 test runs are 0.5s of its work", "2 CPUs")
}

func TestMemorySaysWhatItMeasured(t *testing.T) {
	m := memory{Points: []plot.Point{{X: 0, Y: 50}, {X: 1000, Y: 60}}, Peak: 61, Restarted: 55, StartPeak: 70, Machine: "2 CPUs"}
	var out strings.Builder
	if err := m.print(&out); err != nil {
		t.Fatal(err)
	}
	says(t, out.String(), "0 50.0 <= 150 1000 60.0 <= 150", "most on the way 61.0", "started again 55.0 <= 150", "most while starting 70.0", "2 CPUs")
}

func TestDraw(t *testing.T) {
	dir := t.TempDir()
	charts := map[string]plot.Chart{
		"latency.svg": curve{Name: "build done -> Snapshot", Took: []time.Duration{time.Second}}.chart(),
		"memory.svg":  memory{Points: []plot.Point{{X: 0, Y: 50}}}.chart(),
	}
	for name, chart := range charts {
		if err := draw(dir, name, chart); err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		var svg struct {
			XMLName xml.Name
			Texts   []string `xml:"text"`
		}
		if err := xml.Unmarshal(raw, &svg); err != nil || svg.XMLName.Local != "svg" {
			t.Fatalf("%s is %s, %v", name, svg.XMLName.Local, err)
		}
		says(t, strings.Join(svg.Texts, "\n"), chart.Title, "goal")
	}
	if err := draw(filepath.Join(dir, "none"), "x.svg", plot.Chart{}); err == nil {
		t.Error("a folder that is not there is no error")
	}
}

func TestLastPoint(t *testing.T) {
	m := memory{Points: []plot.Point{{X: 0, Y: 50}, {X: 10, Y: 60}}}
	if got := m.last(); got.Y != 60 {
		t.Errorf("last = %v", got)
	}
}
