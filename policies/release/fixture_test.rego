# A build that every rule passes, for the tests to break one thing of.
package fixture

import rego.v1

hex(c) := concat("", [c | some _ in numbers.range(1, 64)])

repository := "reg.example:5000/team/app"

digest := sprintf("sha256:%s", [hex("1")])

commit := concat("", ["c" | some _ in numbers.range(1, 40)])

trusted_data := {
	"oci://reg.example:5000/catalog/task-clone:0.1.0": [{"ref": sprintf("sha256:%s", [hex("a")])}],
	"oci://reg.example:5000/catalog/task-build:0.1.0": [{"ref": sprintf("sha256:%s", [hex("b")])}],
	"oci://reg.example:5000/catalog/task-check:0.1.0": [{"ref": sprintf("sha256:%s", [hex("d")])}],
}

rule_data := {"allowed_builder_ids": ["https://tekton.dev/chains/v2"]}

required := [{"effective_on": "2026-01-01T00:00:00Z", "tasks": ["clone", ["build", "build-oci-ta"], "check"]}]

task(name, letter, parameters, results) := {
	"name": name,
	"status": "Succeeded",
	"ref": {"resolver": "bundles", "params": [
		{"name": "bundle", "value": sprintf("reg.example:5000/catalog/task-%s:0.1.0@sha256:%s", [name, hex(letter)])},
		{"name": "name", "value": name},
		{"name": "kind", "value": "task"},
	]},
	"invocation": {"parameters": parameters, "environment": {"labels": {"tekton.dev/task": name}}},
	"results": [{"name": key, "type": "string", "value": value} | some key, value in results],
}

source := sprintf("oci:%s@sha256:%s", [repository, hex("e")])

clone := task("clone", "a", {}, {"url": "https://git.example/app", "commit": commit, "SOURCE_ARTIFACT": source})

build := task("build", "b", {"SOURCE_ARTIFACT": source}, {
	"IMAGE_URL": sprintf("%s:1", [repository]), "IMAGE_DIGEST": digest,
	"SBOM_BLOB_URL": sprintf("%s@sha256:%s", [repository, hex("f")]),
})

check := task("check", "d", {"SOURCE_ARTIFACT": source}, {"TEST_OUTPUT": `{"result":"SUCCESS","timestamp":"1700000000","successes":1,"failures":0,"warnings":0}`})

# other is a task from outside the catalog.
other := task("other", "9", {}, {})

statement(tasks) := {
	"predicateType": "https://slsa.dev/provenance/v0.2",
	"subject": [{"name": repository, "digest": {"sha256": hex("1")}}],
	"predicate": {
		"buildType": "tekton.dev/v1/PipelineRun",
		"builder": {"id": "https://tekton.dev/chains/v2"},
		"buildConfig": {"tasks": tasks},
		"materials": [{"uri": "git+https://git.example/app.git", "digest": {"sha1": commit}}],
	},
}

of(statements) := {
	"attestations": [{"statement": s} | some s in statements],
	"image": {
		"ref": sprintf("%s@%s", [repository, digest]),
		"source": {"git": {"url": "https://git.example/app", "revision": commit}},
	},
}

good := of([statement([clone, build, check])])

# with_tasks is the good build with other tasks.
with_tasks(tasks) := of([statement(tasks)])

# codes are the rules that a set of violations is of.
codes(violations) := {v.code | some v in violations}
