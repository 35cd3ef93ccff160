package integration

import (
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/headrace-ci/headrace/test/bench/plot"
)

// What the project wants, for comparison: nothing fails that misses it.
const (
	goalLatency = 2 * time.Second // of 95 %
	goalRSS     = 150             // MiB
)

const mebibyte = 1 << 20

// curve is how long one thing took, each time.
type curve struct {
	Name, File string
	Took       []time.Duration
}

// quantile is the time that a share q of all took at most, 0 of none.
func (c curve) quantile(q float64) time.Duration {
	if len(c.Took) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(c.Took))
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}

// chart is the share that was done by a time.
func (c curve) chart() plot.Chart {
	points := []plot.Point{{}}
	for i, took := range slices.Sorted(slices.Values(c.Took)) {
		points = append(points, plot.Point{X: took.Seconds(), Y: float64(i+1) / float64(len(c.Took))})
	}
	return plot.Chart{
		Title: c.Name, X: "seconds", Y: "share that took at most that long",
		Lines: []plot.Line{{Name: fmt.Sprintf("%d measured", len(c.Took)), Points: points}},
		Goals: []plot.Goal{{Name: fmt.Sprintf("goal for 95 %%: %v", goalLatency), Value: goalLatency.Seconds(), OnX: true}},
	}
}

// burst is what builds that end at once came to.
type burst struct {
	Size      size
	Curves    []curve
	Requests  requests
	Server    float64 // creations a second that the API server took with nothing else to do
	Ended     time.Duration
	Resident  float64 // bytes, the most of the controller
	CPU       time.Duration
	Took      time.Duration // in which the controller used that CPU time
	Machine   string
	Arguments []string // of the controller
}

// print writes the numbers as a table, and what they say.
func (r burst) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\nSeconds\t%8s\t%8s\t%8s\t%8s\tgoal\n", "number", "p50", "p95", "max")
	for _, c := range r.Curves {
		fmt.Fprintf(w, "%s\t%8d\t%8.2f\t%8.2f\t%8.2f\tp95 <= %.0f\n", c.Name, len(c.Took),
			c.quantile(0.5).Seconds(), c.quantile(0.95).Seconds(), c.quantile(1).Seconds(), goalLatency.Seconds())
	}
	if err := w.Flush(); err != nil {
		return err
	}
	snapshots := float64(r.Size.builds())
	row := func(name string, n int) { fmt.Fprintf(w, "%s\t%8d\t%8.2f\n", name, n, float64(n)/snapshots) }
	fmt.Fprintf(w, "\nRequests of the controller\t%8s\t%8s\n", "number", "per Snapshot")
	for _, write := range []bool{true, false} {
		total := 0
		for _, op := range r.Requests.sorted(write) {
			row(op.String(), r.Requests[op])
			total += r.Requests[op]
		}
		row(map[bool]string{true: "all writes", false: "all reads"}[write], total)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, `
%d builds ended within %.1fs, in %d applications with %d scenarios each. Times are a client's that watches,
from the answer to the write that ended the build, or the last test, to the object's arrival; Snapshot -> test
runs is to the last of its runs. Writes that were refused count, and each has a line of its own.
The controller (%s) used %.1fs CPU in %.1fs, and at most %.0f MiB (RSS).
The same API server, without the controller, took %.0f creations a second from 64 clients: %d test runs are
%.1fs of its work. etcd does not wait for the disk here.
%s
`, r.Size.builds(), r.Ended.Seconds(), r.Size.Applications, r.Size.Scenarios, strings.Join(r.Arguments, " "),
		r.CPU.Seconds(), r.Took.Seconds(), r.Resident/mebibyte,
		r.Server, r.Size.builds()*r.Size.Scenarios, float64(r.Size.builds()*r.Size.Scenarios)/r.Server, r.Machine)
	return err
}

// memory is what the controller used while Snapshots became more.
type memory struct {
	Points    []plot.Point // Snapshots, and MiB when it was done with them
	Peak      float64      // MiB, the most while they were made
	Restarted float64      // MiB, of a new process that found them all
	StartPeak float64      // MiB, the most while it started
	Requests  requests
	Machine   string
}

func (m memory) last() plot.Point { return m.Points[len(m.Points)-1] }

func (m memory) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\nSnapshots\t%8s\tgoal\n", "RSS, MiB")
	for _, p := range m.Points {
		fmt.Fprintf(w, "%.0f\t%8.1f\t<= %d\n", p.X, p.Y, goalRSS)
	}
	fmt.Fprintf(w, "most on the way\t%8.1f\nstarted again\t%8.1f\t<= %d\nmost while starting\t%8.1f\n", m.Peak, m.Restarted, goalRSS, m.StartPeak)
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\nRSS is what the process counts, its executable's pages included. %s\n", m.Machine)
	return err
}

func (m memory) chart() plot.Chart {
	return plot.Chart{
		Title: "Controller with Snapshots present", X: "Snapshots", Y: "RSS, MiB",
		Lines: []plot.Line{{Name: "at rest", Points: m.Points}},
		Goals: []plot.Goal{{Name: fmt.Sprintf("goal: %d MiB", goalRSS), Value: goalRSS}},
	}
}

// draw writes a chart into a folder.
func draw(dir, name string, chart plot.Chart) error {
	file, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	if err := chart.WriteSVG(file); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}
