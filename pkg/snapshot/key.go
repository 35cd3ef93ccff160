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
	SnapshotKey = "appstudio.openshift.io/snapshot"
	// SnapshotsKey is an annotation on builds: the names of a build's
	// Snapshots, one of each ComponentGroup, with commas between them.
	SnapshotsKey = "appstudio.openshift.io/snapshots"
	// VersionKey is an annotation: which version of its component was built.
	// A build without it is of an Application.
	VersionKey = "appstudio.openshift.io/version"
	// ContextKey is an annotation on builds: the folder that was built.
	ContextKey   = "appstudio.openshift.io/context"
	BuildLabel   = "appstudio.openshift.io/build-pipelinerun"
	RunTypeLabel = "pipelines.appstudio.openshift.io/type"
	// builtComponentLabel says what ComponentLabel does, on builds of
	// components of the newer model.
	builtComponentLabel = "build.konflux-ci.dev/component"

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

	// PRGroupAnnotation names what pull requests of several repositories or
	// components have in common; PRGroupLabel is its sum, which fits a label.
	PRGroupAnnotation = "test.appstudio.openshift.io/pr-group"
	PRGroupLabel      = "test.appstudio.openshift.io/pr-group-sha"
	// GroupStatusAnnotation tells on each member of a PR group what became of
	// their Snapshot; GroupReasonAnnotation is that in one word.
	GroupStatusAnnotation = "test.appstudio.openshift.io/create-groupsnapshot-status"
	GroupReasonAnnotation = "test.appstudio.openshift.io/create-groupsnapshot-reason"
	// GroupInfoAnnotation lists what a group Snapshot has from pull requests.
	GroupInfoAnnotation = "test.appstudio.openshift.io/group-test-info"
	// PRStatusAnnotation says that a pull request is open no more.
	PRStatusAnnotation = "test.appstudio.openshift.io/pr-status"
	// IgnoreSupersession lets older runs of a pull request go on.
	IgnoreSupersession = "test.appstudio.openshift.io/ignore-supersession"
	// CancelledKey is a label and an annotation on test runs that were
	// cancelled for a newer build.
	CancelledKey = "pac.test.appstudio.openshift.io/cancelled"
	// ChildAnnotation and OriginAnnotation are on Snapshots of groups that
	// contain groups: which Snapshot they follow from, and from which first.
	ChildAnnotation  = "test.appstudio.openshift.io/child-snapshot"
	OriginAnnotation = "test.appstudio.openshift.io/origin-snapshot"
	// MissingAnnotation lists what a Snapshot does not hold.
	MissingAnnotation = "test.appstudio.openshift.io/missing-componentversions"
	// RemovedAnnotation is on a Snapshot that was made because a Component was
	// deleted: its name and UID.
	RemovedAnnotation = "test.appstudio.openshift.io/removed-component"
	// SignedAnnotation is Chains's word on a run, true or failed; a Snapshot
	// has it where signing failed.
	SignedAnnotation = "chains.tekton.dev/signed"

	// ComponentFinalizer keeps a Component until there is a Snapshot without it.
	ComponentFinalizer = "test.appstudio.openshift.io/component"

	spanContext = "tekton.dev/pipelinerunSpanContext"

	// KeepSnapshot is an annotation: true, or for how long.
	KeepSnapshot = "test.appstudio.openshift.io/keep-snapshot"
	// NudgeFinalizer keeps a build until the components that it nudges know.
	NudgeFinalizer = "test.appstudio.openshift.io/nudge-pipelinerun"

	AutoReleaseKey = "release.appstudio.openshift.io/auto-release"
	AutomatedLabel = "release.appstudio.openshift.io/automated"

	// RunFinalizer keeps a run until its outcome is written down.
	RunFinalizer = "test.appstudio.openshift.io/pipelinerun"

	// PullRequestLabel is the number of the pull request a Snapshot is of.
	PullRequestLabel = pacTestPrefix + "pull-request"

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
	GroupStatusAnnotation: true, GroupReasonAnnotation: true, GroupInfoAnnotation: true, PRStatusAnnotation: true,
	ChildAnnotation: true, OriginAnnotation: true, MissingAnnotation: true, RerunAnnotation: true,
	"test.appstudio.openshift.io/snapshot-creation-report":  true,
	"test.appstudio.openshift.io/git-reporter-status":       true,
	"test.appstudio.openshift.io/git-reporting-failure":     true,
	"test.appstudio.openshift.io/component-nudge-processed": true,
}
