package v1beta2

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ComponentGroupSpec says which versions of which components are tested and
// released together, and in which order their tests run.
type ComponentGroupSpec struct {
	// Components are the members: versions of components, and other groups.
	// +kubebuilder:validation:MaxItems=4096
	Components []ComponentReference `json:"components"`
	// TestGraph has a scenario's name and the scenarios that run before it. A
	// scenario that it does not name runs at once. It has no cycle: policy
	// headrace-componentgroup-graph refuses one.
	// +kubebuilder:validation:MaxProperties=256
	TestGraph map[string][]TestGraphNode `json:"testGraph,omitempty"`
	// PromotionPolicy is when a build gets into status.globalCandidateList:
	// AfterBuild, which empty is too, or AfterTests.
	// +kubebuilder:validation:Enum=AfterBuild;AfterTests
	PromotionPolicy string `json:"promotionPolicy,omitempty"`
	// SnapshotCreator is reserved: nothing reads it.
	SnapshotCreator *SnapshotCreator `json:"snapshotCreator,omitempty"`
}

// Values of PromotionPolicy.
const (
	// PromoteAfterBuild takes a build at once, as upstream does.
	PromoteAfterBuild = "AfterBuild"
	// PromoteAfterTests takes a build once its Snapshot passed the tests.
	PromoteAfterTests = "AfterTests"
)

// ComponentReference is a member of a group.
//
// +kubebuilder:validation:XValidation:rule="self.kind.lowerAscii() != 'component' || has(self.componentVersion)",message="an entry of spec.components of kind component needs componentVersion: set its name and version, the branch"
// +kubebuilder:validation:XValidation:rule="self.kind.lowerAscii() != 'componentgroup' || !has(self.componentVersion)",message="an entry of spec.components of kind componentGroup has no componentVersion: remove it, for the group names the versions of its own"
type ComponentReference struct {
	// Name of the Component or ComponentGroup, in the same namespace.
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
	// Kind is component or componentGroup, in any case.
	// +kubebuilder:validation:Pattern=`(?i)^(component|componentGroup)$`
	// +kubebuilder:validation:MaxLength=14
	// +kubebuilder:default=component
	Kind string `json:"kind,omitempty"`
	// ComponentVersion is which version of a Component is meant.
	ComponentVersion *ComponentVersionReference `json:"componentVersion,omitempty"`
}

// IsGroup says whether the member is another group.
func (r ComponentReference) IsGroup() bool { return strings.EqualFold(r.Kind, "componentGroup") }

// ComponentVersionReference is a version of a Component.
type ComponentVersionReference struct {
	// Name of the version, as a build run's annotation
	// appstudio.openshift.io/version has it.
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name"`
	// Revision is the version's branch. Its key is version, as upstream's is.
	Revision string `json:"version,omitempty"`
	// Context is the folder that is built.
	Context string `json:"context,omitempty"`
}

// TestGraphNode is a scenario that another one waits for.
type TestGraphNode struct {
	// Name of the IntegrationTestScenario.
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name"`
	// FailFast keeps the waiting scenario from running when this one fails.
	FailFast bool `json:"failFast,omitempty"`
}

// SnapshotCreator is reserved.
type SnapshotCreator struct {
	TaskRef SnapshotCreatorTaskRef `json:"taskRef,omitempty"`
}

// SnapshotCreatorTaskRef is a Task for a Tekton resolver to find.
type SnapshotCreatorTaskRef struct {
	Resolver string              `json:"resolver,omitempty"`
	Params   []ResolverParameter `json:"params,omitempty"`
}

// ComponentGroupStatus is what goes into the next Snapshot of the group.
type ComponentGroupStatus struct {
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// GlobalCandidateList has an entry for each version in spec.components, in
	// the order of name and version; one without image was never built.
	GlobalCandidateList []ComponentState `json:"globalCandidateList,omitempty"`
}

// ComponentState is the newest build of a version of a Component.
type ComponentState struct {
	// Name of the Component.
	Name string `json:"name"`
	// Version is the version's name.
	Version string `json:"version,omitempty"`
	// URL of the git repository.
	URL string `json:"url,omitempty"`
	// LastPromotedImage is the image by digest.
	LastPromotedImage string `json:"lastPromotedImage,omitempty"`
	// LastPromotedCommit is what LastPromotedImage was built from.
	LastPromotedCommit string `json:"lastPromotedCommit,omitempty"`
	// LastPromotedBuildTime is when that build began: an older build never
	// replaces a newer one.
	LastPromotedBuildTime *metav1.Time `json:"lastPromotedBuildTime,omitempty"`
}

// ComponentGroup is a set of versions of components that are tested and
// released together.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:resource:shortName=cg
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",optionalOldSelf=true,message="metadata.name becomes a label value: use at most 63 lower-case letters, digits and '-'"
// +kubebuilder:validation:XValidation:rule="self.spec.components.all(c, c.kind.lowerAscii() != 'componentgroup' || c.name != self.metadata.name)",message="spec.components holds the group itself: remove that entry"
type ComponentGroup struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              ComponentGroupSpec   `json:"spec"`
	Status            ComponentGroupStatus `json:"status,omitempty"`
}

// ComponentGroupList is a list of ComponentGroups.
//
// +kubebuilder:object:root=true
type ComponentGroupList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ComponentGroup `json:"items"`
}

func init() { builder.Register(&ComponentGroup{}, &ComponentGroupList{}) }
