package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
)

// ComponentSpec says where a component's source is and how its versions are
// built. Which versions belong together a ComponentGroup says.
type ComponentSpec struct {
	// Source is the repository and its versions.
	Source ComponentSource `json:"source"`
	// ContainerImage is the image repository builds push to, without a tag.
	ContainerImage string `json:"containerImage,omitempty"`
	// DefaultBuildPipeline is the pipeline of versions that name none.
	// +nullable
	DefaultBuildPipeline *v1alpha1.BuildPipeline `json:"default-build-pipeline,omitempty"`
	// Actions ask the build service for something, once.
	Actions *v1alpha1.ComponentActions `json:"actions,omitempty"`
	// RepositorySettings are passed to Pipelines as Code.
	RepositorySettings *v1alpha1.RepositorySettings `json:"repository-settings,omitempty"`
	// SkipOffboardingPR leaves the pipeline files in the repository when the component goes.
	SkipOffboardingPR bool `json:"skip-offboarding-pr,omitempty"`
}

// ComponentSource is a git repository and the branches of it that are built.
//
// +kubebuilder:validation:XValidation:rule="self.url.matches('^https?://[^/ ]+/.+')",message="spec.source.url must be an absolute http or https URL of a repository, such as https://github.com/org/repo"
type ComponentSource struct {
	// URL is what git clones.
	// +kubebuilder:validation:MaxLength=2048
	URL string `json:"url"`
	// DockerfilePath is the Containerfile of versions that name none, below
	// their context; Dockerfile when it is empty too.
	DockerfilePath string `json:"dockerfilePath,omitempty"`
	// Versions are the branches.
	Versions []ComponentVersion `json:"versions,omitempty"`
}

// ComponentVersion is a branch of the source that is built by itself.
type ComponentVersion struct {
	// Name of the version. Two that differ in case and special characters only
	// are refused in status.message.
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name"`
	// Revision is the branch.
	// +kubebuilder:validation:MinLength=1
	Revision string `json:"revision"`
	// Context is the folder to build in.
	Context string `json:"context,omitempty"`
	// DockerfilePath is the Containerfile's path below Context.
	DockerfilePath string `json:"dockerfilePath,omitempty"`
	// BuildPipeline overrides the component's.
	// +nullable
	BuildPipeline *v1alpha1.BuildPipeline `json:"build-pipeline,omitempty"`
	// SkipBuilds keeps commits and pull requests from starting a build.
	SkipBuilds bool `json:"skip-builds,omitempty"`
}

// ComponentStatus is what became of the versions.
type ComponentStatus struct {
	// Message is the last error, or how far it is.
	Message string `json:"message,omitempty"`
	// PacRepository is the name of the Repository of Pipelines as Code.
	PacRepository string `json:"pac-repository,omitempty"`
	// RepositorySettings are those that were applied.
	RepositorySettings *v1alpha1.RepositorySettings `json:"repository-settings,omitempty"`
	// Versions has an entry for each that was seen.
	Versions []v1alpha1.ComponentVersionStatus `json:"versions,omitempty"`
}

// Component is a git repository of which several branches are built.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="URL",type=string,JSONPath=`.spec.source.url`
// +kubebuilder:printcolumn:name="Repository",type=string,JSONPath=`.status.pac-repository`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.message`,priority=1
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",optionalOldSelf=true,message="metadata.name becomes a label value: use at most 63 lower-case letters, digits and '-', beginning with a letter"
type Component struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              ComponentSpec   `json:"spec"`
	Status            ComponentStatus `json:"status,omitempty"`
}

// ComponentList is a list of Components.
//
// +kubebuilder:object:root=true
type ComponentList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Component `json:"items"`
}

func init() { builder.Register(&Component{}, &ComponentList{}) }
