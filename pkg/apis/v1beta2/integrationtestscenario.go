package v1beta2

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// IntegrationTestScenarioSpec says which pipeline tests which Snapshots.
//
// +kubebuilder:validation:XValidation:rule="has(self.application) != has(self.componentGroup)",message="set exactly one of spec.application and spec.componentGroup"
// +kubebuilder:validation:XValidation:rule="has(self.resolverRef) || has(self.bundle) && has(self.pipeline)",message="spec names no pipeline: set spec.resolverRef"
// +kubebuilder:validation:XValidation:rule="has(self.bundle) == has(self.pipeline)",message="spec.bundle and spec.pipeline name a pipeline together: set both, or spec.resolverRef instead"
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || !has(self.bundle) || !has(self.resolverRef) || self.resolverRef.resolver == 'bundles' && self.resolverRef.params.exists(p, p.name == 'bundle' && p.value == self.bundle) && self.resolverRef.params.exists(p, p.name == 'name' && p.value == self.pipeline)",optionalOldSelf=true,message="spec.resolverRef is made of spec.bundle and spec.pipeline: remove these two to set it yourself"
// +kubebuilder:validation:XValidation:rule="!has(self.bundle) || !has(self.resolverRef) || self.resolverRef.resolver == 'bundles' && self.resolverRef.params.exists(p, p.name == 'bundle' && p.value == self.bundle) && self.resolverRef.params.exists(p, p.name == 'name' && p.value == self.pipeline) || has(oldSelf.bundle) && has(oldSelf.resolverRef) && self.resolverRef == oldSelf.resolverRef",message="spec.resolverRef is made of spec.bundle and spec.pipeline: remove these two to set it yourself"
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
	// +optional
	ResolverRef ResolverRef `json:"resolverRef,omitzero"`
	// Bundle and Pipeline are where appstudio.redhat.com/v1alpha1 has the
	// pipeline. They stay as they were written, and ResolverRef follows them:
	// see Translate.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	Bundle string `json:"bundle,omitempty"`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	Pipeline string `json:"pipeline,omitempty"`
	// Environment is of older versions, and ignored.
	// +kubebuilder:pruning:PreserveUnknownFields
	Environment *runtime.RawExtension `json:"environment,omitempty"`
	// Params of the pipeline, besides SNAPSHOT. That is the Snapshot's spec as
	// JSON; it is the Snapshot's name where annotation
	// test.appstudio.openshift.io/snapshot-param-as-name is "true", and where the
	// spec is more than 120 KiB, which no program takes as one argument. Task
	// get-snapshot reads both.
	// +kubebuilder:validation:XValidation:rule="!self.exists(p, p.name == 'SNAPSHOT')",message="spec.params may not hold SNAPSHOT: every test run gets the Snapshot in that param by itself"
	// +kubebuilder:validation:MaxItems=256
	Params []PipelineParameter `json:"params,omitempty"`
	// Contexts say for which Snapshots the scenario runs; none is for all.
	Contexts []TestContext `json:"contexts,omitempty"`
	// Dependents are scenarios that run after this one.
	Dependents []string `json:"dependents,omitempty"`
}

// Translate makes ResolverRef of Bundle and Pipeline, if these are there, and
// fills in its ResourceKind. It says whether that changed anything.
func (s *IntegrationTestScenarioSpec) Translate() bool {
	if s.Bundle == "" || s.Pipeline == "" {
		unsaid := s.ResolverRef.Resolver != "" && s.ResolverRef.ResourceKind == ""
		if unsaid {
			s.ResolverRef.ResourceKind = "pipeline"
		}
		return unsaid
	}
	params := []ResolverParameter{{Name: "bundle", Value: s.Bundle}, {Name: "name", Value: s.Pipeline}, {Name: "kind", Value: "pipeline"}}
	if s.ResolverRef.Resolver == "bundles" && slices.Equal(s.ResolverRef.Params, params) {
		return false
	}
	s.ResolverRef = ResolverRef{Resolver: "bundles", Params: params, ResourceKind: "pipeline"}
	return true
}

// ResolverRef is a pipeline for a Tekton resolver to find.
//
// +kubebuilder:validation:XValidation:rule="self.resolver != 'git' || (self.params.exists(p, p.name == 'url') ? !self.params.exists(p, p.name in ['repo', 'org']) : (self.params.exists(p, p.name == 'repo') && self.params.exists(p, p.name == 'org')))",message="params of the git resolver: give either url, or both org and repo"
// +kubebuilder:validation:XValidation:rule="self.resolver != 'git' || self.params.all(p, !(p.name in ['url', 'serverURL']) || p.value.startsWith('https://') && isURL(p.value) && url(p.value).getHostname().size() > 0)",message="params of the git resolver: url and serverURL must begin with https:// and name a host"
// +kubebuilder:validation:XValidation:rule="self.resolver != 'git' || self.params.all(p, p.name != 'token' || p.value.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$'))",message="params of the git resolver: token is the name of a Secret, at most 63 lower-case letters, digits and '-'"
// +kubebuilder:validation:XValidation:rule="self.resolver != 'git' || self.params.all(p, p.value == p.value.trim())",message="params of the git resolver: remove the white space around the values"
// +kubebuilder:validation:XValidation:rule="self.params.all(p, p.name != 'kind' || p.value.lowerAscii() == (has(self.resourceKind) && self.resourceKind != \"\" ? self.resourceKind : 'pipeline'))",message="param kind of the resolver must be what resourceKind says, pipeline or pipelinerun: put a single Task into a Pipeline"
type ResolverRef struct {
	// Resolver is git, bundles, cluster, hub or http.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Resolver string `json:"resolver"`
	// Params are the resolver's.
	// +kubebuilder:validation:MaxItems=32
	Params []ResolverParameter `json:"params"`
	// ResourceKind is what is found: a Pipeline, which empty is too, or a whole
	// PipelineRun.
	// +kubebuilder:validation:Enum="";pipeline;pipelinerun
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

// IntegrationTestScenarioStatus says whether the scenario can run, and if not
// what to do.
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
// +kubebuilder:printcolumn:name="ComponentGroup",type=string,JSONPath=`.spec.componentGroup`
// +kubebuilder:printcolumn:name="Optional",type=string,JSONPath=`.metadata.labels.test\.appstudio\.openshift\.io/optional`
// +kubebuilder:printcolumn:name="Valid",type=string,JSONPath=`.status.conditions[?(@.type=="IntegrationTestScenarioValid")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",optionalOldSelf=true,message="metadata.name becomes a label value: use at most 63 lower-case letters, digits and '-', beginning with a letter"
type IntegrationTestScenario struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              IntegrationTestScenarioSpec   `json:"spec"`
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
