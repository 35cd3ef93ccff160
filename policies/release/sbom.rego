#
# METADATA
# title: SBOM
# description: What is in the image is written down, by who built it.
package sbom

import data.lib
import rego.v1

# METADATA
# title: There is an SBOM
# description: The trusted task that built the image names its SBOM, by digest.
# custom:
#   short_name: found
#   failure_msg: no SBOM is named by what built the image
#   solution: Build with a task that reports SBOM_BLOB_URL.
#   collections: [minimal, redhat]
deny contains violation if {
	count(lib.statements) > 0
	count(named) == 0
	violation := lib.finding("sbom.found", "", "no trusted task that built the image names an SBOM: build with one that reports SBOM_BLOB_URL")
}

named contains url if {
	some task in lib.build_tasks
	lib.trusted(task)
	url := trim_space(lib.result(task, "SBOM_BLOB_URL"))
	regex.match(`^[^@]+@sha256:[0-9a-f]{64}$`, url)
}
