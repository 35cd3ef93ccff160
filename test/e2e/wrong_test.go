//go:build e2e

package e2e

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/snapshot"
	"github.com/headrace-ci/headrace/test/demo"
)

// broken is a component whose Containerfile has one line that fails.
var broken = demo.Component{
	Name: "broken", Dockerfile: "Containerfile",
	Files: fstest.MapFS{"Containerfile": {Data: []byte("ARG REGISTRY\nFROM ${REGISTRY}/base/golang:1.26\nRUN go build ./missing\n")}},
}

// TestWrongInput gives builds what cannot work, and reads what a person is
// told: a build that failed says why where its Snapshot would be named.
func TestWrongInput(t *testing.T) {
	d := newDemo(t, append(samples(), broken)...)
	if err := d.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { forget(t, d, broken.Name) })
	var story demo.Story
	run, err := d.Build(t.Context(), broken, &story)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Client().Get(t.Context(), client.ObjectKeyFromObject(run), run); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		run  *tektonv1.PipelineRun
		want []string
	}{
		"Containerfile": {run, []string{"task build-container failed", "RUN go build ./missing"}},
		"git-url": {
			changed(run, "git-url", strings.Replace(param(run, "git-url"), "broken.git", "absent.git", 1)),
			[]string{"task clone-repository failed", "/git/demo/absent.git"},
		},
		"output-image": {
			changed(run, "output-image", strings.Replace(param(run, "output-image"), "/demo-tenant/", "/released/", 1)),
			[]string{"task clone-repository failed", "/released/broken", "list it under secrets of the run's ServiceAccount"},
		},
	} {
		if tc.run != run {
			if err := d.Client().Create(t.Context(), tc.run); err != nil {
				t.Fatal(err)
			}
		}
		t.Run(name, func(t *testing.T) {
			if err := d.AwaitBuild(t.Context(), tc.run); err == nil {
				t.Fatal("the build succeeded")
			}
			outcome, err := d.AwaitOutcome(t.Context(), tc.run)
			if err != nil {
				t.Fatal(err)
			}
			if outcome.Status != snapshot.Failure || outcome.Reason != snapshot.BuildFailed {
				t.Errorf("the outcome is %s, %s", outcome.Status, outcome.Reason)
			}
			for _, want := range tc.want {
				if !strings.Contains(outcome.Message, want) {
					t.Errorf("no %q in the message:\n%s", want, outcome.Message)
				}
			}
		})
	}
}

func param(run *tektonv1.PipelineRun, name string) string {
	for _, p := range run.Spec.Params {
		if p.Name == name {
			return p.Value.StringVal
		}
	}
	return ""
}

// changed is another run like one, with another value of a param.
func changed(run *tektonv1.PipelineRun, name, value string) *tektonv1.PipelineRun {
	other := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{
		Namespace: run.Namespace, Name: run.Name + "-" + name, Labels: run.Labels, Annotations: run.Annotations,
	}}
	run.Spec.DeepCopyInto(&other.Spec)
	for i := range other.Spec.Params {
		if other.Spec.Params[i].Name == name {
			other.Spec.Params[i].Value.StringVal = value
		}
	}
	return other
}

// forget deletes a component, which others would otherwise be tested with. The
// test has ended by then, and its context with it.
func forget(t *testing.T, d *demo.Demo, name string) {
	component := &v1alpha1.Component{ObjectMeta: metav1.ObjectMeta{Namespace: d.Tenant, Name: name}}
	if err := d.Client().Delete(context.Background(), component); client.IgnoreNotFound(err) != nil {
		t.Error(err)
	}
}
