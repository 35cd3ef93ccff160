#
# METADATA
# title: Trusted tasks
# description: Whatever could change the image, or the verdict on it, is trusted.
package trusted_task

import data.lib
import rego.v1

# METADATA
# title: Tasks are trusted
# description: >-
#   Every task that handed files to one that built the image or tested it is
#   trusted, and so are those themselves. Where no task hands on trusted
#   artifacts, files may go anywhere, and every task must be trusted.
# custom:
#   short_name: trusted
#   failure_msg: task %q is not trusted
#   solution: Use a task from a bundle that the policy's trusted_tasks data lists.
#   collections: [redhat]
deny contains violation if {
	some task in must_be_trusted
	not lib.trusted(task)
	violation := lib.finding(
		"trusted_task.trusted", task.name,
		sprintf("task %q is not trusted and could change the image or its test results: use one from a bundle in the policy's trusted_tasks data, by tag and digest", [task.name]),
	)
}

must_be_trusted := lib.tasks if {
	count(artifacts) == 0
} else := {task |
	some task in lib.tasks
	some id in reached
	task.name == id
}

# artifacts are the tasks that hand one on, by its URI.
artifacts[uri] contains task.name if {
	some task in lib.tasks
	some r in task.results
	endswith(r.name, "_ARTIFACT")
	uri := trim_space(r.value)
	uri != ""
}

# takes are the tasks whose artifacts a task takes.
takes[task.name] contains giver if {
	some task in lib.tasks
	some key, value in task.invocation.parameters
	endswith(key, "_ARTIFACT")
	some giver in artifacts[value]
}

takes_of[task.name] := object.get(takes, task.name, set()) if {
	some task in lib.tasks
}

# ends are the tasks that make images, of which this may be put together, and
# those that say how good it is.
ends contains task.name if {
	some task in lib.makers
}

ends contains task.name if {
	some task in lib.tasks
	lib.result(task, "TEST_OUTPUT")
}

reached := graph.reachable(takes_of, ends)

# METADATA
# title: Artifacts come from the build
# description: Every artifact that a task takes was handed on by a task of the same run.
# custom:
#   short_name: valid_trusted_artifact_inputs
#   failure_msg: artifact %q was made by no task of the build
#   solution: Hand artifacts from task to task, and never from outside.
#   collections: [redhat]
deny contains violation if {
	some task in lib.tasks
	some key, value in task.invocation.parameters
	endswith(key, "_ARTIFACT")
	value != ""
	not artifacts[value]
	violation := lib.finding(
		"trusted_task.valid_trusted_artifact_inputs", task.name,
		sprintf("param %s of task %q is %s, which no task of the build made", [key, task.name, value]),
	)
}

# METADATA
# title: Images in parameters are trusted
# description: >-
#   A task that makes an image takes others only by digest, and only those that
#   trusted tasks of the same build made. Without this a trusted task could be
#   given an image from anywhere, and would report it as its own.
# custom:
#   short_name: trusted_parameters
#   failure_msg: task %q takes an image that no trusted task made
#   solution: Hand on images as results of the trusted task that made them.
#   collections: [redhat]
deny contains violation if {
	some task in lib.makers
	some digest in taken(task)
	not digest in made
	violation := lib.finding(
		"trusted_task.trusted_parameters", task.name,
		sprintf("a param of task %q names %s, which no trusted task of the build made: hand on the result of the one that did", [task.name, digest]),
	)
}

deny contains violation if {
	some task in lib.makers
	some image in task.invocation.parameters.IMAGES
	not contains(image, "@sha256:")
	violation := lib.finding(
		"trusted_task.trusted_parameters", task.name,
		sprintf("param IMAGES of task %q names %s, which may be anything by now: name it by digest", [task.name, image]),
	)
}

# made are the images that trusted tasks made themselves: not what one only
# passed on.
made contains digest if {
	some task in lib.makers
	lib.trusted(task)
	some r in task.results
	endswith(r.name, "IMAGE_DIGEST")
	digest := trim_space(r.value)
	not digest in taken(task)
}

# taken are the digests that a task was given, but for trusted artifacts, which
# have a rule of their own.
taken(task) := {digest |
	some key, value in task.invocation.parameters
	not endswith(key, "_ARTIFACT")
	some digest in regex.find_n(`sha256:[0-9a-f]{64}`, json.marshal(value), -1)
}

# METADATA
# title: Trusted tasks are listed
# description: Data says which tasks are trusted.
# custom:
#   short_name: data
#   failure_msg: data trusted_tasks is missing
#   solution: Add the catalog's data to the policy's sources.
#   collections: [redhat]
deny contains violation if {
	not listed
	violation := lib.finding("trusted_task.data", "", "data trusted_tasks is missing: add the catalog's data to the policy's sources")
}

listed if count(data.trusted_tasks) > 0
