//go:build e2e

// Package e2e takes the demo's components through the whole chain on a real
// cluster, and looks at what is left in the registry and the API server.
package e2e

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	spdxjson "github.com/spdx/tools-golang/json"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/attest"
	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/tekton/catalog"
	"github.com/headrace-ci/headrace/test/demo"
)

// newDemo connects to the cluster of the environment that `make e2e` sets.
func newDemo(t *testing.T, components ...demo.Component) *demo.Demo {
	t.Helper()
	config, err := ctrl.GetConfig()
	if err != nil {
		t.Fatal(err)
	}
	registry := os.Getenv("REGISTRY")
	cache := os.Getenv("HEADRACE_CACHE")
	d, err := demo.New(demo.Config{
		Registry: registry, Tenant: "demo-tenant", Managed: "demo-managed", Lock: catalog.LockFile(registry),
		BuildAuth: os.Getenv("BUILD_AUTH"), ReleaseAuth: os.Getenv("RELEASE_AUTH"),
		Cache: filepath.Join(cache, "demo"), Timeout: 20 * time.Minute, Out: os.Stderr,
		Components: components,
	}, config)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func samples() []demo.Component { return demo.Samples("../demo/samples") }

// TestJourney is the demo, with every claim of its table checked.
func TestJourney(t *testing.T) {
	d := newDemo(t, samples()...)
	stories, err := d.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(stories) != 2 {
		t.Fatalf("%d stories, want one a component", len(stories))
	}
	for _, story := range stories {
		t.Run(story.Component, func(t *testing.T) {
			chains := key(t, d.Client(), "tekton-chains", "public-key")
			team := key(t, d.Client(), "demo-managed", "release-signing-key")
			if err := (attest.Prover{PublicKey: chains}).Prove(t.Context(), story.Image); err != nil {
				t.Errorf("the built image: %v", err)
			}
			if err := (attest.Prover{PublicKey: team}).Prove(t.Context(), story.Image); err == nil {
				t.Error("the built image verifies with a key that is not Chains's")
			}
			checkSBOM(t, story)
			checkReleased(t, story, chains)
			checkObjects(t, d.Client(), story)
		})
	}
	t.Run("commands", func(t *testing.T) { checkCommands(t, d.Commands(stories), stories[1]) })
}

// checkCommands runs what the table ends with, as a person would.
func checkCommands(t *testing.T, commands []string, last demo.Story) {
	want := map[string]string{"kubectl": last.Release, "cosign": "cosign container image signature", "ec": `"success":true`}
	for _, line := range commands {
		program, _, _ := strings.Cut(line, " ")
		var stdout, stderr strings.Builder
		cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil {
			t.Errorf("%s: %v\n%s%s", line, err, stdout.String(), stderr.String())
		} else if !strings.Contains(stdout.String(), want[program]) {
			t.Errorf("%s says\n%s, want %q in it", line, stdout.String(), want[program])
		}
		delete(want, program)
	}
	if len(want) > 0 {
		t.Errorf("no command shows %v", want)
	}
}

func key(t *testing.T, c client.Client, namespace, secret string) []byte {
	t.Helper()
	var s corev1.Secret
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: secret}, &s); err != nil {
		t.Fatal(err)
	}
	return s.Data["cosign.pub"]
}

// checkSBOM reads the SBOM beside the image: it is SPDX, about this image, and
// names something.
func checkSBOM(t *testing.T, story demo.Story) {
	t.Helper()
	repo, hex, _ := strings.Cut(story.Image, "@sha256:")
	ref, err := name.NewTag(repo + ":sha256-" + hex + ".sbom")
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(ref, oci.Options(t.Context())...)
	if err != nil {
		t.Fatalf("the SBOM: %v", err)
	}
	layers, err := img.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("the SBOM has layers %v (%v)", layers, err)
	}
	content, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	document, err := spdxjson.Read(content)
	if err != nil {
		t.Fatalf("the SBOM is not SPDX: %v", err)
	}
	modules := 0
	for _, p := range document.Packages {
		for _, r := range p.PackageExternalReferences {
			if strings.HasPrefix(r.Locator, "pkg:golang/github.com/go-chi/chi") {
				modules++
			}
		}
	}
	if len(document.Packages) == 0 || story.Component == "service" && modules == 0 {
		t.Errorf("the SBOM names %d packages, %d of them the module chi", len(document.Packages), modules)
	}
}

// checkReleased looks at the destination: the same digest, under every
// reference, with the signature and provenance that came along.
func checkReleased(t *testing.T, story demo.Story, chains []byte) {
	t.Helper()
	_, want, _ := strings.Cut(story.Image, "@")
	found := 0
	for _, released := range story.Released {
		if released.Name != story.Component {
			continue
		}
		for _, url := range released.URLs {
			tag, _, _ := strings.Cut(url, "@")
			digest, err := oci.Digest(t.Context(), tag)
			if err != nil || digest.DigestStr() != want {
				t.Errorf("%s is %v (%v), want %s", tag, digest, err, want)
				continue
			}
			found++
			if err := (attest.Prover{PublicKey: chains}).Prove(t.Context(), digest.String()); err != nil {
				t.Errorf("at its destination: %v", err)
			}
		}
	}
	if found == 0 {
		t.Errorf("nothing was released: %+v", story.Released)
	}
}

// checkObjects looks for what there must be exactly one of.
func checkObjects(t *testing.T, c client.Client, story demo.Story) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var snapshots v1alpha1.SnapshotList
	err := c.List(ctx, &snapshots, client.InNamespace("demo-tenant"), client.MatchingLabels{"appstudio.openshift.io/build-pipelinerun": story.Run})
	if err != nil || len(snapshots.Items) != 1 {
		t.Errorf("build %s has %d Snapshots (%v), want 1", story.Run, len(snapshots.Items), err)
	}
	var releases v1alpha1.ReleaseList
	if err := c.List(ctx, &releases, client.InNamespace("demo-tenant")); err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, r := range releases.Items {
		if r.Spec.Snapshot == story.Snapshot {
			count++
			if !meta.IsStatusConditionTrue(r.Status.Conditions, "Released") || !r.Status.Automated || r.Status.Attribution == nil {
				text, _ := json.Marshal(r.Status)
				t.Errorf("Release %s is %s", r.Name, text)
			}
		}
	}
	if count != 1 {
		t.Errorf("Snapshot %s has %d Releases, want 1", story.Snapshot, count)
	}
}
