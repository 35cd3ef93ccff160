//go:build policy

package policy_test

import (
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/headrace-ci/headrace/test/fixture/chains"
)

const (
	gitURL   = "https://git.test/app"
	revision = "0123456789abcdef0123456789abcdef01234567"
)

// task is one of a PipelineRun, as Chains records it.
type task struct {
	name       string
	bundle     string // reference by tag and digest
	status     string
	parameters map[string]any
	results    map[string]string
}

// catalogDigest is a bundle's in this test's catalog.
func catalogDigest(letter string) string { return "sha256:" + strings.Repeat(letter, 64) }

// bundles is the test's published catalog: bundles by Task.
func bundles(host string) map[string]string {
	refs := map[string]string{}
	for i, task := range []string{
		"init", "git-clone-oci-ta", "prefetch-dependencies-oci-ta", "buildah-oci-ta", "build-image-index", "sast-unicode-check-oci-ta",
		"source-oci-ta", "publish-image-oci-ta",
	} {
		refs[task] = host + "/catalog/task-" + task + ":0.1.0@" + catalogDigest(string("abcdef78"[i]))
	}
	return refs
}

// goodTasks is a build as the pipeline docker-build-oci-ta makes it.
func goodTasks(host string, image name.Digest) map[string]*task {
	refs := bundles(host)
	artifact := func(letter string) string { return "oci:" + image.Context().String() + "@" + catalogDigest(letter) }
	source, prefetched := artifact("1"), artifact("2")
	takes := map[string]any{"SOURCE_ARTIFACT": prefetched}
	tasks := map[string]*task{
		"init": {},
		"git-clone-oci-ta": {
			results: map[string]string{"url": gitURL, "commit": revision, "SOURCE_ARTIFACT": source},
		},
		"prefetch-dependencies-oci-ta": {
			parameters: map[string]any{"SOURCE_ARTIFACT": source}, results: map[string]string{"SOURCE_ARTIFACT": prefetched},
		},
		"buildah-oci-ta": {parameters: takes, results: map[string]string{
			"IMAGE_URL": image.Context().String() + ":1", "IMAGE_DIGEST": image.DigestStr(), "IMAGE_REF": image.String(),
			"SBOM_BLOB_URL": image.Context().String() + "@" + catalogDigest("3"),
		}},
		"build-image-index": {parameters: map[string]any{"IMAGES": []string{image.String()}}, results: map[string]string{
			"IMAGE_URL": image.Context().String() + ":1", "IMAGE_DIGEST": image.DigestStr(),
			"SBOM_BLOB_URL": image.Context().String() + "@" + catalogDigest("3"),
		}},
		"sast-unicode-check-oci-ta": {parameters: takes, results: map[string]string{
			"TEST_OUTPUT": `{"result":"SUCCESS","timestamp":"2026-01-01T00:00:00Z","successes":1,"failures":0,"warnings":0}`,
		}},
	}
	for name, task := range tasks {
		task.name, task.bundle, task.status = name, refs[name], "Succeeded"
	}
	return tasks
}

// fastTasks is the same build as the pipeline docker-build-fast makes it: tasks
// that no tenant decides about in groups.
func fastTasks(host string, image name.Digest) map[string]*task {
	tasks := goodTasks(host, image)
	source, publish := tasks["prefetch-dependencies-oci-ta"], tasks["build-image-index"]
	for _, result := range []string{"url", "commit"} {
		source.results[result] = tasks["git-clone-oci-ta"].results[result]
	}
	source.parameters = nil
	publish.parameters["SOURCE_ARTIFACT"] = source.results["SOURCE_ARTIFACT"]
	for _, name := range []string{"init", "git-clone-oci-ta", "prefetch-dependencies-oci-ta", "build-image-index"} {
		delete(tasks, name)
	}
	for name, task := range map[string]*task{"source-oci-ta": source, "publish-image-oci-ta": publish} {
		task.name, task.bundle, tasks[name] = name, bundles(host)[name], task
	}
	return tasks
}

// provenance is what Chains says about a PipelineRun.
func provenance(image name.Digest, tasks map[string]*task) map[string]any {
	var recorded []any
	for _, task := range tasks {
		recorded = append(recorded, task.record())
	}
	return map[string]any{
		"_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://slsa.dev/provenance/v0.2",
		"subject": []any{chains.Subject(image)},
		"predicate": map[string]any{
			"buildType":   "tekton.dev/v1/PipelineRun",
			"builder":     map[string]any{"id": "https://tekton.dev/chains/v2"},
			"invocation":  map[string]any{"configSource": map[string]any{}, "parameters": map[string]any{}},
			"buildConfig": map[string]any{"tasks": recorded},
			"materials":   []any{map[string]any{"uri": "git+" + gitURL + ".git", "digest": map[string]any{"sha1": revision}}},
			"metadata": map[string]any{
				"buildStartedOn": "2026-01-01T00:00:00Z", "buildFinishedOn": "2026-01-01T00:01:00Z",
				"completeness": map[string]any{"environment": false, "materials": false, "parameters": false}, "reproducible": false,
			},
		},
	}
}

func (k *task) record() map[string]any {
	var results []any
	for key, value := range k.results {
		results = append(results, map[string]any{"name": key, "type": "string", "value": value})
	}
	parameters := k.parameters
	if parameters == nil {
		parameters = map[string]any{}
	}
	return map[string]any{
		"name": k.name, "status": k.status, "results": results,
		"startedOn": "2026-01-01T00:00:00Z", "finishedOn": "2026-01-01T00:01:00Z",
		"ref": map[string]any{"resolver": "bundles", "params": []any{
			map[string]any{"name": "bundle", "value": k.bundle}, map[string]any{"name": "name", "value": k.name},
			map[string]any{"name": "kind", "value": "task"},
		}},
		"invocation": map[string]any{
			"configSource": map[string]any{}, "parameters": parameters,
			"environment": map[string]any{"labels": map[string]any{"tekton.dev/task": k.name}},
		},
		"steps": []any{map[string]any{"entryPoint": "/ko-app/step", "arguments": []any{}, "annotations": nil,
			"environment": map[string]any{"container": "step", "image": "oci://registry.test/step@" + catalogDigest("4")}}},
	}
}
