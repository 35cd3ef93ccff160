#
# METADATA
# title: SLSA - Build - Scripted build
# description: A trusted task says that it built this image, and nothing else claims it.
package slsa_build_scripted_build

import data.lib
import rego.v1

# METADATA
# title: Image was built by a trusted task
# description: Some task reports the image's digest, and every one that does is trusted.
# custom:
#   short_name: image_built_by_trusted_task
#   failure_msg: the image was not built by a trusted task
#   solution: Build with tasks from bundles that the policy's trusted_tasks data lists.
#   collections: [redhat]
deny contains violation if {
	count(lib.build_tasks) == 0
	violation := lib.finding(
		"slsa_build_scripted_build.image_built_by_trusted_task", lib.digest,
		sprintf("no task of the build reports digest %s as its own", [lib.digest]),
	)
}

deny contains violation if {
	some task in lib.build_tasks
	not lib.trusted(task)
	violation := lib.finding(
		"slsa_build_scripted_build.image_built_by_trusted_task", task.name,
		sprintf("task %q built the image and is not trusted: use one from the catalog, by its bundle's tag and digest", [task.name]),
	)
}

# METADATA
# title: Provenance is about what a task built
# description: Every subject is what some task reports as URL and digest.
# custom:
#   short_name: subject_build_task_matches
#   failure_msg: subject %q was reported by no task
#   solution: Let the build task report the image in results IMAGE_URL and IMAGE_DIGEST.
#   collections: [slsa3, redhat]
deny contains violation if {
	some statement in lib.statements
	some subject in statement.subject
	reference := sprintf("%s@sha256:%s", [subject.name, subject.digest.sha256])
	not reference in reported(statement)
	violation := lib.finding(
		"slsa_build_scripted_build.subject_build_task_matches", reference,
		sprintf("provenance is about %s, which no task of the build reports", [reference]),
	)
}

# reported are the images that tasks report: a repository and a digest.
reported(statement) := {reference |
	some task in statement.predicate.buildConfig.tasks
	some url in task.results
	endswith(url.name, "IMAGE_URL")
	some digest in task.results
	digest.name == replace(url.name, "IMAGE_URL", "IMAGE_DIGEST")
	reference := sprintf("%s@%s", [repository(trim_space(url.value)), trim_space(digest.value)])
} | {reference |
	some task in statement.predicate.buildConfig.tasks
	some images in task.results
	images.name == "IMAGES"
	some reference in split(trim_space(images.value), ",")
}

# repository is a reference without tag and digest; a port is no tag.
repository(reference) := name if {
	parts := split(split(reference, "@")[0], "/")
	last := split(parts[count(parts) - 1], ":")[0]
	name := concat("/", array.concat(array.slice(parts, 0, count(parts) - 1), [last]))
}
