package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ApplicationSpec says what an application is called.
type ApplicationSpec struct {
	// DisplayName is the name people see.
	DisplayName string `json:"displayName"`
	// Description says what the application is for.
	Description string `json:"description,omitempty"`
	// AppModelRepository is historic and ignored.
	AppModelRepository *ApplicationRepository `json:"appModelRepository,omitempty"`
	// GitOpsRepository is historic and ignored.
	GitOpsRepository *ApplicationRepository `json:"gitOpsRepository,omitempty"`
}

// ApplicationRepository is a place in a git repository.
type ApplicationRepository struct {
	URL     string `json:"url"`
	Branch  string `json:"branch,omitempty"`
	Context string `json:"context,omitempty"`
}

// ApplicationStatus is what was seen of an application.
type ApplicationStatus struct {
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Devfile is historic.
	Devfile string `json:"devfile,omitempty"`
}

// Application is a set of components that are tested and released together.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=hasapp;ha;app
// +kubebuilder:printcolumn:name="Display name",type=string,JSONPath=`.spec.displayName`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",optionalOldSelf=true,message="metadata.name becomes a label value: use at most 63 lower-case letters, digits and '-'"
type Application struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              ApplicationSpec   `json:"spec"`
	Status            ApplicationStatus `json:"status,omitempty"`
}

// ApplicationList is a list of Applications.
//
// +kubebuilder:object:root=true
type ApplicationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Application `json:"items"`
}

func init() { builder.Register(&Application{}, &ApplicationList{}) }
