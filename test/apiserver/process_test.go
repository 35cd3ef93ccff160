//go:build apiserver

package apiserver_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/test/fixture"
	"github.com/headrace-ci/headrace/test/fixture/chains"
	"github.com/headrace-ci/headrace/test/fixture/kube"
)

// TestProcess runs the controller's own program with the rights that install
// gives it and nothing more, lets it look for real signatures in a real
// registry, and kills it, with no time to clean up, between any two steps.
func TestProcess(t *testing.T) {
	host := fixture.Registry(t)
	c := newClient(t)
	tenant, managed := namespace(t, c), namespace(t, c)
	signer, image := chains.NewSigner(t), chains.Image(t, host+"/shop/web")
	p := newProcess(t, c, signer.PublicKey)
	p.Start(t)
	shop := application(tenant)
	create(t, c, shop, component(tenant, "web"), testScenario(tenant),
		plan(tenant, managed), admission(t, managed, tenant), policy(managed))
	// One of each other kind, for the rights that it takes.
	old := inVersion(parse(t, scenarios["v1alpha1"]), "v1alpha1")
	old.SetNamespace(tenant)
	old.SetName("old")
	merge(old.Object, map[string]any{"spec": map[string]any{"contexts": []any{map[string]any{"name": "disabled"}}}})
	several, config := group(tenant, nil), nudges(tenant, edges{"web": {"chart"}})
	several.Spec.Components = []v1beta2.ComponentReference{{Name: "web", ComponentVersion: &v1beta2.ComponentVersionReference{Name: "main"}}}
	create(t, c, old, several, config)
	eventually(t, "the plan finds its admission", func() error {
		return conditionIs(t, c, plan(tenant, managed), "Matched", metav1.ConditionTrue, "Matched")
	})

	run := buildRun(tenant, "web-build", "web")
	create(t, c, run)
	p.Restart(t)
	results := built()
	results["IMAGE_URL"], results["IMAGE_DIGEST"] = image.Context().String()+":1", image.DigestStr()
	finish(t, c, run, corev1.ConditionTrue, results)
	signer.Sign(t, image)
	p.Restart(t)
	time.Sleep(2 * time.Second)
	if all := snapshots(t, c, tenant); len(all) != 0 {
		t.Fatalf("a build without attestation got Snapshot %s", all[0].Name)
	}
	signer.Attest(t, image, image)
	snapshot := oneSnapshot(t, c, tenant)
	if parts := snapshot.Spec.Components; len(parts) != 1 || parts[0].ContainerImage != image.String() {
		t.Errorf("the Snapshot holds %+v, want %s", parts, image)
	}
	p.Restart(t)

	finish(t, c, oneRun(t, c, tenant, "test"), corev1.ConditionTrue, nil)
	p.Restart(t)
	release := oneRelease(t, c, tenant)
	p.Restart(t)
	finish(t, c, oneRun(t, c, managed, "managed"), corev1.ConditionTrue, nil)
	p.Restart(t)
	eventually(t, "the Release ends", func() error {
		return conditionIs(t, c, release, "Released", metav1.ConditionTrue, "Succeeded")
	})
	p.Restart(t)
	time.Sleep(2 * time.Second)
	counts := [3]int{len(snapshots(t, c, tenant)), len(releases(t, c, tenant)), len(runs(t, c, managed))}
	if counts != [3]int{1, 1, 1} {
		t.Errorf("%v Snapshots, Releases and managed runs, want one each", counts)
	}
	for _, o := range []client.Object{component(tenant, "web"), testScenario(tenant)} {
		if err := owned(t, c, o, shop); err != nil {
			t.Errorf("%T %s: %v", o, o.GetName(), err)
		}
	}
	for _, o := range []client.Object{several, config} {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
			t.Error(err)
		}
	}
	if len(several.Status.GlobalCandidateList) != 1 || len(config.Status.Conditions) != 1 {
		t.Errorf("the group has candidates %+v, the NudgeConfig conditions %+v", several.Status.GlobalCandidateList, config.Status.Conditions)
	}
	p.Kill()
	for line := range strings.Lines(p.Log.String()) {
		if strings.Contains(line, "forbidden") {
			t.Errorf("a right is missing: %s", line)
		}
	}
}

// newProcess is the controller's program, which looks for signatures of a key.
func newProcess(t *testing.T, c client.Client, publicKey []byte) *kube.Controller {
	t.Helper()
	return kube.NewController(t, config, c, publicKey)
}
