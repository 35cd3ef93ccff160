//go:build policy

package policy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/task/verifyconforma"
	"github.com/headrace-ci/headrace/pkg/tekton/testoutput"
	"github.com/headrace-ci/headrace/test/fixture"
	"github.com/headrace-ci/headrace/test/fixture/chains"
)

// build is one image and what is said about it; a case breaks one thing.
type build struct {
	image            name.Digest
	tasks            map[string]*task
	signer, attestor *chains.Signer // nil for none
	statement        func(map[string]any)
}

func snapshotOf(images ...name.Digest) v1alpha1.SnapshotSpec {
	spec := v1alpha1.SnapshotSpec{Application: "app"}
	for i, image := range images {
		spec.Components = append(spec.Components, v1alpha1.SnapshotComponent{
			Name: string(rune('a' + i)), ContainerImage: image.String(),
			Source: v1alpha1.ComponentSource{Git: &v1alpha1.GitSource{URL: gitURL, Revision: revision}},
		})
	}
	return spec
}

// push makes the build's signature and attestation, as far as it has them.
func (b *build) push(t *testing.T) {
	t.Helper()
	if b.signer != nil {
		b.signer.Sign(t, b.image)
	}
	if b.attestor != nil {
		statement := provenance(b.image, b.tasks)
		if b.statement != nil {
			b.statement(statement)
		}
		b.attestor.AttestStatement(t, b.image, statement)
	}
}

func TestGate(t *testing.T) {
	ours, theirs := chains.NewSigner(t), chains.NewSigner(t)
	untrusted := "registry.test/elsewhere/task-x:0.1.0@" + catalogDigest("9")
	tests := map[string]struct {
		with func(*build)
		rule string // that refuses; "" when the image passes
	}{
		"as the pipeline builds it": {with: func(*build) {}},
		"unsigned":                  {with: func(b *build) { b.signer = nil }, rule: "builtin.image.signature_check"},
		"signed by another key":     {with: func(b *build) { b.signer = theirs }, rule: "builtin.image.signature_check"},
		"without attestation":       {with: func(b *build) { b.attestor = nil }, rule: "builtin.attestation.signature_check"},
		"attested by another key":   {with: func(b *build) { b.attestor = theirs }, rule: "builtin.attestation.signature_check"},
		"untrusted task that built it": {
			with: func(b *build) { b.tasks["buildah-oci-ta"].bundle = untrusted }, rule: "slsa_build_scripted_build.image_built_by_trusted_task",
		},
		"untrusted task that handed on the source": {
			with: func(b *build) { b.tasks["prefetch-dependencies-oci-ta"].bundle = untrusted }, rule: "trusted_task.trusted",
		},
		"trusted name and tag with another digest": {
			with: func(b *build) {
				tagged, _, _ := strings.Cut(b.tasks["git-clone-oci-ta"].bundle, "@")
				b.tasks["git-clone-oci-ta"].bundle = tagged + "@" + catalogDigest("9")
			},
			rule: "trusted_task.trusted",
		},
		"source from outside the run": {
			with: func(b *build) {
				b.tasks["buildah-oci-ta"].parameters = map[string]any{"SOURCE_ARTIFACT": "oci:evil.test/x@" + catalogDigest("9")}
			},
			rule: "trusted_task.valid_trusted_artifact_inputs",
		},
		"image from elsewhere that a trusted task passed on": {
			with: func(b *build) {
				b.tasks["buildah-oci-ta"].results["IMAGE_DIGEST"] = catalogDigest("9")
			},
			rule: "trusted_task.trusted_parameters",
		},
		"image by tag that a trusted task passed on": {
			with: func(b *build) {
				b.tasks["build-image-index"].parameters["IMAGES"] = []string{b.image.Context().String() + ":1"}
			},
			rule: "trusted_task.trusted_parameters",
		},
		"task that is not pinned": {
			with: func(b *build) { b.tasks["init"].bundle, _, _ = strings.Cut(b.tasks["init"].bundle, "@") }, rule: "tasks.pinned_task_refs",
		},
		"required task that did not run": {
			with: func(b *build) { delete(b.tasks, "sast-unicode-check-oci-ta") }, rule: "tasks.required_tasks_found",
		},
		"task that failed": {with: func(b *build) { b.tasks["init"].status = "Failed" }, rule: "tasks.successful_pipeline_tasks"},
		"test that failed": {
			with: func(b *build) {
				b.tasks["sast-unicode-check-oci-ta"].results["TEST_OUTPUT"] = `{"result":"FAILURE","timestamp":"2026-01-01T00:00:00Z","successes":0,"failures":1,"warnings":0}`
			},
			rule: "test.no_failed_tests",
		},
		"other builder": {
			with: func(b *build) {
				b.statement = func(s map[string]any) {
					s["predicate"].(map[string]any)["builder"] = map[string]any{"id": "https://builder.test/v1"}
				}
			},
			rule: "slsa_build_build_service.slsa_builder_id_accepted",
		},
		"other source": {
			with: func(b *build) {
				b.statement = func(s map[string]any) {
					s["predicate"].(map[string]any)["materials"] = []any{map[string]any{
						"uri": "git+https://git.test/other.git", "digest": map[string]any{"sha1": revision}}}
				}
			},
			rule: "slsa_source_correlated.expected_source_code_reference",
		},
		"no SBOM": {
			with: func(b *build) {
				delete(b.tasks["buildah-oci-ta"].results, "SBOM_BLOB_URL")
				delete(b.tasks["build-image-index"].results, "SBOM_BLOB_URL")
			},
			rule: "sbom.found",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			host := fixture.Registry(t)
			image := chains.Image(t, host+"/team/app")
			b := &build{image: image, tasks: goodTasks(host, image), signer: ours, attestor: ours}
			test.with(b)
			b.push(t)
			output, err := verify(t, snapshotOf(image), policy(t, bundles(host)), ours.PublicKey)
			if test.rule == "" {
				if err != nil || output.Result != testoutput.Success || output.Successes != 1 {
					t.Errorf("verdict is %s, %v; want a success", output, err)
				}
				return
			}
			refusedBy(t, output, err, test.rule)
		})
	}
}

// refusedBy fails the test unless a rule refused the image.
func refusedBy(t *testing.T, output testoutput.Output, err error, rule string) {
	t.Helper()
	var violation *verifyconforma.ViolationError
	if !errors.As(err, &violation) {
		t.Fatalf("verdict is %s, %v; want a violation of %s", output, err, rule)
	}
	if output.Result != testoutput.Failure {
		t.Errorf("result is %s, want %s", output.Result, testoutput.Failure)
	}
	if !strings.Contains(err.Error(), rule+": ") {
		t.Errorf("%v\ndoes not name rule %s", err, rule)
	}
}

// One bad image is enough to refuse a Snapshot.
func TestOneBadImageOfTwo(t *testing.T) {
	ours, host := chains.NewSigner(t), fixture.Registry(t)
	good, bad := chains.Image(t, host+"/team/good"), chains.Image(t, host+"/team/bad")
	(&build{image: good, tasks: goodTasks(host, good), signer: ours, attestor: ours}).push(t)
	output, err := verify(t, snapshotOf(good, bad), policy(t, bundles(host)), ours.PublicKey)
	refusedBy(t, output, err, "builtin.image.signature_check")
	if output.Successes != 1 || !strings.Contains(err.Error(), bad.String()) || strings.Contains(err.Error(), good.String()) {
		t.Errorf("verdict %s, %v; want the bad image refused and the good one not", output, err)
	}
}

// ec finds nothing wrong with nothing, so it must not be asked.
func TestEmptySnapshot(t *testing.T) {
	_, err := verify(t, snapshotOf(), policy(t, bundles("registry.test")), chains.NewSigner(t).PublicKey)
	var empty *verifyconforma.EmptyError
	if !errors.As(err, &empty) {
		t.Errorf("got %v, want the empty Snapshot refused", err)
	}
}

// Without rules ec could only look at signatures.
func TestRulesThatCannotBeRead(t *testing.T) {
	ours, host := chains.NewSigner(t), fixture.Registry(t)
	image := chains.Image(t, host+"/team/app")
	(&build{image: image, tasks: goodTasks(host, image), signer: ours, attestor: ours}).push(t)
	output, err := verify(t, snapshotOf(image), `{"sources":[{"policy":["file::/nonexistent"]}]}`, ours.PublicKey)
	if err == nil || output.Result != testoutput.Error {
		t.Errorf("verdict is %s, %v; want an error", output, err)
	}
}
