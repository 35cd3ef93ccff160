package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// ReleasePlanAdmissionSpec says whose releases are taken, and how they run.
//
// +kubebuilder:validation:XValidation:rule="has(self.applications) != has(self.componentGroups)",message="set exactly one of spec.applications and spec.componentGroups"
type ReleasePlanAdmissionSpec struct {
	// Applications that may be released by this.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:items:MaxLength=63
	Applications []string `json:"applications,omitempty"`
	// ComponentGroups that may be released by this.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:items:MaxLength=63
	ComponentGroups []string `json:"componentGroups,omitempty"`
	// Origin is the tenant's namespace.
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:MaxLength=63
	Origin string `json:"origin"`
	// Pipeline that releases.
	Pipeline *Pipeline `json:"pipeline,omitempty"`
	// Policy is an EnterpriseContractPolicy of this namespace.
	// +kubebuilder:validation:MinLength=1
	Policy string `json:"policy"`
	// Data is handed to the release pipelines, and wins over the plan's.
	// +kubebuilder:pruning:PreserveUnknownFields
	Data *runtime.RawExtension `json:"data,omitempty"`
	// Collectors run before the pipelines.
	Collectors *Collectors `json:"collectors,omitempty"`
	// Environment is historic.
	Environment string `json:"environment,omitempty"`
}

// MatchedReleasePlan is a plan that this admits.
type MatchedReleasePlan struct {
	// Name as namespace/name.
	Name   string `json:"name,omitempty"`
	Active bool   `json:"active,omitempty"`
}

// RetryInfo says whether a failed release is tried again.
type RetryInfo struct {
	Enabled    bool   `json:"enabled"`
	MaxRetries int    `json:"maxRetries,omitempty"`
	Reason     string `json:"reason,omitempty"`
	// +kubebuilder:pruning:PreserveUnknownFields
	Mitigations *runtime.RawExtension `json:"mitigations,omitempty"`
}

// ReleasePlanAdmissionStatus is which plans this admits.
type ReleasePlanAdmissionStatus struct {
	// +listType=map
	// +listMapKey=type
	Conditions   []metav1.Condition   `json:"conditions,omitempty"`
	ReleasePlans []MatchedReleasePlan `json:"releasePlans,omitempty"`
	RetryInfo    *RetryInfo           `json:"retryInfo,omitempty"`
}

// ReleasePlanAdmission is a release team's consent to release.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=rpa
// +kubebuilder:printcolumn:name="Origin",type=string,JSONPath=`.spec.origin`
// +kubebuilder:printcolumn:name="Policy",type=string,JSONPath=`.spec.policy`
// +kubebuilder:printcolumn:name="Matched",type=string,JSONPath=`.status.conditions[?(@.type=="Matched")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.metadata.name.size() <= 63",optionalOldSelf=true,message="metadata.name becomes a label value: use at most 63 characters"
type ReleasePlanAdmission struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              ReleasePlanAdmissionSpec   `json:"spec,omitempty"`
	Status            ReleasePlanAdmissionStatus `json:"status,omitempty"`
}

// ReleasePlanAdmissionList is a list of ReleasePlanAdmissions.
//
// +kubebuilder:object:root=true
type ReleasePlanAdmissionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ReleasePlanAdmission `json:"items"`
}

func init() { builder.Register(&ReleasePlanAdmission{}, &ReleasePlanAdmissionList{}) }
