//go:build bench

package integration

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/snapshot"
	"github.com/headrace-ci/headrace/test/bench/plot"
)

// steps is how often memory is looked at while Snapshots are made.
const steps = 10

// BenchmarkMemory makes Snapshots, as many builds of an application's
// components would, and looks at the memory of the controller that takes care
// of them. Nothing tests or releases them.
func BenchmarkMemory(b *testing.B) {
	var w *world
	var latest memory
	for b.Loop() {
		w = newWorld(b) // without what another left
		latest = w.memory()
		w.must(latest.print(os.Stdout))
	}
	w.must(draw(w.out, "memory.svg", latest.chart()))
	b.ReportMetric(0, "ns/op") // of everything, and so of nothing
	b.ReportMetric(latest.last().Y, "RSS-MiB")
	b.ReportMetric(latest.Restarted, "RSS-MiB-restarted")
	fmt.Printf("plots: %s\n", w.out)
}

func (w *world) memory() memory {
	w.Helper()
	var m memory
	names := w.namespaces()
	var all []client.Object
	for _, ns := range names {
		all = append(all, application(ns, w.size.Components)...)
	}
	w.create(all)
	w.start()
	quiet := load()
	peak := w.watchMemory()
	resident := func() float64 { return w.metric("process_resident_memory_bytes") / mebibyte }
	m.Points = append(m.Points, plot.Point{Y: resident()})
	for made := 0; made < w.size.Snapshots; {
		next := min(made+max(1, w.size.Snapshots/steps), w.size.Snapshots)
		first := made
		w.each(next-made, func(ctx context.Context, i int) error {
			s := w.snapshot(names[(first+i)%len(names)], first+i)
			if err := w.c.Create(ctx, s); err != nil {
				return fmt.Errorf("creating Snapshot %s: %w", s.Name, err)
			}
			return nil
		})
		made = next
		w.rest()
		m.Points = append(m.Points, plot.Point{X: float64(made), Y: resident()})
		fmt.Fprintf(os.Stderr, "%d Snapshots: %.1f MiB\n", made, m.last().Y)
	}
	m.Peak = peak() / mebibyte
	w.controller.Kill()
	// What a new leader finds, all at once.
	peak = w.watchMemory()
	w.start()
	m.Restarted, m.StartPeak = resident(), peak()/mebibyte
	w.controller.Kill()
	m.Machine = machine(quiet)
	return m
}

// snapshot is the i-th, as the controller makes it of a build.
func (w *world) snapshot(ns string, i int) *v1alpha1.Snapshot {
	const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	image := func(component string) string {
		return "registry.example.com/tenants/" + ns + "/" + component + "@" + digest
	}
	component := part(i % w.size.Components)
	whole := snapshot.Whole{Application: app}
	for j := range w.size.Components {
		whole.Parts = append(whole.Parts, snapshot.Part{
			Name: part(j), Image: image(part(j)), Commit: commit,
			Source: v1alpha1.ComponentSource{Git: &v1alpha1.GitSource{URL: source(part(j)), Revision: "main"}},
		})
	}
	run := buildRun(ns, component)
	run.UID = types.UID(fmt.Sprint(i))
	run.CreationTimestamp = metav1.NewTime(time.Now().Add(time.Duration(i) * time.Second))
	succeed(run, time.Now(), "", map[string]string{
		"IMAGE_URL": "registry.example.com/tenants/" + ns + "/" + component + ":" + commit, "IMAGE_DIGEST": digest,
		"CHAINS-GIT_URL": source(component), "CHAINS-GIT_COMMIT": commit,
	})
	made := snapshot.Built{Image: image(component), URL: source(component), Commit: commit}
	s, _ := snapshot.NewComponentSnapshot(run, made, whole, "")
	s.Name = fmt.Sprintf("%s-%06d", app, i)
	return s
}
