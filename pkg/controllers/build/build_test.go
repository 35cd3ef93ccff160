package build

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"knative.dev/pkg/apis"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/snapshot"
	"github.com/headrace-ci/headrace/test/fixture/faults"
)

const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// proof is a registry that has the signature, or the reason why not.
type proof struct {
	err    error
	looked int
}

func (p *proof) Prove(context.Context, string) error {
	p.looked++
	return p.err
}

func at(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "dev", Name: name, UID: "0"}
}

func ended(name, component string, status corev1.ConditionStatus) *tektonv1.PipelineRun {
	run := &tektonv1.PipelineRun{ObjectMeta: at(name)}
	run.Labels = map[string]string{snapshot.RunTypeLabel: snapshot.BuildRun, snapshot.ComponentLabel: component}
	run.Finalizers = []string{snapshot.RunFinalizer}
	start, end := metav1.Unix(1000, 0), metav1.Unix(1060, 0)
	run.Status.StartTime, run.Status.CompletionTime = &start, &end
	run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: status, Message: "Tasks Completed: 3"})
	for key, value := range map[string]string{
		"IMAGE_URL": "registry.test:5000/dev/web:abc", "IMAGE_DIGEST": digest,
		"CHAINS-GIT_URL": "https://git.test/web", "CHAINS-GIT_COMMIT": "0123456",
	} {
		run.Status.Results = append(run.Status.Results, tektonv1.PipelineRunResult{Name: key, Value: *tektonv1.NewStructuredValues(value)})
	}
	return run
}

func component(name string) *v1alpha1.Component {
	return &v1alpha1.Component{ObjectMeta: at(name), Spec: v1alpha1.ComponentSpec{
		Application: "shop", ComponentName: name, Source: v1alpha1.ComponentSource{Git: &v1alpha1.GitSource{URL: "https://git.test/" + name}},
	}}
}

func newClient(t *testing.T, funcs interceptor.Funcs, objects ...client.Object) client.WithWatch {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{tektonv1.AddToScheme, v1alpha1.AddToScheme, v1beta2.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.Component{}, &tektonv1.PipelineRun{}, &v1beta2.ComponentGroup{}).
		WithObjects(objects...).WithInterceptorFuncs(funcs).Build()
}

// once reads the run as a watch would and reconciles it once.
func once(t *testing.T, c client.Client, p Prover, now int64, name string) (ctrl.Result, error) {
	t.Helper()
	run := &tektonv1.PipelineRun{}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "dev", Name: name}, run); err != nil {
		t.Fatal(err)
	}
	r := &Reconciler{Client: c, Reader: c, Logs: logs, Prover: p, Now: func() time.Time { return time.Unix(now, 0).UTC() }}
	return r.Reconcile(t.Context(), run)
}

// logs are those of a step that failed.
func logs(_ context.Context, pod client.ObjectKey, container string) (string, error) {
	if pod.Name != "web-1-clone-pod" || container != "step-clone" {
		return "", fmt.Errorf("there is no container %s in pod %s", container, pod)
	}
	return "git-clone: cloning https://ada:secret@git.test/web: not found\nhint: check the url\n", nil
}

type state struct {
	Snapshots  []v1alpha1.Snapshot
	Components []v1alpha1.Component
	Run        *tektonv1.PipelineRun
}

func read(t *testing.T, c client.Client, run string) state {
	t.Helper()
	var snapshots v1alpha1.SnapshotList
	var components v1alpha1.ComponentList
	s := state{Run: &tektonv1.PipelineRun{}}
	err := errors.Join(c.List(t.Context(), &snapshots), c.List(t.Context(), &components),
		c.Get(t.Context(), client.ObjectKey{Namespace: "dev", Name: run}, s.Run))
	if err != nil {
		t.Fatal(err)
	}
	s.Snapshots, s.Components = snapshots.Items, components.Items
	return s
}

// TestKilledAtEveryWrite ends the same wherever the controller was killed,
// before the write arrived or after.
func TestKilledAtEveryWrite(t *testing.T) {
	journey := func(t *testing.T, w *faults.Write) state {
		c := newClient(t, w.Funcs(), &v1alpha1.Application{ObjectMeta: at("shop")}, component("web"), component("new"), ended("web-1", "web", corev1.ConditionTrue))
		for range 3 { // it starts again, and once more with nothing to do
			if _, err := once(t, c, &proof{}, 1100, "web-1"); err != nil && !errors.Is(err, faults.ErrKilled) {
				t.Fatal(err)
			}
		}
		return read(t, c, "web-1")
	}
	whole := &faults.Write{}
	want := journey(t, whole)
	if len(want.Snapshots) != 1 || len(want.Run.Finalizers) != 0 || want.Run.Annotations[snapshot.SnapshotKey] != want.Snapshots[0].Name {
		t.Fatalf("undisturbed it ends in %+v", want)
	}
	if got, image := want.Snapshots[0].Spec.Components, "registry.test:5000/dev/web@"+digest; len(got) != 1 || got[0].ContainerImage != image {
		t.Errorf("the Snapshot holds %+v, want %s alone", got, image)
	}
	for i := range whole.Seen() {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprintf("write %d, late %t", i+1, late), func(t *testing.T) {
				w := &faults.Write{At: i + 1, Late: late}
				got := journey(t, w)
				if !w.Happened() {
					t.Fatal("the write was not reached")
				}
				if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(metav1.ObjectMeta{}, "ResourceVersion"),
					cmpopts.IgnoreFields(tektonv1.PipelineRun{}, "Status")); diff != "" {
					t.Errorf("it ended otherwise (-undisturbed +killed):\n%s", diff)
				}
			})
		}
	}
}

// TestCacheBehind makes no second Snapshot, and does not crash, while a cache
// does not know the Snapshot that was just made.
func TestCacheBehind(t *testing.T) {
	behind := true
	c := newClient(t, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if _, ok := o.(*v1alpha1.Snapshot); ok && behind {
				return apierrors.NewNotFound(v1alpha1.GroupVersion.WithResource("snapshots").GroupResource(), key.Name)
			}
			return c.Get(ctx, key, o, opts...)
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if _, ok := list.(*v1alpha1.SnapshotList); ok && behind {
				return nil
			}
			return c.List(ctx, list, opts...)
		},
	}, &v1alpha1.Application{ObjectMeta: at("shop")}, component("web"), ended("web-1", "web", corev1.ConditionTrue))
	if _, err := once(t, c, &proof{}, 1100, "web-1"); err != nil {
		t.Fatal(err)
	}
	// The controller dies before it writes the name on the run.
	run := read(t, c, "web-1").Run
	run.Annotations = nil
	if err := c.Update(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	if _, err := once(t, c, &proof{}, 1100, "web-1"); err == nil {
		t.Error("it takes a Snapshot for made that it cannot read")
	}
	behind = false
	if _, err := once(t, c, &proof{}, 1100, "web-1"); err != nil {
		t.Fatal(err)
	}
	if got := read(t, c, "web-1"); len(got.Snapshots) != 1 || got.Run.Annotations[snapshot.SnapshotKey] != got.Snapshots[0].Name {
		t.Errorf("%d Snapshots, the run names %q", len(got.Snapshots), got.Run.Annotations[snapshot.SnapshotKey])
	}
}

// TestManyBuildsInOneSecond gives each a Snapshot of its own.
func TestManyBuildsInOneSecond(t *testing.T) {
	const builds = 10
	objects := []client.Object{&v1alpha1.Application{ObjectMeta: at("shop")}}
	for i := range builds {
		name := fmt.Sprintf("web-%d", i)
		run := ended(name+"-build", name, corev1.ConditionTrue)
		run.UID = types.UID(name)
		objects = append(objects, component(name), run)
	}
	c := newClient(t, interceptor.Funcs{}, objects...)
	for i := range builds {
		if _, err := once(t, c, &proof{}, 1100, fmt.Sprintf("web-%d-build", i)); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(t, c, "web-0-build").Snapshots; len(got) != builds {
		t.Errorf("%d Snapshots of %d builds", len(got), builds)
	}
}

// TestUnproven trusts nothing but the proof.
func TestUnproven(t *testing.T) {
	run := ended("web-1", "web", corev1.ConditionTrue)
	run.Annotations = map[string]string{"chains.tekton.dev/signed": "true"}
	c := newClient(t, interceptor.Funcs{}, &v1alpha1.Application{ObjectMeta: at("shop")}, component("web"), run)
	none := &proof{err: errors.New("no signatures found")}
	for _, tc := range []struct {
		now   int64
		again bool
	}{{1061, true}, {1359, true}, {1361, true}, {1060 + 24*3600 + 1, false}} {
		result, err := once(t, c, none, tc.now, "web-1")
		if err != nil || (result.RequeueAfter > 0) != tc.again {
			t.Errorf("at %d: %v, %v, want another look: %t", tc.now, result, err, tc.again)
		}
	}
	got := read(t, c, "web-1")
	if len(got.Snapshots) != 0 || got.Components[0].Status.LastPromotedImage != "" {
		t.Errorf("an unproven image was used: %+v", got)
	}
	if text := got.Run.Annotations[snapshot.CreatedAnnotation]; !strings.Contains(text, "within 5m0s") || !strings.Contains(text, "no signatures found") {
		t.Errorf("the run says %q", text)
	}
}

// failedTask is a task of the build that failed.
func failedTask() *tektonv1.TaskRun {
	task := &tektonv1.TaskRun{ObjectMeta: at("web-1-clone")}
	task.Labels = map[string]string{"tekton.dev/pipelineRun": "web-1", "tekton.dev/pipelineTask": "clone"}
	task.Status.PodName = "web-1-clone-pod"
	task.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionFalse, Message: "exited with code 1"})
	task.Status.Steps = []tektonv1.StepState{{Container: "step-clone", ContainerState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1}}}}
	return task
}

// TestRefused says on the build why it has no Snapshot, and lets go of it.
func TestRefused(t *testing.T) {
	cases := map[string]struct {
		change func(*tektonv1.PipelineRun, *v1alpha1.Component, *v1alpha1.Application)
		want   string
	}{
		"a build that failed": {func(r *tektonv1.PipelineRun, _ *v1alpha1.Component, _ *v1alpha1.Application) {
			r.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionFalse, Message: "task build failed"})
		}, "build PipelineRun web-1 failed: task build failed"},
		"a build whose step failed": {func(r *tektonv1.PipelineRun, _ *v1alpha1.Component, _ *v1alpha1.Application) {
			r.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionFalse, Message: "Tasks Completed: 1"})
		}, `task clone failed: exited with code 1 (kubectl -n dev logs web-1-clone-pod -c step-clone):\ngit-clone: cloning https://***@git.test/web: not found\nhint: check the url`},
		"no component label": {func(r *tektonv1.PipelineRun, _ *v1alpha1.Component, _ *v1alpha1.Application) {
			delete(r.Labels, snapshot.ComponentLabel)
		}, snapshot.ComponentLabel},
		"a component that is missing": {func(r *tektonv1.PipelineRun, _ *v1alpha1.Component, _ *v1alpha1.Application) {
			r.Labels[snapshot.ComponentLabel] = "other"
		}, `no Component \"other\"`},
		"an application that is missing": {func(_ *tektonv1.PipelineRun, _ *v1alpha1.Component, a *v1alpha1.Application) {
			a.Name = "another"
		}, `no Application \"shop\"`},
		"a result that is missing": {func(r *tektonv1.PipelineRun, _ *v1alpha1.Component, _ *v1alpha1.Application) {
			r.Status.Results = nil
		}, "pipeline result IMAGE_DIGEST is missing"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			run, web, app := ended("web-1", "web", corev1.ConditionTrue), component("web"), &v1alpha1.Application{ObjectMeta: at("shop")}
			tc.change(run, web, app)
			c := newClient(t, interceptor.Funcs{}, run, web, app, failedTask())
			if result, err := once(t, c, &proof{}, 1100, "web-1"); err != nil || result.RequeueAfter > 0 {
				t.Errorf("tried again: %v, %v", result, err)
			}
			got := read(t, c, "web-1")
			if text := got.Run.Annotations[snapshot.CreatedAnnotation]; !strings.Contains(text, strings.ReplaceAll(tc.want, "\n", `\n`)) || !strings.Contains(text, `"status":"failed"`) {
				t.Errorf("the run says %q, want %q in it", text, tc.want)
			}
			if len(got.Snapshots) != 0 || len(got.Run.Finalizers) != 0 {
				t.Errorf("%d Snapshots, held by %v", len(got.Snapshots), got.Run.Finalizers)
			}
		})
	}
}

// TestOlderBuildIsNotPromoted keeps the later image, and tests the older one.
func TestOlderBuildIsNotPromoted(t *testing.T) {
	web := component("web")
	web.Annotations = map[string]string{snapshot.LastBuiltTime: "2000"}
	web.Status.LastPromotedImage = "registry.test:5000/dev/web@" + digest
	c := newClient(t, interceptor.Funcs{}, &v1alpha1.Application{ObjectMeta: at("shop")}, web, ended("web-1", "web", corev1.ConditionTrue))
	if _, err := once(t, c, &proof{}, 1100, "web-1"); err != nil {
		t.Fatal(err)
	}
	got := read(t, c, "web-1")
	if got.Components[0].Annotations[snapshot.LastBuiltTime] != "2000" || !strings.Contains(got.Run.Annotations[snapshot.CandidateKey], `"result":false`) {
		t.Errorf("promoted: %v, %v", got.Components[0].Annotations, got.Run.Annotations)
	}
	if len(got.Snapshots) != 1 {
		t.Errorf("%d Snapshots", len(got.Snapshots))
	}
}
