package v1alpha1

import tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

// Pipeline is a pipeline to run and how.
type Pipeline struct {
	// PipelineRef is where the pipeline is.
	PipelineRef PipelineRef `json:"pipelineRef"`
	// ServiceAccountName is who it runs as.
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
	// TaskRunSpecs are passed to the PipelineRun.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	TaskRunSpecs []tektonv1.PipelineTaskRunSpec `json:"taskRunSpecs,omitempty"`
	// MaxRetries overrides the retry policy; 0 turns retries off.
	// +kubebuilder:validation:Minimum=0
	MaxRetries *int `json:"maxRetries,omitempty"`
	// Timeouts of the run; the ReleaseServiceConfig's when left out.
	Timeouts *tektonv1.TimeoutFields `json:"timeouts,omitempty"`
}

// PipelineRef is a pipeline for a Tekton resolver to find.
type PipelineRef struct {
	// Resolver is git, bundles or, in debug mode only, cluster.
	// +kubebuilder:validation:MinLength=1
	Resolver string `json:"resolver"`
	// Params are the resolver's.
	Params []Param `json:"params"`
	// OciStorage is where the run keeps its trusted artifacts.
	OciStorage string `json:"ociStorage,omitempty"`
	// UseEmptyDir gives the run a workspace that is not a volume claim.
	UseEmptyDir bool `json:"useEmptyDir,omitempty"`
}

// Param is a name and a value.
type Param struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// ParameterizedPipeline is a pipeline with params of its own.
type ParameterizedPipeline struct {
	Pipeline `json:",inline"`
	Params   []Param `json:"params,omitempty"`
}

// Collectors are programs that gather data for a release before it runs.
type Collectors struct {
	Items []CollectorItem `json:"items"`
	// Secrets the collectors may read, by name.
	Secrets            []string `json:"secrets,omitempty"`
	ServiceAccountName string   `json:"serviceAccountName,omitempty"`
}

// CollectorItem is one collector.
type CollectorItem struct {
	Name string `json:"name"`
	Type string `json:"type"`
	// Timeout in seconds.
	Timeout int     `json:"timeout,omitempty"`
	Params  []Param `json:"params,omitempty"`
}
