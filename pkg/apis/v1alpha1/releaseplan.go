package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// ReleasePlanSpec says what a team wants to release, and to whom.
//
// +kubebuilder:validation:XValidation:rule="has(self.application) != has(self.componentGroup)",message="set exactly one of spec.application and spec.componentGroup"
type ReleasePlanSpec struct {
	// Application to release.
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:MaxLength=63
	Application string `json:"application,omitempty"`
	// ComponentGroup to release.
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:MaxLength=63
	ComponentGroup string `json:"componentGroup,omitempty"`
	// Target is the managed namespace; none for a release that stays in the tenant's.
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:MaxLength=63
	Target string `json:"target,omitempty"`
	// ReleaseGracePeriodDays is how long Releases are kept, in days.
	// +kubebuilder:default=7
	// +kubebuilder:validation:Minimum=0
	ReleaseGracePeriodDays int `json:"releaseGracePeriodDays,omitempty"`
	// Data is handed to the release pipelines.
	// +kubebuilder:pruning:PreserveUnknownFields
	Data *runtime.RawExtension `json:"data,omitempty"`
	// Collectors run before the pipelines.
	Collectors *Collectors `json:"collectors,omitempty"`
	// TenantPipeline runs in the tenant's namespace, before the managed one.
	TenantPipeline *ParameterizedPipeline `json:"tenantPipeline,omitempty"`
	// FinalPipeline runs in the tenant's namespace, last and always.
	FinalPipeline *ParameterizedPipeline `json:"finalPipeline,omitempty"`
}

// MatchedReleasePlanAdmission is the admission a plan found.
type MatchedReleasePlanAdmission struct {
	// Name as namespace/name.
	Name   string `json:"name,omitempty"`
	Active bool   `json:"active,omitempty"`
}

// ReleasePlanStatus is whether a plan has an admission.
type ReleasePlanStatus struct {
	// +listType=map
	// +listMapKey=type
	Conditions           []metav1.Condition           `json:"conditions,omitempty"`
	ReleasePlanAdmission *MatchedReleasePlanAdmission `json:"releasePlanAdmission,omitempty"`
}

// ReleasePlan is a team's wish to release an application.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=rp
// +kubebuilder:printcolumn:name="Application",type=string,JSONPath=`.spec.application`
// +kubebuilder:printcolumn:name="Target",type=string,JSONPath=`.spec.target`
// +kubebuilder:printcolumn:name="Matched",type=string,JSONPath=`.status.conditions[?(@.type=="Matched")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.metadata.name.size() <= 63",optionalOldSelf=true,message="metadata.name becomes a label value: use at most 63 characters"
type ReleasePlan struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              ReleasePlanSpec   `json:"spec,omitempty"`
	Status            ReleasePlanStatus `json:"status,omitempty"`
}

// ReleasePlanList is a list of ReleasePlans.
//
// +kubebuilder:object:root=true
type ReleasePlanList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ReleasePlan `json:"items"`
}

func init() { builder.Register(&ReleasePlan{}, &ReleasePlanList{}) }
