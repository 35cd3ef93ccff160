#
# METADATA
# title: SLSA - Build - Build service
# description: The image was built by a build service that is known.
package slsa_build_build_service

import data.lib
import rego.v1

# METADATA
# title: Builder is known
# description: Every provenance names a builder that the data allows.
# custom:
#   short_name: slsa_builder_id_accepted
#   failure_msg: builder %q is not allowed
#   solution: Build with a Tekton Chains whose builder.id is in rule data allowed_builder_ids.
#   collections: [slsa3, redhat]
deny contains violation if {
	some statement in lib.statements
	id := object.get(statement.predicate, ["builder", "id"], "")
	not id in data.rule_data.allowed_builder_ids
	violation := lib.finding(
		"slsa_build_build_service.slsa_builder_id_accepted", id,
		sprintf("builder %q is not in rule data allowed_builder_ids", [id]),
	)
}
