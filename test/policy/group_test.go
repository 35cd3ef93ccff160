//go:build policy

package policy_test

import (
	"testing"

	"github.com/headrace-ci/headrace/pkg/tekton/testoutput"
	"github.com/headrace-ci/headrace/test/fixture"
	"github.com/headrace-ci/headrace/test/fixture/chains"
)

// TestGateOfGroups holds builds by docker-build-fast to the rules: the gate
// takes them, and whatever is refused of a single task is of its group.
func TestGateOfGroups(t *testing.T) {
	ours := chains.NewSigner(t)
	const untrusted = "registry.test/elsewhere/task-x:0.1.0@sha256:9999999999999999999999999999999999999999999999999999999999999999"
	tests := map[string]struct {
		with func(*build)
		rule string // that refuses; "" when the image passes
	}{
		"as the pipeline builds it": {with: func(*build) {}},
		"untrusted group that handed on the source": {
			with: func(b *build) { b.tasks["source-oci-ta"].bundle = untrusted }, rule: "trusted_task.trusted",
		},
		"untrusted group that published the image": {
			with: func(b *build) { b.tasks["publish-image-oci-ta"].bundle = untrusted }, rule: "slsa_build_scripted_build.image_built_by_trusted_task",
		},
		"group that ran in no trusted form": {
			with: func(b *build) { b.tasks["source-oci-ta"].bundle = untrusted }, rule: "tasks.required_tasks_found",
		},
		"group that did not run": {
			with: func(b *build) { delete(b.tasks, "publish-image-oci-ta") }, rule: "tasks.required_tasks_found",
		},
		"image from elsewhere that the group passed on": {
			with: func(b *build) { b.tasks["buildah-oci-ta"].results["IMAGE_DIGEST"] = catalogDigest("9") },
			rule: "trusted_task.trusted_parameters",
		},
		"source from outside the run": {
			with: func(b *build) {
				b.tasks["publish-image-oci-ta"].parameters["SOURCE_ARTIFACT"] = "oci:evil.test/x@" + catalogDigest("9")
			},
			rule: "trusted_task.valid_trusted_artifact_inputs",
		},
		"group that failed": {with: func(b *build) { b.tasks["source-oci-ta"].status = "Failed" }, rule: "tasks.successful_pipeline_tasks"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			host := fixture.Registry(t)
			image := chains.Image(t, host+"/team/app")
			b := &build{image: image, tasks: fastTasks(host, image), signer: ours, attestor: ours}
			test.with(b)
			b.push(t)
			output, err := verify(t, snapshotOf(image), policy(t, bundles(host)), ours.PublicKey)
			if test.rule != "" {
				refusedBy(t, output, err, test.rule)
			} else if err != nil || output.Result != testoutput.Success || output.Successes != 1 {
				t.Errorf("verdict is %s, %v; want a success", output, err)
			}
		})
	}
}
