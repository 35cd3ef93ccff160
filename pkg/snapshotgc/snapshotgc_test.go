package snapshotgc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"knative.dev/pkg/apis"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/snapshot"
	"github.com/headrace-ci/headrace/pkg/snapshotgc"
	"github.com/headrace-ci/headrace/test/fixture/faults"
)

var now = time.Date(2025, 3, 8, 12, 0, 0, 0, time.UTC)

func tenant(name, key, value string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{key: value}}}
}

func aged(namespace, name string, hours int, annotations map[string]string) *v1alpha1.Snapshot {
	return &v1alpha1.Snapshot{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: name, UID: types.UID(namespace + name), Annotations: annotations,
		CreationTimestamp: metav1.NewTime(now.Add(-time.Duration(hours) * time.Hour)),
	}, Spec: v1alpha1.SnapshotSpec{Application: "shop"}}
}

func newClient(t *testing.T, funcs interceptor.Funcs, objects ...client.Object) client.WithWatch {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, tektonv1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithInterceptorFuncs(funcs).Build()
}

func collector(c client.Client) *snapshotgc.Collector {
	return &snapshotgc.Collector{Client: c, Limits: snapshot.Limits{Other: 1}, Now: func() time.Time { return now }}
}

// left are the Snapshots that are still there, as namespace/name.
func left(t *testing.T, c client.Client) []string {
	t.Helper()
	var list v1alpha1.SnapshotList
	if err := c.List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, s := range list.Items {
		names = append(names, s.Namespace+"/"+s.Name)
	}
	slices.Sort(names)
	return names
}

func TestAll(t *testing.T) {
	c := newClient(t, interceptor.Funcs{},
		tenant("a", "konflux-ci.dev/type", "tenant"), tenant("b", "konflux.ci/type", "user"),
		tenant("c", "toolchain.dev.openshift.com/type", "tenant"), tenant("other", "konflux-ci.dev/type", "host"),
		aged("a", "old", 3, nil), aged("a", "new", 1, nil), aged("b", "old", 3, nil), aged("b", "new", 1, nil),
		aged("c", "old", 3, nil), aged("c", "new", 1, nil), aged("other", "old", 3, nil), aged("other", "new", 1, nil),
		&v1alpha1.Release{ObjectMeta: metav1.ObjectMeta{Namespace: "b", Name: "r"}, Spec: v1alpha1.ReleaseSpec{Snapshot: "old"}})
	if err := collector(c).All(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The Release's Snapshot counts, so b keeps no other.
	want := []string{"a/new", "b/old", "c/new", "other/new", "other/old"}
	if diff := cmp.Diff(want, left(t, c)); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

// TestErrorsElsewhere collects what can be, and tells what could not.
func TestErrorsElsewhere(t *testing.T) {
	c := newClient(t, interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			o := client.ListOptions{}
			o.ApplyOptions(opts)
			if _, ok := list.(*v1alpha1.ReleaseList); ok && o.Namespace == "a" {
				return errors.New("the server is tired")
			}
			return c.List(ctx, list, opts...)
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			if o.GetName() == "stuck" {
				return errors.New("it is refused")
			}
			return c.Delete(ctx, o, opts...)
		},
	},
		tenant("a", "konflux-ci.dev/type", "tenant"), tenant("b", "konflux-ci.dev/type", "tenant"),
		aged("a", "old", 3, nil), aged("a", "new", 1, nil),
		aged("b", "stuck", 4, nil), aged("b", "old", 3, nil), aged("b", "new", 1, nil))
	err := collector(c).All(t.Context())
	for _, part := range []string{"namespace a: listing Releases: the server is tired", `namespace b: deleting Snapshot "stuck": it is refused`} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v, want %q in it", err, part)
		}
	}
	if diff := cmp.Diff([]string{"a/new", "a/old", "b/new", "b/stuck"}, left(t, c)); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

// TestDisturbedAtEveryWrite ends the same wherever it is killed or a write is
// refused, when it is run again.
func TestDisturbedAtEveryWrite(t *testing.T) {
	journey := func(t *testing.T, w *faults.Write) []string {
		c := newClient(t, w.Funcs(), tenant("a", "konflux-ci.dev/type", "tenant"),
			aged("a", "1", 1, nil), aged("a", "2", 2, nil), aged("a", "3", 3, nil), aged("a", "4", 4, map[string]string{snapshot.KeepSnapshot: "soon"}))
		for range 2 {
			if err := collector(c).All(t.Context()); err != nil && !errors.Is(err, faults.ErrKilled) && (w.Err == nil || !errors.Is(err, w.Err)) {
				t.Fatal(err)
			}
		}
		var events corev1.EventList
		if err := c.List(t.Context(), &events); err != nil {
			t.Fatal(err)
		}
		end := left(t, c)
		for _, e := range events.Items {
			end = append(end, e.Reason+" "+e.InvolvedObject.Name)
		}
		return end
	}
	whole := &faults.Write{}
	want := journey(t, whole)
	// What nobody can read keeps a Snapshot for a day, and counts.
	if diff := cmp.Diff([]string{"a/4", "KeepSnapshotUnreadable 4"}, want); diff != "" {
		t.Fatalf("undisturbed (-want +got):\n%s", diff)
	}
	for i := range whole.Seen() {
		for _, late := range []bool{false, true} {
			w := &faults.Write{At: i + 1, Late: late}
			got := journey(t, w)
			if diff := cmp.Diff(want, got); diff != "" || !w.Happened() {
				t.Errorf("killed at write %d, late %t (-undisturbed +killed):\n%s", i+1, late, diff)
			}
		}
		for name, refusal := range faults.Refusals() {
			w := &faults.Write{At: i + 1, Err: refusal}
			if diff := cmp.Diff(want, journey(t, w)); diff != "" || !w.Happened() {
				t.Errorf("%s at write %d (-undisturbed +refused):\n%s", name, i+1, diff)
			}
		}
	}
}

func TestArchive(t *testing.T) {
	dir := t.TempDir()
	c := newClient(t, interceptor.Funcs{}, aged("a", "old", 3, nil), aged("a", "new", 1, nil))
	gc := collector(c)
	gc.Archive = snapshotgc.Folder{Path: dir}
	for range 2 { // what is archived already is archived again
		if _, err := gc.Namespace(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(filepath.Join(dir, "a", "old.aold.json"))
	if err != nil {
		t.Fatal(err)
	}
	var s v1alpha1.Snapshot
	if err := json.Unmarshal(raw, &s); err != nil || s.Name != "old" || s.Kind != "Snapshot" || s.Spec.Application != "shop" {
		t.Errorf("archived %s, %v", raw, err)
	}
	if diff := cmp.Diff([]string{"a/new"}, left(t, c)); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	t.Run("not there", func(t *testing.T) {
		c := newClient(t, interceptor.Funcs{}, aged("a", "old", 3, nil), aged("a", "new", 1, nil))
		gc := collector(c)
		gc.Archive = snapshotgc.Folder{Path: filepath.Join(dir, "none")}
		_, err := gc.Namespace(t.Context(), "a")
		if err == nil || !strings.Contains(err.Error(), `archiving Snapshot "old", which therefore stays`) || len(left(t, c)) != 2 {
			t.Errorf("%v, left %v", err, left(t, c))
		}
	})
}

func TestDryRun(t *testing.T) {
	c := newClient(t, interceptor.Funcs{}, aged("a", "old", 3, nil), aged("a", "new", 1, nil))
	gc := collector(c)
	gc.DryRun = true
	result, err := gc.Namespace(t.Context(), "a")
	if err != nil || result != (snapshotgc.Result{Snapshots: 2, Deleted: 1}) || len(left(t, c)) != 2 {
		t.Errorf("%+v, %v, left %v", result, err, left(t, c))
	}
}

// TestHeldRuns lets go of runs that would stay for ever, and of no others.
func TestHeldRuns(t *testing.T) {
	run := func(name, kind, of string, ended time.Duration) *tektonv1.PipelineRun {
		r := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name, Finalizers: []string{"chains.tekton.dev", snapshot.RunFinalizer}}}
		r.Labels = map[string]string{snapshot.RunTypeLabel: kind, snapshot.SnapshotKey: of}
		if ended > 0 {
			end := metav1.NewTime(now.Add(-ended))
			r.Status.CompletionTime = &end
			r.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionTrue})
		}
		return r
	}
	c := newClient(t, interceptor.Funcs{}, aged("a", "new", 1, nil),
		run("orphan", "test", "gone", 0), run("test", "test", "new", time.Hour), run("stuck", "build", "", 18*time.Hour), run("build", "build", "", 0))
	result, err := collector(c).Namespace(t.Context(), "a")
	if err != nil || result.Released != 2 {
		t.Errorf("%+v, %v", result, err)
	}
	var list tektonv1.PipelineRunList
	if err := c.List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, r := range list.Items {
		got[r.Name] = len(r.Finalizers)
	}
	if diff := cmp.Diff(map[string]int{"orphan": 1, "test": 2, "stuck": 1, "build": 2}, got); diff != "" {
		t.Errorf("finalizers (-want +got):\n%s", diff)
	}
}

func TestCommand(t *testing.T) {
	many := []client.Object{tenant("a", "konflux-ci.dev/type", "tenant")}
	for i := range 4 {
		many = append(many, aged("a", fmt.Sprint(i), i, nil))
	}
	cases := map[string]struct {
		env  map[string]string
		opts snapshotgc.Options
		left int
		err  string
	}{
		"flags":                    {opts: snapshotgc.Options{Limits: snapshot.Limits{Other: 3}}, left: 3},
		"variables go before them": {env: map[string]string{"NON_PR_SNAPSHOTS_TO_KEEP": "2"}, opts: snapshotgc.Options{Limits: snapshot.Limits{Other: 3}}, left: 2},
		"one namespace":            {opts: snapshotgc.Options{Namespace: "b"}, left: 4},
		"a variable that is none":  {env: map[string]string{"PR_SNAPSHOTS_TO_KEEP": "many"}, left: 4, err: `environment variable PR_SNAPSHOTS_TO_KEEP is "many": it must be a number`},
		"less than none":           {opts: snapshotgc.Options{Limits: snapshot.Limits{Other: -1}}, left: 4, err: "--non-pr-snapshots-to-keep: -1 is less than none"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			for k, v := range tc.env {
				t.Setenv(k, v)
			}
			c := newClient(t, interceptor.Funcs{}, many...)
			tc.opts.Client = c
			err := snapshotgc.Run(t.Context(), tc.opts)
			if tc.err == "" && err != nil || tc.err != "" && (err == nil || err.Error() != tc.err) {
				t.Errorf("Run() = %v, want %q", err, tc.err)
			}
			if got := left(t, c); len(got) != tc.left {
				t.Errorf("left %v, want %d", got, tc.left)
			}
		})
	}
}
