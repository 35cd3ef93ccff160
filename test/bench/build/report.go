package build

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// report is what one measurement found.
type report struct {
	Run     string        // the PipelineRun
	Took    time.Duration // from its creation to its end
	Pods    int           // that were made for it
	Tasks   []task        // in the order they started
	Machine string        // what it ran on, for people who compare
	Before  memory        // of the controllers, when nothing ran
	After   memory        // of the controllers, when the build had become a Snapshot
}

// task is one TaskRun of the build.
type task struct {
	Name  string
	Took  time.Duration // from its creation to its end; the API has whole seconds
	Steps []timing      // run bare
}

type timing struct {
	Name string
	Took time.Duration
}

func (t task) bare() time.Duration {
	var sum time.Duration
	for _, s := range t.Steps {
		sum += s.Took
	}
	return sum
}

func (r report) bare() time.Duration {
	var sum time.Duration
	for _, t := range r.Tasks {
		sum += t.bare()
	}
	return sum
}

// ratio is how many times longer the build takes than its programs do.
func (r report) ratio() float64 { return r.Took.Seconds() / r.bare().Seconds() }

// heaviest is the step that takes longest by itself.
func (r report) heaviest() (name string, took time.Duration) {
	for _, t := range r.Tasks {
		for _, s := range t.Steps {
			if s.Took > took {
				name, took = t.Name+"/"+s.Name, s.Took
			}
		}
	}
	return name, took
}

const mebibyte = 1 << 20

// print writes the numbers as tables, and what they say.
func (r report) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\nTask\t%8s\t%8s\n", "pod s", "bare s")
	for _, t := range r.Tasks {
		fmt.Fprintf(w, "%s\t%8.0f\t%8.2f\n", t.Name, t.Took.Seconds(), t.bare().Seconds())
		for _, s := range t.Steps {
			fmt.Fprintf(w, "  %s\t\t%8.2f\n", s.Name, s.Took.Seconds())
		}
	}
	fmt.Fprintf(w, "whole build\t%8.1f\t%8.2f\n", r.Took.Seconds(), r.bare().Seconds())
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nController\t%8s\t%8s\n", "before", "after")
	for _, row := range []struct {
		name          string
		before, after float64
	}{
		{"working set", r.Before.WorkingSet, r.After.WorkingSet},
		{"peak since it started", r.Before.Peak, r.After.Peak},
		{"resident (RSS)", r.Before.Resident, r.After.Resident},
	} {
		fmt.Fprintf(w, "%s\t%8.1f\t%8.1f\tMiB\n", row.name, row.before/mebibyte, row.after/mebibyte)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\n%s\n", r.explain())
	return err
}

// explain says what the numbers mean, and what they are made of.
func (r report) explain() string {
	between := r.Took - r.bare()
	step, took := r.heaviest()
	return fmt.Sprintf(`%d pods a build. %s took %.1fs on Tekton, its programs run bare in sequence %.1fs: %.2f times as long.
The %.1fs between, %.1fs a pod, are what pods cost: Tekton makes one, it is scheduled, its containers are
started, its end is noticed; on a busy machine, also what others took. Tasks side by side count once on Tekton and each in the sum.
Of the programs' own time, %s is %.0f%% (%.1fs).
Bare: the programs of the same images with the pods' arguments, environment, users and capabilities, each
timed from exec to exit. An unmeasured build came before both, so images are on the node and layers in
the registry. Working set and peak are of the controller's cgroup; RSS counts its executable's pages too.
%s`,
		r.Pods, r.Run, r.Took.Seconds(), r.bare().Seconds(), r.ratio(),
		between.Seconds(), between.Seconds()/float64(r.Pods),
		step, 100*took.Seconds()/r.bare().Seconds(), took.Seconds(), r.Machine)
}
