package v1alpha1

import (
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ReleaseServiceConfigSpec is what an operator sets for all releases.
type ReleaseServiceConfigSpec struct {
	// Debug allows the cluster resolver.
	Debug bool `json:"debug,omitempty"`
	// DefaultTimeouts are those of pipelines without their own.
	DefaultTimeouts *tektonv1.TimeoutFields `json:"defaultTimeouts,omitempty"`
	// EmptyDirOverrides are pipelines that get no volume claim. The key's
	// capital E is upstream's.
	EmptyDirOverrides []EmptyDirOverride `json:"EmptyDirOverrides,omitempty"`
	// RetryablePipelines are pipelines to try again, and how.
	RetryablePipelines []RetryablePipeline `json:"retryablePipelines,omitempty"`
}

// EmptyDirOverride names a pipeline: url and revision are regular expressions.
type EmptyDirOverride struct {
	URL        string `json:"url"`
	Revision   string `json:"revision"`
	PathInRepo string `json:"pathInRepo"`
}

// RetryablePipeline names a pipeline: revision is a regular expression.
type RetryablePipeline struct {
	URL         string      `json:"url"`
	Revision    string      `json:"revision"`
	PathInRepo  string      `json:"pathInRepo"`
	RetryPolicy RetryPolicy `json:"retryPolicy"`
}

// RetryPolicy says how often to try again and what to give more of.
type RetryPolicy struct {
	// +kubebuilder:validation:Minimum=0
	MaxRetries  int          `json:"maxRetries"`
	DisableOn   *DisableOn   `json:"disableOn,omitempty"`
	Mitigations *Mitigations `json:"mitigations,omitempty"`
}

// DisableOn are tags of an admission's data that turn retries off.
type DisableOn struct {
	Tags []string `json:"tags,omitempty"`
}

// Mitigations are by reason of the failure.
type Mitigations struct {
	OOMKill *OOMKillMitigation `json:"oomKill,omitempty"`
	Timeout *TimeoutMitigation `json:"timeout,omitempty"`
}

// OOMKillMitigation multiplies memory.
type OOMKillMitigation struct {
	// +kubebuilder:validation:Pattern=`^[0-9]+(\.[0-9]+)?$`
	Multiplier string `json:"multiplier"`
	// MaxComputeResources are what no retry asks for more than.
	MaxComputeResources corev1.ResourceRequirements `json:"maxComputeResources,omitempty"`
}

// TimeoutMitigation adds time.
type TimeoutMitigation struct {
	Pipeline *TimeoutIncrement `json:"pipeline,omitempty"`
	Task     *TimeoutIncrement `json:"task,omitempty"`
}

// TimeoutIncrement is how much time to add, up to a maximum.
type TimeoutIncrement struct {
	Increment  metav1.Duration  `json:"increment"`
	MaxTimeout *metav1.Duration `json:"maxTimeout,omitempty"`
}

// ReleaseServiceConfig is the one named release-service-config in the release
// service's namespace.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=rsc
type ReleaseServiceConfig struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              ReleaseServiceConfigSpec   `json:"spec,omitempty"`
	Status            ReleaseServiceConfigStatus `json:"status,omitempty"`
}

// ReleaseServiceConfigStatus is empty, as upstream's.
type ReleaseServiceConfigStatus struct{}

// ReleaseServiceConfigList is a list of ReleaseServiceConfigs.
//
// +kubebuilder:object:root=true
type ReleaseServiceConfigList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ReleaseServiceConfig `json:"items"`
}

func init() { builder.Register(&ReleaseServiceConfig{}, &ReleaseServiceConfigList{}) }
