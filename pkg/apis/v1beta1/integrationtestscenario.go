package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
)

// IntegrationTestScenario is a test that Snapshots must pass.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:deprecatedversion:warning="appstudio.redhat.com/v1beta1 IntegrationTestScenario is deprecated: write apiVersion appstudio.redhat.com/v1beta2, and leave out spec.environment"
// +kubebuilder:resource:shortName=its
// +kubebuilder:printcolumn:name="Application",type=string,JSONPath=`.spec.application`
// +kubebuilder:printcolumn:name="ComponentGroup",type=string,JSONPath=`.spec.componentGroup`
// +kubebuilder:printcolumn:name="Optional",type=string,JSONPath=`.metadata.labels.test\.appstudio\.openshift\.io/optional`
// +kubebuilder:printcolumn:name="Valid",type=string,JSONPath=`.status.conditions[?(@.type=="IntegrationTestScenarioValid")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",optionalOldSelf=true,message="metadata.name becomes a label value: use at most 63 lower-case letters, digits and '-', beginning with a letter"
type IntegrationTestScenario struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              v1beta2.IntegrationTestScenarioSpec   `json:"spec"`
	Status            v1beta2.IntegrationTestScenarioStatus `json:"status,omitempty"`
}

// IntegrationTestScenarioList is a list of IntegrationTestScenarios.
//
// +kubebuilder:object:root=true
type IntegrationTestScenarioList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []IntegrationTestScenario `json:"items"`
}

func init() { builder.Register(&IntegrationTestScenario{}, &IntegrationTestScenarioList{}) }
