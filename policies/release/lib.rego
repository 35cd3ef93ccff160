# What the rules share: how a build's provenance is read.
#
# Input is ec's: the attestations of one image that verified with the policy's
# key, and the image. Only SLSA provenance v0.2 of PipelineRuns is read; what
# is signed by another key never gets here.
package lib

import rego.v1

# statements are the provenance of PipelineRuns.
statements contains statement if {
	some attestation in input.attestations
	statement := attestation.statement
	statement.predicateType == "https://slsa.dev/provenance/v0.2"
	statement.predicate.buildType == "tekton.dev/v1/PipelineRun"
}

# tasks are all tasks that ran.
tasks contains task if {
	some statement in statements
	some task in statement.predicate.buildConfig.tasks
}

# digest is the image's, as sha256:<hex>.
digest := split(input.image.ref, "@")[1]

# name is a task's, as its bundle was asked for it. The label with the name is
# no proof: a run can end before Tekton sets it, and then has the one that the
# team gave the PipelineRun.
name(task) := param.value if {
	task.ref.resolver == "bundles"
	some param in task.ref.params
	param.name == "name"
}

# result is the value of a task's result.
result(task, key) := value if {
	some r in task.results
	r.name == key
	value := r.value
}

# builds reports whether a task says that it made the image.
builds(task) if {
	some r in task.results
	endswith(r.name, "IMAGE_DIGEST")
	trim_space(r.value) == digest
}

# makers are the tasks that report some image, this one or another.
makers contains task if {
	some task in tasks
	some r in task.results
	endswith(r.name, "IMAGE_DIGEST")
}

build_tasks contains task if {
	some task in tasks
	builds(task)
}

# bundle is the reference of a task's bundle: where it is, its tag and digest.
bundle(task) := {"repository": repository, "tag": tag, "digest": digest_of} if {
	task.ref.resolver == "bundles"
	some param in task.ref.params
	param.name == "bundle"
	[tagged, digest_of] := split(param.value, "@")
	startswith(digest_of, "sha256:")
	parts := split(tagged, "/")
	last := split(parts[count(parts) - 1], ":")
	tag := concat(":", array.slice(last, 1, count(last)))
	repository := concat("/", array.concat(array.slice(parts, 0, count(parts) - 1), [last[0]]))
}

# trusted reports whether a task is one that the data trusts, by digest.
trusted(task) if {
	b := bundle(task)
	some entry in data.trusted_tasks[sprintf("oci://%s:%s", [b.repository, b.tag])]
	entry.ref == b.digest
	not expired(entry)
}

expired(entry) if {
	time.parse_rfc3339_ns(entry.expires_on) < time.now_ns()
}

# finding is a result that ec shows: which rule, about what, and the fix.
# It is not named violation: ec takes every rule of that name for one to ask.
finding(code, term, message) := {
	"code": code,
	"term": term,
	"msg": message,
	"effective_on": "2026-01-01T00:00:00Z",
}
