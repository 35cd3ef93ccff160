#
# METADATA
# title: Tasks
# description: The tasks that must run did, from definitions that are pinned, and none failed.
package tasks

import data.lib
import rego.v1

# METADATA
# title: Tasks are recorded
# description: Provenance names at least one task.
# custom:
#   short_name: pipeline_has_tasks
#   failure_msg: provenance names no task
#   solution: Enable deep inspection in Tekton Chains.
#   collections: [minimal, slsa3, redhat]
deny contains violation if {
	count(lib.statements) > 0
	count(lib.tasks) == 0
	violation := lib.finding("tasks.pipeline_has_tasks", "", "provenance names no task: enable deep inspection in Tekton Chains")
}

# METADATA
# title: Tasks succeeded
# description: No task of the build failed.
# custom:
#   short_name: successful_pipeline_tasks
#   failure_msg: task %q failed
#   solution: Mend what made the task fail and build again.
#   collections: [minimal, slsa3, redhat]
deny contains violation if {
	some task in lib.tasks
	task.status != "Succeeded"
	violation := lib.finding(
		"tasks.successful_pipeline_tasks", task.name,
		sprintf("task %q of the build ended as %q: mend it and build again", [task.name, task.status]),
	)
}

# METADATA
# title: Required tasks ran
# description: Every task that the data requires ran, as a trusted one.
# custom:
#   short_name: required_tasks_found
#   failure_msg: required task %q did not run
#   solution: Add the task to the build pipeline, from a trusted bundle.
#   collections: [redhat]
deny contains violation if {
	count(lib.statements) > 0
	some required in data["required-tasks"][0].tasks
	alternatives := {required | is_string(required)} | {alternative | is_array(required); some alternative in required}
	count(alternatives & trusted_names) == 0
	violation := lib.finding(
		"tasks.required_tasks_found", concat("|", alternatives),
		sprintf("task %s is required and did not run as a trusted task: add it to the build pipeline", [concat(" or ", alternatives)]),
	)
}

trusted_names contains lib.name(task) if {
	some task in lib.tasks
	lib.trusted(task)
}

# METADATA
# title: The list of required tasks is there
# description: Data says which tasks are required.
# custom:
#   short_name: required_tasks_list_provided
#   failure_msg: data required-tasks is missing
#   solution: Add the catalog's data to the policy's sources.
#   collections: [redhat]
deny contains violation if {
	not listed
	violation := lib.finding("tasks.required_tasks_list_provided", "", "data required-tasks is missing: add the catalog's data to the policy's sources")
}

listed if count(data["required-tasks"]) > 0

# METADATA
# title: Tasks are pinned
# description: Every task comes from a bundle by digest.
# custom:
#   short_name: pinned_task_refs
#   failure_msg: task %q is not pinned
#   solution: Refer to the task's bundle by tag and digest.
#   collections: [redhat]
deny contains violation if {
	some task in lib.tasks
	task.ref.resolver
	not lib.bundle(task)
	violation := lib.finding(
		"tasks.pinned_task_refs", task.name,
		sprintf("task %q is not pinned: refer to its bundle by tag and digest", [task.name]),
	)
}

deny contains violation if {
	some task in lib.tasks
	not task.ref.resolver
	object.get(task, ["ref", "name"], "") != ""
	violation := lib.finding(
		"tasks.pinned_task_refs", task.name,
		sprintf("task %q is taken by name from the cluster, where anybody may change it: refer to its bundle by tag and digest", [task.name]),
	)
}
