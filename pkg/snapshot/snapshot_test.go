package snapshot_test

import (
	"fmt"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
)

const (
	digest    = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	pacPR     = "pac.test.appstudio.openshift.io/pull-request"
	pacEvent  = "pac.test.appstudio.openshift.io/event-type"
	pacBranch = "pac.test.appstudio.openshift.io/source-branch"
)

func build(results map[string]string) *tektonv1.PipelineRun {
	run := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: "web-1", UID: "1"}}
	start, end := metav1.Date(2025, 3, 4, 5, 6, 7, 0, time.UTC), metav1.Date(2025, 3, 4, 5, 8, 0, 0, time.UTC)
	run.Status.StartTime, run.Status.CompletionTime = &start, &end
	for k, v := range results {
		run.Status.Results = append(run.Status.Results, tektonv1.PipelineRunResult{Name: k, Value: *tektonv1.NewStructuredValues(v)})
	}
	return run
}

func labelled(labels, annotations map[string]string) *v1alpha1.Snapshot {
	return &v1alpha1.Snapshot{
		ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: "shop-1", UID: "1", Labels: labels, Annotations: annotations},
		Spec:       v1alpha1.SnapshotSpec{Application: "shop"},
	}
}

func testRun(status corev1.ConditionStatus, message string, children int) *tektonv1.PipelineRun {
	run := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Name: "smoke-1"}}
	run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: status, Message: message})
	for i := range children {
		child := tektonv1.ChildStatusReference{Name: fmt.Sprintf("task-%d", i)}
		child.Kind = "TaskRun"
		run.Status.ChildReferences = append(run.Status.ChildReferences, child)
	}
	return run
}
