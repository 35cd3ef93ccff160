//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/tekton/catalog"
	"github.com/headrace-ci/headrace/pkg/tekton/testoutput"
	"github.com/headrace-ci/headrace/test/demo"
)

// built is what a build came to.
type built struct {
	image    name.Digest
	results  map[string]string // of the run and its tasks
	pods     int
	wall     time.Duration
	verdicts map[string]string // by task
}

// TestFastBuild builds one source with docker-build-oci-ta and, after it, with
// docker-build-fast: the second takes at most six pods, leaves the same evidence
// and verdicts, and the release policy takes its image.
func TestFastBuild(t *testing.T) {
	d := newDemo(t, kit)
	if err := d.PrepareBuilds(t.Context()); err != nil {
		t.Fatal(err)
	}
	params := []tektonv1.Param{stringParam("dockerfile", "Containerfile"), stringParam("build-source-image", "true"), stringParam("hermetic", "true")}
	single := gatedBuild(t, d, kit, "docker-build-oci-ta", params...)
	checkEvidence(t, single.image, "")
	fast := gatedBuild(t, d, kit, "docker-build-fast", params...)
	checkEvidence(t, fast.image, "") // its tags are the other's, moved
	t.Logf("docker-build-oci-ta: %d pods, %s; docker-build-fast: %d pods, %s", single.pods, single.wall, fast.pods, fast.wall)
	if fast.pods > 6 || fast.pods >= single.pods {
		t.Errorf("docker-build-fast took %d pods and docker-build-oci-ta %d, want at most 6", fast.pods, single.pods)
	}
	if diff := cmp.Diff(single.verdicts, fast.verdicts); diff != "" || len(fast.verdicts) == 0 {
		t.Errorf("verdicts (-docker-build-oci-ta +docker-build-fast):\n%s", diff)
	}
}

// TestFastHermeticBuild builds a Go module without network: within one pod the
// clone hands its source to the prefetch, and both theirs to the build.
func TestFastHermeticBuild(t *testing.T) {
	service := samples()[0]
	d := newDemo(t, service)
	if err := d.PrepareBuilds(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := gatedBuild(t, d, service, "docker-build-fast",
		stringParam("dockerfile", service.Dockerfile), stringParam("prefetch-input", service.Prefetch), stringParam("hermetic", "true"),
		tektonv1.Param{Name: "build-args", Value: tektonv1.ParamValue{Type: tektonv1.ParamTypeArray, ArrayVal: []string{"REGISTRY=" + d.Registry}}})
	if got := b.results["CACHI2_ARTIFACT"]; !strings.HasPrefix(got, "oci:") {
		t.Errorf("what was prefetched is %q, want an artifact", got)
	}
}

// gatedBuild builds a component and holds the image to the release policy.
func gatedBuild(t *testing.T, d *demo.Demo, component demo.Component, pipeline string, params ...tektonv1.Param) built {
	t.Helper()
	run, err := d.Start(t.Context(), component, pipeline, params...)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.AwaitBuild(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	if err := d.AwaitSigned(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	results := map[string]string{}
	for _, r := range run.Status.Results {
		results[r.Name] = r.Value.StringVal
	}
	image, err := oci.WithDigest(results["IMAGE_URL"], results["IMAGE_DIGEST"])
	if err != nil {
		t.Fatalf("results are %v: %v", results, err)
	}
	checkGate(t, image.String(), results["CHAINS-GIT_URL"], results["CHAINS-GIT_COMMIT"])

	of := []client.ListOption{client.InNamespace(run.Namespace), client.MatchingLabels{"tekton.dev/pipelineRun": run.Name}}
	var pods corev1.PodList
	if err := d.Client().List(t.Context(), &pods, of...); err != nil {
		t.Fatal(err)
	}
	var tasks tektonv1.TaskRunList
	if err := d.Client().List(t.Context(), &tasks, of...); err != nil {
		t.Fatal(err)
	}
	b := built{
		image: image, results: results, pods: len(pods.Items), wall: run.Status.CompletionTime.Sub(run.Status.StartTime.Time),
		verdicts: map[string]string{},
	}
	for _, task := range tasks.Items {
		for _, r := range task.Status.Results {
			if b.results[r.Name] = r.Value.StringVal; r.Name != "TEST_OUTPUT" {
				continue
			}
			var output testoutput.Output
			if err := json.Unmarshal([]byte(r.Value.StringVal), &output); err != nil {
				t.Errorf("task %s: %v", task.Name, err)
			}
			b.verdicts[task.Labels["tekton.dev/pipelineTask"]] = fmt.Sprintf("%s %d %d %d", output.Result, output.Successes, output.Warnings, output.Failures)
		}
	}
	return b
}

// checkGate holds an image to the rules and data that are published, as a
// release does.
func checkGate(t *testing.T, image, url, commit string) {
	t.Helper()
	lock, err := catalog.ReadLock(catalog.LockFile(os.Getenv("REGISTRY")))
	if err != nil {
		t.Fatal(err)
	}
	policy := fmt.Sprintf(`{"sources":[{"policy":[%q],"data":[%q]}]}`, "oci::"+lock.Policy, "oci::"+lock.Data)
	images := fmt.Sprintf(`{"components":[{"name":"built","containerImage":%q,"source":{"git":{"url":%q,"revision":%q}}}]}`, image, url, commit)
	cmd := exec.CommandContext(t.Context(), "ec", "validate", "image", "--policy", policy, "--public-key", "k8s://tekton-chains/public-key",
		"--ignore-rekor", "--images", images)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || !strings.Contains(stdout.String(), `"success":true`) {
		t.Errorf("the release policy refuses %s: %v\n%s%s", image, err, stdout.String(), stderr.String())
	}
}
