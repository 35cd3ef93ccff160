package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// SnapshotSpec is a set of images, each by digest, that belong together. It
// cannot change: what was tested is what is released.
//
// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec cannot change, for a Snapshot says what was tested: create another Snapshot, with label test.appstudio.openshift.io/type=override to replace images by hand"
// +kubebuilder:validation:XValidation:rule="has(self.application) != has(self.componentGroup)",message="set exactly one of spec.application and spec.componentGroup"
type SnapshotSpec struct {
	// Application is what the components belong to.
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:MaxLength=63
	Application string `json:"application,omitempty"`
	// ComponentGroup is what the components belong to, in the model of groups.
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:MaxLength=63
	ComponentGroup string `json:"componentGroup,omitempty"`
	// DisplayName is the name people see.
	DisplayName string `json:"displayName,omitempty"`
	// DisplayDescription says more.
	DisplayDescription string `json:"displayDescription,omitempty"`
	// Components are the images.
	Components []SnapshotComponent `json:"components,omitempty"`
	// Artifacts is historic.
	Artifacts SnapshotArtifacts `json:"artifacts,omitempty"`
}

// SnapshotComponent is one image and the source it was built from.
type SnapshotComponent struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	// ContainerImage is the image by digest.
	ContainerImage string          `json:"containerImage"`
	Source         ComponentSource `json:"source,omitempty"`
}

// SnapshotArtifacts is historic.
type SnapshotArtifacts struct {
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	UnstableFields *runtime.RawExtension `json:"unstableFields,omitempty"`
}

// SnapshotStatus is how far a Snapshot's tests and release are.
type SnapshotStatus struct {
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// TestResults has a line for each scenario that tests the Snapshot;
	// annotation test.appstudio.openshift.io/status is a copy for who reads that.
	// +listType=map
	// +listMapKey=scenario
	TestResults []TestResult `json:"testResults,omitempty"`
	// ParentSnapshots are those made for groups that contain this one's.
	ParentSnapshots map[string]ParentSnapshot `json:"parentSnapshots,omitempty"`
	// Omitted are components of the application or group that the Snapshot
	// does not hold, and why.
	Omitted []OmittedComponent `json:"omitted,omitempty"`
}

// OmittedComponent is a component that a Snapshot does not hold.
type OmittedComponent struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	// Reason is one word, for programs.
	Reason string `json:"reason"`
	// Message says what to do.
	Message string `json:"message,omitempty"`
}

// TestResult is how far the test of one scenario is.
type TestResult struct {
	// Scenario is the IntegrationTestScenario's name.
	Scenario string `json:"scenario"`
	// Status is Pending, InProgress, TestPassed, TestWarning, TestFail,
	// TestInvalid or Deleted.
	Status string `json:"status"`
	// Details say what was found, or what is waited for.
	Details string `json:"details,omitempty"`
	// LastUpdateTime is when Status or Details last changed.
	LastUpdateTime metav1.MicroTime `json:"lastUpdateTime"`
	// StartTime is when the run was made.
	StartTime *metav1.Time `json:"startTime,omitempty"`
	// CompletionTime is when the run ended.
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`
	// PipelineRun is the run; of a Pending test the one before.
	PipelineRun string `json:"testPipelineRunName,omitempty"`
	// Optional means that the Snapshot passes whatever this finds.
	Optional bool `json:"isOptionalScenario,omitempty"`
	// RunAfter are the scenarios that run before this one.
	RunAfter []string `json:"runAfter,omitempty"`
	// NotBefore is when a run that could not be started is tried again.
	NotBefore *metav1.Time `json:"notBefore,omitempty"`
}

// ParentSnapshot is what became of a group's Snapshot.
type ParentSnapshot struct {
	Name    string `json:"name,omitempty"`
	Created bool   `json:"created,omitempty"`
	Err     string `json:"err,omitempty"`
}

// Snapshot is a set of images that are tested and released together.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=as;snapshot
// +kubebuilder:printcolumn:name="Application",type=string,JSONPath=`.spec.application`
// +kubebuilder:printcolumn:name="ComponentGroup",type=string,JSONPath=`.spec.componentGroup`
// +kubebuilder:printcolumn:name="Component",type=string,JSONPath=`.metadata.labels.appstudio\.openshift\.io/component`
// +kubebuilder:printcolumn:name="Tests",type=string,JSONPath=`.status.conditions[?(@.type=="AppStudioTestSucceeded")].reason`
// +kubebuilder:printcolumn:name="Released",type=string,JSONPath=`.status.conditions[?(@.type=="AutoReleased")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.metadata.name.size() <= 63",optionalOldSelf=true,message="metadata.name becomes a label value: use at most 63 characters"
type Snapshot struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              SnapshotSpec   `json:"spec"`
	Status            SnapshotStatus `json:"status,omitempty"`
}

// SnapshotList is a list of Snapshots.
//
// +kubebuilder:object:root=true
type SnapshotList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Snapshot `json:"items"`
}

func init() { builder.Register(&Snapshot{}, &SnapshotList{}) }
