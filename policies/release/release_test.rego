package release_test

import data.attestation_type
import data.fixture
import data.sbom
import data.slsa_build_build_service
import data.slsa_build_scripted_build
import data.slsa_source_correlated
import data.tasks
import data.test
import data.trusted_task
import rego.v1

# all are the rules that an input breaks.
all := fixture.codes(attestation_type.deny | slsa_build_build_service.deny | slsa_build_scripted_build.deny | slsa_source_correlated.deny | tasks.deny | test.deny | trusted_task.deny | sbom.deny)

# broken are the rules that an input breaks, with the data of the fixture.
broken(given) := codes if {
	codes := all with input as given
		with data.trusted_tasks as fixture.trusted_data
		with data["required-tasks"] as fixture.required
		with data.rule_data as fixture.rule_data
}

test_good_build_breaks_nothing if {
	broken(fixture.good) == set()
}

test_no_attestation if {
	"attestation_type.pipelinerun_attestation_found" in broken(fixture.of([]))
}

test_attestation_of_another_kind if {
	s := object.union(fixture.statement([]), {"predicateType": "https://example.com/other"})
	"attestation_type.pipelinerun_attestation_found" in broken(fixture.of([s]))
}

test_unknown_builder if {
	s := object.union(fixture.statement([fixture.clone, fixture.build, fixture.check]), {"predicate": {"builder": {"id": "https://evil.example"}}})
	broken(fixture.of([s])) == {"slsa_build_build_service.slsa_builder_id_accepted"}
}

test_no_task_built_it if {
	"slsa_build_scripted_build.image_built_by_trusted_task" in broken(fixture.with_tasks([fixture.clone, fixture.check]))
}

test_built_by_an_untrusted_task if {
	build := object.union(fixture.build, {"ref": fixture.other.ref})
	violations := broken(fixture.with_tasks([fixture.clone, build, fixture.check]))
	{"slsa_build_scripted_build.image_built_by_trusted_task", "trusted_task.trusted"} & violations == {"slsa_build_scripted_build.image_built_by_trusted_task", "trusted_task.trusted"}
}

test_trusted_name_with_another_digest if {
	build := object.union(fixture.build, {"ref": fixture.task("build", "8", {}, {}).ref})
	"trusted_task.trusted" in broken(fixture.with_tasks([fixture.clone, build, fixture.check]))
}

test_expired_trust if {
	expired := object.union(fixture.trusted_data, {"oci://reg.example:5000/catalog/task-build:0.1.0": [{"ref": sprintf("sha256:%s", [fixture.hex("b")]), "expires_on": "2020-01-01T00:00:00Z"}]})
	violations := all with input as fixture.good
		with data.trusted_tasks as expired
		with data["required-tasks"] as fixture.required
		with data.rule_data as fixture.rule_data
	"trusted_task.trusted" in violations
}

test_provenance_about_another_image if {
	s := fixture.statement([fixture.clone, fixture.build, fixture.check])
	more := object.union(s, {"subject": [{"name": "reg.example/other", "digest": {"sha256": fixture.hex("2")}}]})
	"slsa_build_scripted_build.subject_build_task_matches" in broken(fixture.of([more]))
}

test_untrusted_task_in_the_chain if {
	uri := sprintf("oci:%s@sha256:%s", [fixture.repository, fixture.hex("7")])
	middle := object.union(fixture.other, {
		"invocation": {"parameters": {"SOURCE_ARTIFACT": fixture.source}},
		"results": [{"name": "SOURCE_ARTIFACT", "type": "string", "value": uri}],
	})
	build := object.union(fixture.build, {"invocation": {"parameters": {"SOURCE_ARTIFACT": uri}}})
	"trusted_task.trusted" in broken(fixture.with_tasks([fixture.clone, middle, build, fixture.check]))
}

test_untrusted_task_beside_the_chain if {
	broken(fixture.with_tasks([fixture.clone, fixture.build, fixture.check, fixture.other])) == set()
}

test_untrusted_task_where_nothing_is_handed_on if {
	build := {"name": fixture.build.name, "status": "Succeeded", "ref": fixture.build.ref, "invocation": {"parameters": {}, "environment": fixture.build.invocation.environment}, "results": fixture.build.results}
	check := {"name": fixture.check.name, "status": "Succeeded", "ref": fixture.check.ref, "invocation": {"parameters": {}, "environment": fixture.check.invocation.environment}, "results": fixture.check.results}
	clone := {"name": fixture.clone.name, "status": "Succeeded", "ref": fixture.clone.ref, "invocation": fixture.clone.invocation, "results": []}
	broken(fixture.with_tasks([clone, build, check, fixture.other])) == {"trusted_task.trusted"}
}

# index is a trusted task that puts images together, here one of them.
index(image) := object.union(fixture.task("build", "b", {"IMAGES": [image]}, {
	"IMAGE_URL": fixture.repository, "IMAGE_DIGEST": fixture.digest,
}), {"name": "index"})

test_index_of_what_was_built if {
	image := sprintf("%s@%s", [fixture.repository, fixture.digest])
	broken(fixture.with_tasks([fixture.clone, fixture.build, fixture.check, index(image)])) == set()
}

test_index_of_an_image_from_elsewhere if {
	image := sprintf("%s@sha256:%s", [fixture.repository, fixture.hex("9")])
	broken(fixture.with_tasks([fixture.clone, fixture.build, fixture.check, index(image)])) == {"trusted_task.trusted_parameters"}
}

test_index_of_an_image_by_tag if {
	image := sprintf("%s:1", [fixture.repository])
	broken(fixture.with_tasks([fixture.clone, fixture.build, fixture.check, index(image)])) == {"trusted_task.trusted_parameters"}
}

# Two tasks that each pass on the image do not make it.
test_image_passed_on_by_two if {
	image := sprintf("%s@%s", [fixture.repository, fixture.digest])
	first := object.union(index(image), {"name": "first"})
	"trusted_task.trusted_parameters" in broken(fixture.with_tasks([fixture.clone, fixture.check, first, index(image)]))
}

test_artifact_from_outside if {
	build := object.union(fixture.build, {"invocation": {"parameters": {"SOURCE_ARTIFACT": "oci:evil.example/x@sha256:00"}}})
	"trusted_task.valid_trusted_artifact_inputs" in broken(fixture.with_tasks([fixture.clone, build, fixture.check]))
}

test_no_trusted_tasks if {
	violations := all with input as fixture.good
		with data.trusted_tasks as {}
		with data["required-tasks"] as fixture.required
		with data.rule_data as fixture.rule_data
	"trusted_task.data" in violations
}

test_required_task_missing if {
	violations := broken(fixture.with_tasks([fixture.clone, fixture.build]))
	"tasks.required_tasks_found" in violations
}

test_required_task_untrusted if {
	check := object.union(fixture.check, {"ref": fixture.other.ref})
	"tasks.required_tasks_found" in broken(fixture.with_tasks([fixture.clone, fixture.build, check]))
}

test_no_list_of_required_tasks if {
	violations := all with input as fixture.good
		with data.trusted_tasks as fixture.trusted_data
		with data["required-tasks"] as []
		with data.rule_data as fixture.rule_data
	violations == {"tasks.required_tasks_list_provided"}
}

test_no_tasks if {
	"tasks.pipeline_has_tasks" in broken(fixture.with_tasks([]))
}

test_failed_task if {
	other := object.union(fixture.other, {"status": "Failed"})
	broken(fixture.with_tasks([fixture.clone, fixture.build, fixture.check, other])) == {"tasks.successful_pipeline_tasks"}
}

test_task_without_digest if {
	other := object.union(fixture.other, {"ref": {"resolver": "bundles", "params": [{"name": "bundle", "value": "reg.example/x:1"}]}})
	broken(fixture.with_tasks([fixture.clone, fixture.build, fixture.check, other])) == {"tasks.pinned_task_refs"}
}

test_task_by_name if {
	other := object.union(object.remove(fixture.other, ["ref"]), {"ref": {"name": "other", "kind": "Task"}})
	broken(fixture.with_tasks([fixture.clone, fixture.build, fixture.check, other])) == {"tasks.pinned_task_refs"}
}

verdict(result) := fixture.with_tasks([fixture.clone, fixture.build, object.union(fixture.check, {"results": [{"name": "TEST_OUTPUT", "type": "string", "value": result}]})])

test_test_results if {
	broken(verdict(`{"result":"WARNING"}`)) == set()
	broken(verdict(`{"result":"FAILURE","note":"bad"}`)) == {"test.no_failed_tests"}
	broken(verdict(`{"result":"ERROR"}`)) == {"test.no_erred_tests"}
	broken(verdict(`{"result":"SKIPPED"}`)) == {"test.no_skipped_tests"}
	broken(verdict(`{"result":"FINE"}`)) == {"test.test_results_known"}
	"test.test_results_known" in broken(verdict("not JSON"))
}

test_no_test if {
	check := object.union(fixture.check, {"results": []})
	"test.test_data_found" in broken(fixture.with_tasks([fixture.clone, fixture.build, check]))
}

test_no_sbom if {
	build := object.union(fixture.build, {"results": [r | some r in fixture.build.results; r.name != "SBOM_BLOB_URL"]})
	broken(fixture.with_tasks([fixture.clone, build, fixture.check])) == {"sbom.found"}
}

test_sbom_without_digest if {
	build := object.union(fixture.build, {"results": [r | some r in fixture.build.results; r.name != "SBOM_BLOB_URL"]})
	more := object.union(build, {"results": array.concat(build.results, [{"name": "SBOM_BLOB_URL", "type": "string", "value": "reg.example/app:sbom"}])})
	broken(fixture.with_tasks([fixture.clone, more, fixture.check])) == {"sbom.found"}
}

test_source_not_named if {
	violations := broken(object.union(fixture.good, {"image": {"source": {"git": {"url": "", "revision": ""}}}}))
	violations == {"slsa_source_correlated.source_code_reference_provided"}
}

test_source_is_another if {
	violations := broken(object.union(fixture.good, {"image": {"source": {"git": {"revision": "0000000000000000000000000000000000000000"}}}}))
	violations == {"slsa_source_correlated.expected_source_code_reference"}
}

# A task that ended before Tekton gave it its label is known by its bundle.
test_required_task_without_label if {
	unlabelled := json.patch(fixture.check, [{"op": "remove", "path": "/invocation/environment/labels/tekton.dev~1task"}])
	broken(fixture.with_tasks([fixture.clone, fixture.build, unlabelled])) == set()
}

# A label that says another task is the team's, and no proof that it ran.
test_label_of_a_required_task if {
	labelled := json.patch(fixture.clone, [{"op": "replace", "path": "/invocation/environment/labels/tekton.dev~1task", "value": "check"}])
	"tasks.required_tasks_found" in broken(fixture.with_tasks([fixture.clone, fixture.build, labelled]))
}
