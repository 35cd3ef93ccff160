package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ComponentSpec says where a component's source is and how it is built.
//
// +kubebuilder:validation:XValidation:rule="has(self.source.git) || has(self.source.url) && self.source.url != \"\" || has(self.containerImage) && self.containerImage != \"\"",message="spec.source names no source: set spec.source.git.url, or spec.source.url, or spec.containerImage for an image built elsewhere"
// +kubebuilder:validation:XValidation:rule="has(self.componentName) && self.componentName != \"\" ? has(oldSelf.componentName) && self.componentName == oldSelf.componentName : !has(oldSelf.componentName) || oldSelf.componentName == \"\"",message="spec.componentName cannot change: create another Component"
// +kubebuilder:validation:XValidation:rule="has(self.application) && self.application != \"\" ? has(oldSelf.application) && self.application == oldSelf.application : !has(oldSelf.application) || oldSelf.application == \"\"",message="spec.application cannot change: create another Component in the other application"
type ComponentSpec struct {
	// ComponentName is the component's name, as metadata.name.
	// +kubebuilder:validation:Pattern=`^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:MaxLength=63
	ComponentName string `json:"componentName,omitempty"`
	// Application is the application the component belongs to.
	// +kubebuilder:validation:Pattern=`^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:MaxLength=63
	Application string `json:"application,omitempty"`
	// Secret names a Secret with a login to the git host.
	Secret string `json:"secret,omitempty"`
	// Source is where the component's source is.
	// +kubebuilder:validation:XValidation:rule="!has(self.git) || self.git.url.matches('^https?://[^/ ]+/.+')",message="spec.source.git.url must be an absolute http or https URL of a repository, such as https://github.com/org/repo"
	// +kubebuilder:validation:XValidation:rule="!has(self.url) || self.url == \"\" || self.url.matches('^https?://[^/ ]+/.+')",message="spec.source.url must be an absolute http or https URL of a repository, such as https://github.com/org/repo"
	Source ComponentSource `json:"source"`
	// ContainerImage is the image repository builds push to, without a tag.
	ContainerImage string `json:"containerImage,omitempty"`
	// BuildNudgesRef are components that get a pull request when this one is built.
	BuildNudgesRef []string `json:"build-nudges-ref,omitempty"`
	// Actions ask the build service for something, once.
	Actions *ComponentActions `json:"actions,omitempty"`
	// SkipOffboardingPR leaves the pipeline files in the repository when the component goes.
	SkipOffboardingPR bool `json:"skip-offboarding-pr,omitempty"`
	// RepositorySettings are passed to Pipelines as Code.
	RepositorySettings *RepositorySettings `json:"repository-settings,omitempty"`
	// DefaultBuildPipeline is the pipeline of versions that name none.
	// +nullable
	DefaultBuildPipeline *BuildPipeline `json:"default-build-pipeline,omitempty"`

	// The rest is historic deployment data and ignored.

	Resources                    corev1.ResourceRequirements `json:"resources,omitempty"`
	Replicas                     *int                        `json:"replicas,omitempty"`
	TargetPort                   int                         `json:"targetPort,omitempty"`
	Route                        string                      `json:"route,omitempty"`
	Env                          []corev1.EnvVar             `json:"env,omitempty"`
	SkipGitOpsResourceGeneration bool                        `json:"skipGitOpsResourceGeneration,omitempty"`
}

// ComponentSource is where a source is: git in the model of one branch a
// component, url and versions in the model of several.
type ComponentSource struct {
	Git *GitSource `json:"git,omitempty"`
	// +kubebuilder:validation:MaxLength=2048
	URL           string             `json:"url,omitempty"`
	DockerfileURI string             `json:"dockerfileUri,omitempty"`
	Versions      []ComponentVersion `json:"versions,omitempty"`
}

// GitSource is a folder of a git repository at a revision.
type GitSource struct {
	// URL is what git clones.
	// +kubebuilder:validation:MaxLength=2048
	URL string `json:"url"`
	// Revision is a branch, tag or commit; empty is the default branch.
	Revision string `json:"revision,omitempty"`
	// Context is the folder to build in.
	Context string `json:"context,omitempty"`
	// DockerfileURL is the Containerfile's path below Context.
	DockerfileURL string `json:"dockerfileUrl,omitempty"`
	// DevfileURL is historic and ignored.
	DevfileURL string `json:"devfileUrl,omitempty"`
}

// ComponentVersion is a branch of the source that is built by itself.
type ComponentVersion struct {
	Name          string `json:"name"`
	Revision      string `json:"revision"`
	Context       string `json:"context,omitempty"`
	DockerfileURI string `json:"dockerfileUri,omitempty"`
	// +nullable
	BuildPipeline *BuildPipeline `json:"build-pipeline,omitempty"`
	SkipBuilds    bool           `json:"skip-builds,omitempty"`
}

// BuildPipeline is the pipeline of pull requests and pushes, or one for each.
type BuildPipeline struct {
	// +nullable
	PullAndPush *PipelineDefinition `json:"pull-and-push,omitempty"`
	// +nullable
	Pull *PipelineDefinition `json:"pull,omitempty"`
	// +nullable
	Push *PipelineDefinition `json:"push,omitempty"`
}

// PipelineDefinition names a pipeline in one of three ways.
type PipelineDefinition struct {
	// PipelineRefGit is a file in a git repository.
	// +nullable
	PipelineRefGit *PipelineRefGit `json:"pipelineref-by-git-resolver,omitempty"`
	// PipelineRefName is a pipeline the cluster's operator offers.
	PipelineRefName string `json:"pipelineref-by-name,omitempty"`
	// PipelineSpecFromBundle is copied out of a bundle.
	// +nullable
	PipelineSpecFromBundle *PipelineSpecFromBundle `json:"pipelinespec-from-bundle,omitempty"`
}

// PipelineRefGit is a pipeline in a git repository.
type PipelineRefGit struct {
	// +kubebuilder:validation:MinLength=1
	URL string `json:"url"`
	// +kubebuilder:validation:MinLength=1
	PathInRepo string `json:"pathInRepo"`
	// +kubebuilder:validation:MinLength=1
	Revision string `json:"revision"`
}

// PipelineSpecFromBundle is a pipeline in an OCI bundle.
type PipelineSpecFromBundle struct {
	// Bundle is a reference, or latest for the one the operator has for Name.
	// +kubebuilder:validation:MinLength=1
	Bundle string `json:"bundle"`
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name"`
}

// ComponentActions are requests that are dropped once they are handled.
type ComponentActions struct {
	CreateConfiguration *CreateConfiguration `json:"create-pipeline-configuration-pr,omitempty"`
	TriggerBuild        string               `json:"trigger-push-build,omitempty"`
	TriggerBuilds       []string             `json:"trigger-push-builds,omitempty"`
}

// CreateConfiguration asks for a pull request with pipeline files.
type CreateConfiguration struct {
	AllVersions bool     `json:"all-versions,omitempty"`
	Version     string   `json:"version,omitempty"`
	Versions    []string `json:"versions,omitempty"`
}

// RepositorySettings are Pipelines as Code's.
type RepositorySettings struct {
	// CommentStrategy is disable_all, or empty.
	CommentStrategy          string   `json:"comment-strategy,omitempty"`
	GithubAppTokenScopeRepos []string `json:"github-app-token-scope-repos,omitempty"`
}

// ComponentStatus is what was built of a component.
type ComponentStatus struct {
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// LastBuiltCommit is the commit of LastPromotedImage.
	LastBuiltCommit string `json:"lastBuiltCommit,omitempty"`
	// LastPromotedImage is the image, by digest, that goes into Snapshots of
	// other components' builds.
	LastPromotedImage string `json:"lastPromotedImage,omitempty"`
	// BuildNudgedBy are the components whose build nudges this one.
	BuildNudgedBy      []string                 `json:"build-nudged-by,omitempty"`
	RepositorySettings *RepositorySettings      `json:"repository-settings,omitempty"`
	Message            string                   `json:"message,omitempty"`
	PacRepository      string                   `json:"pac-repository,omitempty"`
	Versions           []ComponentVersionStatus `json:"versions,omitempty"`

	// Webhook, Devfile and GitOps are historic.

	Webhook string           `json:"webhook,omitempty"`
	Devfile string           `json:"devfile,omitempty"`
	GitOps  *ComponentGitOps `json:"gitops,omitempty"`
}

// ComponentVersionStatus is what became of a version.
type ComponentVersionStatus struct {
	Name                  string `json:"name,omitempty"`
	Revision              string `json:"revision,omitempty"`
	ConfigurationMergeURL string `json:"configuration-merge-url,omitempty"`
	Message               string `json:"message,omitempty"`
	OnboardingStatus      string `json:"onboarding-status,omitempty"`
	OnboardingTime        string `json:"onboarding-time,omitempty"`
	SkipBuilds            bool   `json:"skip-builds,omitempty"`
}

// ComponentGitOps is historic.
type ComponentGitOps struct {
	RepositoryURL             string `json:"repositoryURL,omitempty"`
	Branch                    string `json:"branch,omitempty"`
	Context                   string `json:"context,omitempty"`
	ResourceGenerationSkipped bool   `json:"resourceGenerationSkipped,omitempty"`
	CommitID                  string `json:"commitID,omitempty"`
}

// Component is a source that is built into one image.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=cmp;comp
// +kubebuilder:printcolumn:name="Application",type=string,JSONPath=`.spec.application`
// +kubebuilder:printcolumn:name="Last image",type=string,JSONPath=`.status.lastPromotedImage`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
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
