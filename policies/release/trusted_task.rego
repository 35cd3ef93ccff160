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

# ends are the tasks that say something about the image.
ends contains task.name if {
	some task in lib.build_tasks
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
