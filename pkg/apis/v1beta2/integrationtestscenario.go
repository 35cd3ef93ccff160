package v1beta2

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// IntegrationTestScenarioSpec says which pipeline tests which Snapshots.
//
// +kubebuilder:validation:XValidation:rule="has(self.application) != has(self.componentGroup)",message="set exactly one of spec.application and spec.componentGroup"
// +kubebuilder:validation:XValidation:rule="!has(self.params) || !self.params.exists(p, p.name == 'SNAPSHOT')",message="spec.params may not hold SNAPSHOT: every test run gets the Snapshot in that param by itself"
type IntegrationTestScenarioSpec struct {
	// Application whose Snapshots are tested.
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:MaxLength=63
	Application string `json:"application,omitempty"`
	// ComponentGroup whose Snapshots are tested.
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:MaxLength=63
	ComponentGroup string `json:"componentGroup,omitempty"`
	// ResolverRef is where the pipeline is.
	ResolverRef ResolverRef `json:"resolverRef"`
	// Params of the pipeline, besides SNAPSHOT.
	// +kubebuilder:validation:MaxItems=256
	Params []PipelineParameter `json:"params,omitempty"`
	// Contexts say for which Snapshots the scenario runs; none is for all.
	Contexts []TestContext `json:"contexts,omitempty"`
	// Dependents are scenarios that run after this one.
	Dependents []string `json:"dependents,omitempty"`
}

// ResolverRef is a pipeline for a Tekton resolver to find.
//
// +kubebuilder:validation:XValidation:rule="self.resolver != 'git' || (self.params.exists(p, p.name == 'url') ? !self.params.exists(p, p.name in ['repo', 'org']) : (self.params.exists(p, p.name == 'repo') && self.params.exists(p, p.name == 'org')))",message="params of the git resolver: give either url, or both org and repo"
// +kubebuilder:validation:XValidation:rule="self.resolver != 'git' || self.params.all(p, !(p.name in ['url', 'serverURL']) || p.value.startsWith('https://'))",message="params of the git resolver: url and serverURL must begin with https://"
// +kubebuilder:validation:XValidation:rule="self.resolver != 'git' || self.params.all(p, p.name != 'token' || p.value.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$'))",message="params of the git resolver: token is the name of a Secret, at most 63 lower-case letters, digits and '-'"
// +kubebuilder:validation:XValidation:rule="self.resolver != 'git' || self.params.all(p, p.value == p.value.trim())",message="params of the git resolver: remove the white space around the values"
type ResolverRef struct {
	// Resolver is git, bundles, cluster, hub or http.
	// +kubebuilder:validation:MinLength=1
	Resolver string `json:"resolver"`
	// Params are the resolver's.
	// +kubebuilder:validation:MaxItems=32
	Params []ResolverParameter `json:"params"`
	// ResourceKind is what is found: a Pipeline, or a whole PipelineRun.
	// +kubebuilder:validation:Enum=pipeline;pipelinerun
	// +kubebuilder:default=pipeline
	ResourceKind string `json:"resourceKind,omitempty"`
}

// ResolverParameter is a name and a value.
type ResolverParameter struct {
	// +kubebuilder:validation:MaxLength=128
	Name string `json:"name"`
	// +kubebuilder:validation:MaxLength=2048
	Value string `json:"value"`
}

// PipelineParameter is a param: Values for an array, else Value.
type PipelineParameter struct {
	// +kubebuilder:validation:MaxLength=128
	Name   string   `json:"name"`
	Value  string   `json:"value,omitempty"`
	Values []string `json:"values,omitempty"`
}

// TestContext names a kind of Snapshot: application or all, group, override,
// component, component_<name>, push, pull_request; any other name is never
// met, and "disabled" is how that is said on purpose.
type TestContext struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
}

// IntegrationTestScenarioStatus is historic.
type IntegrationTestScenarioStatus struct {
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// IntegrationTestScenario is a test that Snapshots must pass.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:resource:shortName=its
// +kubebuilder:printcolumn:name="Application",type=string,JSONPath=`.spec.application`
// +kubebuilder:printcolumn:name="Optional",type=string,JSONPath=`.metadata.labels.test\.appstudio\.openshift\.io/optional`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name becomes a label value: use at most 63 lower-case letters, digits and '-', beginning with a letter"
type IntegrationTestScenario struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              IntegrationTestScenarioSpec   `json:"spec,omitempty"`
	Status            IntegrationTestScenarioStatus `json:"status,omitempty"`
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
