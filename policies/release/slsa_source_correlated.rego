#
# METADATA
# title: SLSA - Source - Correlated
# description: The source that the Snapshot names is the source that was built.
package slsa_source_correlated

import data.lib
import rego.v1

# METADATA
# title: Source is named
# description: The Snapshot says which commit the image is of.
# custom:
#   short_name: source_code_reference_provided
#   failure_msg: the Snapshot names no source for the image
#   solution: Give the component source.git.url and source.git.revision in the Snapshot.
#   collections: [minimal, slsa3, redhat]
deny contains violation if {
	count(expected) == 0
	violation := lib.finding(
		"slsa_source_correlated.source_code_reference_provided", "",
		"the Snapshot names no source for the image: it needs source.git.url and source.git.revision",
	)
}

# METADATA
# title: Source was built
# description: The commit that the Snapshot names is a material of signed provenance.
# custom:
#   short_name: expected_source_code_reference
#   failure_msg: the Snapshot's source is not what was built
#   solution: Release a Snapshot whose component names the commit that its image was built from.
#   collections: [minimal, slsa3, redhat]
deny contains violation if {
	count(expected) > 0
	count(expected & attested) == 0
	violation := lib.finding(
		"slsa_source_correlated.expected_source_code_reference", "",
		sprintf("the Snapshot names source %s, and provenance says %s", [concat(", ", expected), concat(", ", attested)]),
	)
}

expected contains reference if {
	git := input.image.source.git
	git.url != ""
	git.revision != ""
	reference := sprintf("%s@%s", [plain(git.url), git.revision])
}

attested contains reference if {
	some statement in lib.statements
	some material in statement.predicate.materials
	startswith(material.uri, "git+")
	reference := sprintf("%s@%s", [plain(substring(material.uri, 4, -1)), material.digest.sha1])
}

plain(url) := trim_suffix(trim_suffix(url, "/"), ".git")
