package v1beta2

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// NudgeConfigName is the name of a namespace's only NudgeConfig.
const NudgeConfigName = "nudge-config"

// Ways of nudging.
const (
	// NudgeImmediate opens the pull request once the build succeeded.
	NudgeImmediate = "immediate"
	// NudgeValidated is taken and, as upstream, without effect so far.
	NudgeValidated = "validated"
)

// NudgeConfigSpec says whose build changes whose source.
type NudgeConfigSpec struct {
	// Nudges are the edges. They have no cycle: policy headrace-nudge-graph
	// refuses one.
	// +kubebuilder:validation:MaxItems=256
	// +listType=map
	// +listMapKey=from
	// +listMapKey=to
	Nudges []Nudge `json:"nudges,omitempty"`
}

// Nudge is one edge: a build of From gets To a pull request with the new image.
//
// +kubebuilder:validation:XValidation:rule="self.from != self.to",message="an entry of spec.nudges goes from a component to itself: set from and to to different components"
type Nudge struct {
	// From is the Component whose build nudges.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	From string `json:"from"`
	// To is the Component whose source refers to From's image.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	To string `json:"to"`
	// Mode is immediate or validated.
	// +kubebuilder:validation:Enum=immediate;validated
	// +kubebuilder:default=immediate
	Mode string `json:"mode,omitempty"`
	// GatingGroup is reserved: nothing reads it.
	// +kubebuilder:validation:MaxLength=63
	GatingGroup string `json:"gatingGroup,omitempty"`
}

// NudgeConfigStatus is whether the edges are of Components that exist.
type NudgeConfigStatus struct {
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// LastValidationTime is upstream's, and not written here: a condition says
	// when it changed.
	LastValidationTime *metav1.Time `json:"lastValidationTime,omitempty"`
}

// NudgeConfig says for a namespace whose build changes whose source. There is
// one, by the name NudgeConfigName.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:resource:shortName=nc
// +kubebuilder:printcolumn:name="Stale",type=string,JSONPath=`.status.conditions[?(@.type=="StaleReferences")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.metadata.name == 'nudge-config'",optionalOldSelf=true,message="a namespace has one NudgeConfig: set metadata.name to nudge-config"
type NudgeConfig struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              NudgeConfigSpec   `json:"spec,omitempty"`
	Status            NudgeConfigStatus `json:"status,omitempty"`
}

// NudgeConfigList is a list of NudgeConfigs.
//
// +kubebuilder:object:root=true
type NudgeConfigList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []NudgeConfig `json:"items"`
}

func init() { builder.Register(&NudgeConfig{}, &NudgeConfigList{}) }
