package pipeline

import (
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/selection"
)

// cosignSecret is the first of the values that collect-task-params reads.
const cosignSecret = "$(tasks.collect-task-params.results.extractedValues[0])"

// pushToExternalRegistry releases images to a registry: those that the policy
// takes, under the tags of the mapping, signed with the destination's key if
// there is one.
func pushToExternalRegistry() *tektonv1.Pipeline {
	var tasks []tektonv1.PipelineTask
	for _, part := range [][]tektonv1.PipelineTask{collect(), gate(), push()} {
		tasks = append(tasks, part...)
	}
	return named("push-to-external-registry", "0.1.0", nil, tektonv1.PipelineSpec{
		Description: "Holds a Snapshot to the policy and copies its images to where they are released, signed.",
		Params: []tektonv1.ParamSpec{
			param("release", "Release, as namespace/name."),
			param("releasePlan", "ReleasePlan, as namespace/name."),
			param("releasePlanAdmission", "ReleasePlanAdmission, as namespace/name."),
			param("releaseServiceConfig", "ReleaseServiceConfig, as namespace/name."),
			param("snapshot", "Snapshot, as namespace/name."),
			param("enterpriseContractPolicy", "The policy's spec, as JSON."),
			param("enterpriseContractExtraRuleData", "More rule data, as key=value separated by commas.", "pipeline_intention=release"),
			param("ociStorage", "Repository to keep the release's data in.", "empty"),
			param("dataDir", "Folder for the release's data.", "/var/workdir/release"),
		},
		Tasks: tasks,
	})
}

// releaseTask is a task that works on the release's data, as after left it.
func releaseTask(name, after string, params values) tektonv1.PipelineTask {
	params = append(params, with("ociStorage", "$(params.ociStorage)", "dataDir", "$(params.dataDir)")...)
	if after == "" {
		return task(name, name, params)
	}
	params = append(params, with("sourceDataArtifact", "$(tasks."+after+".results.sourceDataArtifact)")...)
	return task(name, name, params, after)
}

const (
	specPath   = "$(tasks.collect-data.results.snapshotSpec)"
	dataPath   = "$(tasks.collect-data.results.data)"
	resultsDir = "$(tasks.collect-data.results.resultsDir)"
)

// collect reads what is released, and where to.
func collect() []tektonv1.PipelineTask {
	mapping := releaseTask("apply-mapping", "reduce-snapshot", with("snapshotPath", specPath, "dataPath", dataPath, "failOnEmptyResult", "true"))
	mapping.Retries = 3
	return []tektonv1.PipelineTask{
		releaseTask("collect-data", "", with(
			"release", "$(params.release)", "releasePlan", "$(params.releasePlan)",
			"releasePlanAdmission", "$(params.releasePlanAdmission)", "releaseServiceConfig", "$(params.releaseServiceConfig)",
			"snapshot", "$(params.snapshot)",
		)),
		task("collect-task-params", "collect-task-params", with(
			"dataPath", dataPath, "keysToExtract", `[{"resultIndex": 0, "key": ".sign.cosignSecretName", "default": ""}]`,
			"dataDir", "$(params.dataDir)", "sourceDataArtifact", "$(tasks.collect-data.results.sourceDataArtifact)",
		), "collect-data"),
		releaseTask("reduce-snapshot", "collect-data", with(
			"SNAPSHOT", specPath, "SNAPSHOT_PATH", specPath,
			"SINGLE_COMPONENT", "$(tasks.collect-data.results.singleComponentMode)",
			"SINGLE_COMPONENT_CUSTOM_RESOURCE", "snapshot/$(tasks.collect-data.results.snapshotName)",
			"SINGLE_COMPONENT_CUSTOM_RESOURCE_NS", "$(tasks.collect-data.results.snapshotNamespace)",
		)),
		mapping,
	}
}

// gate holds exactly what will be released to the policy.
func gate() []tektonv1.PipelineTask {
	verify := task("verify-conforma", "verify-conforma-konflux-ta", with(
		"SNAPSHOT_FILENAME", specPath, "SOURCE_DATA_ARTIFACT", "$(tasks.apply-mapping.results.sourceDataArtifact)",
		"POLICY_CONFIGURATION", "$(params.enterpriseContractPolicy)", "IGNORE_REKOR", "true", "STRICT", "true",
		"EXTRA_RULE_DATA", "$(params.enterpriseContractExtraRuleData)",
		"SINGLE_COMPONENT", "$(tasks.collect-data.results.singleComponentMode)",
	), "apply-mapping")
	verify.Timeout = &metav1.Duration{Duration: 4 * time.Hour}
	return []tektonv1.PipelineTask{verify}
}

// push releases, and tells the Release.
func push() []tektonv1.PipelineTask {
	copied := releaseTask("push-snapshot", "apply-mapping", with("snapshotPath", specPath, "dataPath", dataPath, "resultsDirPath", resultsDir))
	copied.RunAfter = []string{"verify-conforma"}
	copied.Retries = 5
	copied.When = tektonv1.WhenExpressions{{Input: "$(tasks.apply-mapping.results.mapped)", Operator: selection.In, Values: []string{"true"}}}
	sign := releaseTask("sign-image", "push-snapshot", with("snapshotPath", specPath, "secretName", cosignSecret))
	sign.When = tektonv1.WhenExpressions{{Input: cosignSecret, Operator: selection.NotIn, Values: []string{""}}}
	update := task("update-cr-status", "update-cr-status", with(
		"resource", "$(params.release)", "resultsDirPath", resultsDir, "dataDir", "$(params.dataDir)",
		"sourceDataArtifact", "$(tasks.push-snapshot.results.sourceDataArtifact)",
	), "push-snapshot", "sign-image")
	return []tektonv1.PipelineTask{copied, sign, update}
}
