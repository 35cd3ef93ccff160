#
# METADATA
# title: Test
# description: The build's own tests ran and did not fail.
package test

import data.lib
import rego.v1

# METADATA
# title: There are test results
# description: Some task of the build reports TEST_OUTPUT.
# custom:
#   short_name: test_data_found
#   failure_msg: no task reports TEST_OUTPUT
#   solution: Add a check to the build pipeline.
#   collections: [redhat]
deny contains violation if {
	count(lib.statements) > 0
	count(outputs) == 0
	violation := lib.finding("test.test_data_found", "", "no task of the build reports TEST_OUTPUT: add a check to the build pipeline")
}

# METADATA
# title: No test failed
# description: No task reports result FAILURE.
# custom:
#   short_name: no_failed_tests
#   failure_msg: test %q failed
#   solution: Mend what the test found and build again.
#   collections: [redhat]
deny contains violation if {
	some name, output in outputs
	output.result == "FAILURE"
	violation := lib.finding(
		"test.no_failed_tests", name,
		sprintf("test %q failed (%s): mend what it found and build again", [name, object.get(output, "note", "")]),
	)
}

# METADATA
# title: No test erred
# description: No task reports result ERROR.
# custom:
#   short_name: no_erred_tests
#   failure_msg: test %q erred
#   solution: See the task's log for what went wrong, and build again.
#   collections: [redhat]
deny contains violation if {
	some name, output in outputs
	output.result == "ERROR"
	violation := lib.finding(
		"test.no_erred_tests", name,
		sprintf("test %q could not be made (%s): see its log, and build again", [name, object.get(output, "note", "")]),
	)
}

# METADATA
# title: No test was skipped
# description: No task reports result SKIPPED.
# custom:
#   short_name: no_skipped_tests
#   failure_msg: test %q was skipped
#   solution: Give the test what it needs, such as a token, and build again.
#   collections: [redhat]
deny contains violation if {
	some name, output in outputs
	output.result == "SKIPPED"
	violation := lib.finding(
		"test.no_skipped_tests", name,
		sprintf("test %q was skipped (%s): give it what it needs, and build again", [name, object.get(output, "note", "")]),
	)
}

# METADATA
# title: Test results can be read
# description: TEST_OUTPUT is JSON with a result that is known.
# custom:
#   short_name: test_results_known
#   failure_msg: test %q reports what cannot be read
#   solution: Let the task report SUCCESS, FAILURE, WARNING, SKIPPED or ERROR.
#   collections: [redhat]
deny contains violation if {
	some task in lib.tasks
	lib.result(task, "TEST_OUTPUT")
	not object.get(object.get(outputs, task.name, {}), "result", "") in {"SUCCESS", "FAILURE", "WARNING", "SKIPPED", "ERROR"}
	violation := lib.finding("test.test_results_known", task.name, sprintf("test %q reports a TEST_OUTPUT that cannot be read", [task.name]))
}

outputs[task.name] := json.unmarshal(value) if {
	some task in lib.tasks
	value := lib.result(task, "TEST_OUTPUT")
	json.is_valid(value)
}
