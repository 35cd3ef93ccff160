#
# METADATA
# title: Attestation type
# description: The image has provenance that the other rules can read.
package attestation_type

import data.lib
import rego.v1

# METADATA
# title: Provenance of a PipelineRun is found
# description: Some attestation says which PipelineRun built the image.
# custom:
#   short_name: pipelinerun_attestation_found
#   failure_msg: no attestation is SLSA provenance v0.2 of a PipelineRun
#   solution: Build the image in a cluster where Tekton Chains signs PipelineRuns.
#   collections: [minimal, slsa3, redhat]
deny contains violation if {
	count(lib.statements) == 0
	violation := lib.finding(
		"attestation_type.pipelinerun_attestation_found", "",
		"no attestation of the image is SLSA provenance v0.2 of a PipelineRun: build it where Tekton Chains signs PipelineRuns",
	)
}
