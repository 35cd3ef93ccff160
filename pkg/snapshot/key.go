// Package snapshot is what the integration service decides, without a client
// and without a clock: what a build's Snapshot holds, which scenarios test it,
// what their runs look like, what the results mean and whether it is released.
package snapshot

// Labels and annotations, as upstream has them.
const (
	ApplicationLabel = "appstudio.openshift.io/application"
	ComponentLabel   = "appstudio.openshift.io/component"
	// ComponentGroupLabel is what ApplicationLabel is, in the model of groups.
	ComponentGroupLabel = "appstudio.openshift.io/component-group"
	// SnapshotKey is a label on test runs and an annotation on builds.
	SnapshotKey  = "appstudio.openshift.io/snapshot"
	BuildLabel   = "appstudio.openshift.io/build-pipelinerun"
	RunTypeLabel = "pipelines.appstudio.openshift.io/type"

	TypeLabel          = "test.appstudio.openshift.io/type"
	ScenarioLabel      = "test.appstudio.openshift.io/scenario"
	OptionalLabel      = "test.appstudio.openshift.io/optional"
	RerunLabel         = "test.appstudio.openshift.io/run"
	FinishTimeLabel    = "test.appstudio.openshift.io/pipelinerunfinishtime"
	StartTimeKey       = "test.appstudio.openshift.io/pipelinerunstarttime"
	StatusAnnotation   = "test.appstudio.openshift.io/status"
	CreatedAnnotation  = "test.appstudio.openshift.io/create-snapshot-status"
	CandidateKey       = "test.appstudio.openshift.io/added-to-global-candidate-list"
	LastBuiltTime      = "test.appstudio.openshift.io/lastbuilttime"
	WorkflowAnnotation = "test.appstudio.openshift.io/integration-workflow"
	SourceRepoKey      = "test.appstudio.openshift.io/source-repo-url"
	ParamAsName        = "test.appstudio.openshift.io/snapshot-param-as-name"
	PipelineTimeout    = "test.appstudio.openshift.io/pipeline_timeout"
	TasksTimeout       = "test.appstudio.openshift.io/tasks_timeout"
	FinallyTimeout     = "test.appstudio.openshift.io/finally_timeout"

	AutoReleaseKey = "release.appstudio.openshift.io/auto-release"
	AutomatedLabel = "release.appstudio.openshift.io/automated"

	// RunFinalizer keeps a run until its outcome is written down.
	RunFinalizer = "test.appstudio.openshift.io/pipelinerun"

	pacPrefix     = "pipelinesascode.tekton.dev/"
	pacTestPrefix = "pac.test.appstudio.openshift.io/"
	resultPrefix  = "test.appstudio.openshift.io/result-"
)

// Values of the labels.
const (
	BuildRun      = "build"
	TestRun       = "test"
	ComponentType = "component"
	GroupType     = "group"
	OverrideType  = "override"
)

// copied are the prefixes of what a build hands on to its Snapshot.
var copied = []string{
	"build.appstudio", "test.appstudio.openshift.io", "custom.appstudio.openshift.io", "release.appstudio.openshift.io",
}

// handedOn are the prefixes of what a Snapshot hands on to its test runs.
var handedOn = []string{
	"pac.test.appstudio.openshift.io", "build.appstudio", "test.appstudio.openshift.io", "custom.appstudio.openshift.io",
}

// bookkeeping are keys that are about one object and mean nothing on another.
var bookkeeping = map[string]bool{
	StatusAnnotation: true, CreatedAnnotation: true, CandidateKey: true, RerunLabel: true, SnapshotKey: true,
}
