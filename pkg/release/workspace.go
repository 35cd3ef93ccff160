package release

import (
	"regexp"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
)

const workspaceName = "release-workspace"

// workspace is what upstream's release pipelines share files in. A pipeline
// that does not declare it gets nothing. One with storage for trusted artifacts
// needs no volume claim, which would have to wait for a volume.
func workspace(ref v1alpha1.PipelineRef, given map[string]string, config *v1alpha1.ReleaseServiceConfig) tektonv1.WorkspaceBinding {
	if ref.UseEmptyDir || ref.OciStorage != "" || overridden(given, config.Spec.EmptyDirOverrides) {
		return tektonv1.WorkspaceBinding{Name: workspaceName, EmptyDir: &corev1.EmptyDirVolumeSource{}}
	}
	return tektonv1.WorkspaceBinding{Name: workspaceName, VolumeClaimTemplate: &corev1.PersistentVolumeClaim{
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}}
}

func overridden(given map[string]string, overrides []v1alpha1.EmptyDirOverride) bool {
	for _, o := range overrides {
		if o.PathInRepo == given["pathInRepo"] && matches(o.URL, given["url"]) && matches(o.Revision, given["revision"]) {
			return true
		}
	}
	return false
}

// matches is false for a pattern that is none: an operator's typing error
// costs a volume claim, not the release.
func matches(pattern, s string) bool {
	ok, err := regexp.MatchString(pattern, s)
	return ok && err == nil
}
