package cancel

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"knative.dev/pkg/apis"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// TestReconcile stops what still runs for a Snapshot that is outdated. A
// verdict stays: what an optional test would add to it nobody waits for.
func TestReconcile(t *testing.T) {
	verdict := []metav1.Condition{{Type: snapshot.IntegrationCondition, Status: metav1.ConditionTrue, Reason: "Finished"}}
	cases := map[string]struct {
		conditions []metav1.Condition
		newer      bool
		ignore     bool
		want       []string // runs that are cancelled
		reason     string   // of the condition afterwards
	}{
		"nothing is newer":           {},
		"something is":               {newer: true, want: []string{"test-running"}, reason: "Canceled"},
		"it started":                 {newer: true, conditions: []metav1.Condition{{Type: snapshot.IntegrationCondition, Status: metav1.ConditionUnknown, Reason: "InProgress"}}, want: []string{"test-running"}, reason: "Canceled"},
		"it has its verdict":         {newer: true, conditions: verdict, want: []string{"test-running"}, reason: "Finished"},
		"it is not to be superseded": {newer: true, ignore: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := &v1alpha1.Snapshot{
				ObjectMeta: metav1.ObjectMeta{
					Namespace: "dev", Name: "shop-1",
					Labels: map[string]string{snapshot.TypeLabel: snapshot.ComponentType, snapshot.ComponentLabel: "web", snapshot.PullRequestLabel: "7",
						"pac.test.appstudio.openshift.io/event-type": "pull_request"},
					Annotations: map[string]string{snapshot.StartTimeKey: "1741064767000"},
				},
				Status: v1alpha1.SnapshotStatus{Conditions: tc.conditions},
			}
			if tc.ignore {
				s.Annotations[snapshot.IgnoreSupersession] = "true"
			}
			objects := []client.Object{s, testRun("test-running", "shop-1", ""), testRun("test-ended", "shop-1", corev1.ConditionTrue), testRun("test-other", "shop-2", "")}
			if tc.newer {
				build := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: "web-2", CreationTimestamp: metav1.Unix(1741064800, 0),
					Labels: map[string]string{snapshot.RunTypeLabel: snapshot.BuildRun, snapshot.ComponentLabel: "web",
						"pipelinesascode.tekton.dev/pull-request": "7", "pipelinesascode.tekton.dev/event-type": "retest-comment"}}}
				objects = append(objects, build)
			}
			scheme := runtime.NewScheme()
			for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, tektonv1.AddToScheme} {
				if err := add(scheme); err != nil {
					t.Fatal(err)
				}
			}
			c := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(s).WithObjects(objects...).Build()
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(s), s); err != nil {
				t.Fatal(err)
			}
			r := &Reconciler{Client: c, Now: func() time.Time { return time.Unix(1741065000, 0) }}
			if _, err := r.Reconcile(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			var runs tektonv1.PipelineRunList
			if err := c.List(t.Context(), &runs); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, run := range runs.Items {
				if run.Spec.Status == tektonv1.PipelineRunSpecStatusCancelledRunFinally && run.Labels[snapshot.CancelledKey] == "true" {
					got = append(got, run.Name)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("cancelled (-want +got):\n%s", diff)
			}
			reason := ""
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(s), s); err != nil {
				t.Fatal(err)
			}
			if condition := meta.FindStatusCondition(s.Status.Conditions, snapshot.IntegrationCondition); condition != nil {
				reason = condition.Reason
			}
			if reason != tc.reason {
				t.Errorf("the Snapshot says %q, want %q", reason, tc.reason)
			}
		})
	}
}

func testRun(name, of string, ended corev1.ConditionStatus) *tektonv1.PipelineRun {
	run := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: name,
		Labels: map[string]string{snapshot.RunTypeLabel: snapshot.TestRun, snapshot.SnapshotKey: of}}}
	if ended != "" {
		run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: ended})
	}
	return run
}
