package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// ReleaseSpec says which Snapshot is released by which plan. It cannot change.
//
// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="release resources spec cannot be updated: create another Release"
type ReleaseSpec struct {
	// Snapshot to release.
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:MaxLength=63
	Snapshot string `json:"snapshot"`
	// ReleasePlan to release by.
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:MaxLength=63
	ReleasePlan string `json:"releasePlan"`
	// Data is handed to the release pipelines, and wins over nothing.
	// +kubebuilder:pruning:PreserveUnknownFields
	Data *runtime.RawExtension `json:"data,omitempty"`
	// GracePeriodDays is how long the Release is kept, in days; the plan's when left out.
	// +kubebuilder:validation:Minimum=0
	GracePeriodDays int `json:"gracePeriodDays,omitempty"`
}

// Attribution is who is responsible for a release.
type Attribution struct {
	Author                string `json:"author,omitempty"`
	StandingAuthorization bool   `json:"standingAuthorization,omitempty"`
}

// RoleBindings are those made for a pipeline, as namespace/name.
type RoleBindings struct {
	TenantRoleBinding  string `json:"tenantRoleBinding,omitempty"`
	ManagedRoleBinding string `json:"managedRoleBinding,omitempty"`
	SecretRoleBinding  string `json:"secretRoleBinding,omitempty"`
}

// PipelineInfo is a pipeline that a release ran.
type PipelineInfo struct {
	// PipelineRun as namespace/name.
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?\/[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	PipelineRun    string        `json:"pipelineRun,omitempty"`
	RoleBindings   *RoleBindings `json:"roleBindings,omitempty"`
	StartTime      *metav1.Time  `json:"startTime,omitempty"`
	CompletionTime *metav1.Time  `json:"completionTime,omitempty"`
}

// ManagedPipelineAttempt is one try of the managed pipeline.
type ManagedPipelineAttempt struct {
	PipelineInfo    `json:",inline"`
	Status          string      `json:"status,omitempty"`
	FailureReason   string      `json:"failureReason,omitempty"`
	LastTask        string      `json:"lastTask,omitempty"`
	LastStep        string      `json:"lastStep,omitempty"`
	SuccessfulTasks int         `json:"successfulTasks,omitempty"`
	Mitigation      *Mitigation `json:"mitigation,omitempty"`
}

// Mitigation is what a retry got more of.
type Mitigation struct {
	MemoryLimit      string `json:"memoryLimit,omitempty"`
	MemoryRequest    string `json:"memoryRequest,omitempty"`
	TaskTimeout      string `json:"taskTimeout,omitempty"`
	TasksTimeout     string `json:"tasksTimeout,omitempty"`
	PipelinesTimeout string `json:"pipelinesTimeout,omitempty"`
}

// CollectorsProcessing are the collectors' pipelines.
type CollectorsProcessing struct {
	TenantCollectorsProcessing  *PipelineInfo `json:"tenantCollectorsProcessing,omitempty"`
	ManagedCollectorsProcessing *PipelineInfo `json:"managedCollectorsProcessing,omitempty"`
}

// ValidationInfo is the outcome of a release's validation.
type ValidationInfo struct {
	FailedPostValidation bool         `json:"failedPostValidation,omitempty"`
	Time                 *metav1.Time `json:"time,omitempty"`
}

// ReleaseStatus is how far a release is and what it made.
type ReleaseStatus struct {
	// +listType=map
	// +listMapKey=type
	Conditions  []metav1.Condition `json:"conditions,omitempty"`
	Attribution *Attribution       `json:"attribution,omitempty"`
	// Automated says that the integration service made this Release.
	Automated bool `json:"automated,omitempty"`
	// Target is the managed namespace.
	Target         string          `json:"target,omitempty"`
	StartTime      *metav1.Time    `json:"startTime,omitempty"`
	CompletionTime *metav1.Time    `json:"completionTime,omitempty"`
	ExpirationTime *metav1.Time    `json:"expirationTime,omitempty"`
	Validation     *ValidationInfo `json:"validation,omitempty"`

	CollectorsProcessing *CollectorsProcessing `json:"collectorsProcessing,omitempty"`
	TenantProcessing     *PipelineInfo         `json:"tenantProcessing,omitempty"`
	// ManagedProcessing is the last of ManagedPipelineAttempts.
	ManagedProcessing       *PipelineInfo            `json:"managedProcessing,omitempty"`
	ManagedPipelineAttempts []ManagedPipelineAttempt `json:"managedPipelineAttempts,omitempty"`
	FinalProcessing         *PipelineInfo            `json:"finalProcessing,omitempty"`

	// Artifacts is what the pipelines released.
	// +kubebuilder:pruning:PreserveUnknownFields
	Artifacts *runtime.RawExtension `json:"artifacts,omitempty"`
	// Collectors is what the collectors found.
	// +kubebuilder:pruning:PreserveUnknownFields
	Collectors *runtime.RawExtension `json:"collectors,omitempty"`
}

// Release is the release of one Snapshot.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=rel
// +kubebuilder:printcolumn:name="Snapshot",type=string,JSONPath=`.spec.snapshot`
// +kubebuilder:printcolumn:name="ReleasePlan",type=string,JSONPath=`.spec.releasePlan`
// +kubebuilder:printcolumn:name="Release status",type=string,JSONPath=`.status.conditions[?(@.type=="Released")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.metadata.name.size() <= 63",optionalOldSelf=true,message="metadata.name must be no more than 63 characters: it becomes a label value"
type Release struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              ReleaseSpec   `json:"spec,omitempty"`
	Status            ReleaseStatus `json:"status,omitempty"`
}

// ReleaseList is a list of Releases.
//
// +kubebuilder:object:root=true
type ReleaseList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Release `json:"items"`
}

func init() { builder.Register(&Release{}, &ReleaseList{}) }
