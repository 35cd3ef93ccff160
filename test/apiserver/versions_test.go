//go:build apiserver

package apiserver_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
)

// scenarios are as people write them in each version.
var scenarios = map[string]string{
	"v1alpha1": `
spec:
  application: shop
  bundle: registry.example.com/p:1
  pipeline: smoke
  environment: {name: dev, type: POC, configuration: {env: [{name: A, value: b}]}}
  contexts: [{name: push, description: after the merge}]
  params: [{name: LEVEL, value: high}]
`,
	"v1beta1": `
spec:
  application: shop
  environment: {name: dev, type: POC, configuration: {env: [{name: A, value: b}]}}
  contexts: [{name: push, description: after the merge}]
  params: [{name: LEVEL, values: [a, b]}]
  resolverRef:
    resolver: bundles
    resourceKind: pipeline
    params: [{name: bundle, value: "registry.example.com/p"}, {name: name, value: p}, {name: kind, value: pipeline}]
`,
	"v1beta2": `
spec:
  componentGroup: shop
  dependents: [later]
  contexts: [{name: pull_request}]
  params: [{name: LEVEL, values: [a, b]}]
  resolverRef:
    resolver: git
    resourceKind: pipelinerun
    params: [{name: url, value: "https://git.example.com/t"}, {name: revision, value: main}, {name: pathInRepo, value: t.yaml}]
`,
}

func parse(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatal(err)
	}
	return o
}

func inVersion(o *unstructured.Unstructured, version string) *unstructured.Unstructured {
	o.SetGroupVersionKind(schema.GroupVersionKind{Group: ours, Version: version, Kind: "IntegrationTestScenario"})
	return o
}

// TestVersionsLoseNothing writes a scenario as each version, and has clients
// that know only another one read it and write it back.
func TestVersionsLoseNothing(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	for written, text := range scenarios {
		for through := range scenarios {
			t.Run(written+" through "+through, func(t *testing.T) {
				o := inVersion(parse(t, text), written)
				o.SetNamespace(ns)
				o.SetName(written + "-through-" + through)
				want := o.DeepCopy().Object["spec"]
				create(t, c, o)
				key := client.ObjectKeyFromObject(o)

				other := inVersion(&unstructured.Unstructured{}, through)
				if err := c.Get(t.Context(), key, other); err != nil {
					t.Fatal(err)
				}
				other.SetLabels(map[string]string{"by": "another"})
				if err := c.Update(t.Context(), other); err != nil {
					t.Fatal(err)
				}
				for version := range scenarios {
					got := inVersion(&unstructured.Unstructured{}, version)
					if err := c.Get(t.Context(), key, got); err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(want, got.Object["spec"]); diff != "" || got.GetLabels()["by"] == "" {
						t.Errorf("as %s (-want +got):\n%s", version, diff)
					}
				}
			})
		}
	}
}

// TestVersionsRefuseAlike is of a rule that all versions have.
func TestVersionsRefuseAlike(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	for version, text := range scenarios {
		o := inVersion(parse(t, text), version)
		o.SetNamespace(ns)
		o.SetName("wrong")
		merge(o.Object, map[string]any{"spec": map[string]any{"params": []any{map[string]any{"name": "SNAPSHOT", "value": "mine"}}}})
		if err := refusal(c.Create(t.Context(), o), "spec.params may not hold SNAPSHOT"); err != nil {
			t.Errorf("%s: %v", version, err)
		}
	}
}

// TestFirstVersion has a scenario that is written as v1alpha1 tested as what it
// means today, also after somebody wrote another bundle.
func TestFirstVersion(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	var p controllers
	p.start(t)
	old := inVersion(parse(t, scenarios["v1alpha1"]), "v1alpha1")
	old.SetNamespace(ns)
	old.SetName("old")
	create(t, c, old)
	now := &v1beta2.IntegrationTestScenario{}
	reads := func(bundle string) func() error {
		want := v1beta2.ResolverRef{Resolver: "bundles", ResourceKind: "pipeline", Params: []v1beta2.ResolverParameter{
			{Name: "bundle", Value: bundle}, {Name: "name", Value: "smoke"}, {Name: "kind", Value: "pipeline"},
		}}
		return func() error {
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(old), now); err != nil {
				return err
			}
			if diff := cmp.Diff(want, now.Spec.ResolverRef); diff != "" {
				return fmt.Errorf("resolverRef (-want +got):\n%s", diff)
			}
			return nil
		}
	}
	eventually(t, "it is translated", reads("registry.example.com/p:1"))
	again := inVersion(parse(t, `spec: {bundle: "registry.example.com/p:2"}`), "v1alpha1")
	again.SetNamespace(ns)
	again.SetName("old")
	if err := c.Patch(t.Context(), again, client.Merge); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other bundle is translated", reads("registry.example.com/p:2"))

	before := now.DeepCopy()
	now.Spec.ResolverRef.Params[0].Value = "registry.example.com/p:3"
	if err := refusal(c.Patch(t.Context(), now, client.MergeFrom(before)), "remove these two to set it yourself"); err != nil {
		t.Error(err)
	}
	now.Spec.Bundle, now.Spec.Pipeline = "", ""
	now.Spec.ResolverRef.Params[0].Value = "registry.example.com/p:3"
	if err := c.Patch(t.Context(), now, client.MergeFrom(before)); err != nil {
		t.Errorf("written as today: %v", err)
	}
}

// TestServed finds every kind as kubectl does: by version, scope, plural and
// short name.
func TestServed(t *testing.T) {
	cached := memory.NewMemCacheClient(discovery.NewDiscoveryClientForConfigOrDie(config))
	mapper := restmapper.NewShortcutExpander(restmapper.NewDeferredDiscoveryRESTMapper(cached), cached, func(warning string) {
		t.Errorf("kubectl would warn: %s", warning)
	})
	for name, want := range map[string]string{
		"applications": "v1alpha1.Application", "hasapp": "v1alpha1.Application", "ha": "v1alpha1.Application", "app": "v1alpha1.Application",
		"cmp": "v1alpha1.Component", "comp": "v1alpha1.Component",
		// Served in two groups: tools that say no group mean this one.
		"components": "v1alpha1.Component", "component": "v1alpha1.Component",
		"as": "v1alpha1.Snapshot", "snapshot": "v1alpha1.Snapshot", "snapshots": "v1alpha1.Snapshot",
		"its": "v1beta2.IntegrationTestScenario", "integrationtestscenarios": "v1beta2.IntegrationTestScenario",
		"cg": "v1beta2.ComponentGroup", "componentgroups": "v1beta2.ComponentGroup",
		"nc": "v1beta2.NudgeConfig", "nudgeconfigs": "v1beta2.NudgeConfig",
		"release": "v1alpha1.Release", "releases": "v1alpha1.Release", "rel": "v1alpha1.Release", "rp": "v1alpha1.ReleasePlan", "rpa": "v1alpha1.ReleasePlanAdmission",
		"rsc": "v1alpha1.ReleaseServiceConfig", "ecp": "v1alpha1.EnterpriseContractPolicy",
	} {
		kind, err := mapper.KindFor(schema.GroupVersionResource{Resource: name})
		if got := kind.Version + "." + kind.Kind; err != nil || kind.Group != ours || got != want {
			t.Errorf("%s is %s in group %q (error %v), want %s in %s", name, got, kind.Group, err, want, ours)
		}
	}
	served := map[string]bool{}
	_, lists, err := cached.ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		for _, r := range list.APIResources {
			served[fmt.Sprintf("%s %s namespaced=%v", list.GroupVersion, r.Name, r.Namespaced)] = true
		}
	}
	for _, want := range []string{
		"konflux-ci.dev/v1alpha1 components", "appstudio.redhat.com/v1alpha1 components",
		"appstudio.redhat.com/v1alpha1 integrationtestscenarios", "appstudio.redhat.com/v1beta1 integrationtestscenarios",
		"appstudio.redhat.com/v1beta2 integrationtestscenarios", "appstudio.redhat.com/v1beta2 componentgroups", "appstudio.redhat.com/v1beta2 nudgeconfigs",
	} {
		if !served[want+" namespaced=true"] {
			t.Errorf("%s is not served", want)
		}
	}
}

// TestNoWebhook holds what is installed to having none, of admission or of
// conversion: nobody is refused, or cannot read what is stored, because a
// program of ours restarts.
func TestNoWebhook(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "bundles/install/*/*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests: %v", err)
	}
	for _, file := range files {
		for _, o := range documents(t, file) {
			conversion, _, _ := unstructured.NestedString(o.Object, "spec", "conversion", "strategy")
			if strings.HasSuffix(o.GetKind(), "WebhookConfiguration") || conversion == string(apiextensionsv1.WebhookConverter) {
				t.Errorf("%s: %s %s has a webhook", file, o.GetKind(), o.GetName())
			}
		}
	}
}

// TestStoredStaysWritable is of what was stored before a rule was there: it can
// be changed elsewhere, or nobody could take a finalizer off, but not get worse.
func TestStoredStaysWritable(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	crd := documents(t, filepath.Join(root, "bundles/install/crds/appstudio.redhat.com_integrationtestscenarios.yaml"))[0]
	with, without := laxer(t, crd, false), laxer(t, crd, true)
	if err := apiextensionsv1.AddToScheme(c.Scheme()); err != nil {
		t.Fatal(err)
	}
	create(t, c, without)
	t.Cleanup(func() {
		if err := c.Delete(context.Background(), without); err != nil {
			t.Error(err)
		}
	})
	bad := inVersion(parse(t, scenarios["v1beta2"]), "v1beta2")
	bad.SetAPIVersion("lax.example.com/v1beta2")
	bad.SetNamespace(ns)
	bad.SetName(strings.Repeat("1", 70))
	merge(bad.Object, map[string]any{"spec": map[string]any{"params": []any{map[string]any{"name": "SNAPSHOT", "value": "mine"}}}})
	eventually(t, "the kind is served", func() error { return c.Create(t.Context(), bad) })

	if err := c.Patch(t.Context(), with, client.Merge); err != nil {
		t.Fatal(err)
	}
	fresh := bad.DeepCopy()
	fresh.SetResourceVersion("")
	fresh.SetUID("")
	fresh.SetName("2")
	eventually(t, "the rules hold", func() error {
		return refusal(c.Create(t.Context(), fresh, client.DryRunAll), "metadata.name becomes a label value")
	})

	bad.SetFinalizers([]string{"example.com/wait"})
	if err := c.Update(t.Context(), bad); err != nil {
		t.Errorf("a finalizer on: %v", err)
	}
	merge(bad.Object, map[string]any{"status": map[string]any{"conditions": []any{map[string]any{
		"type": "Seen", "status": "True", "reason": "Seen", "message": "", "lastTransitionTime": metav1.Now().UTC().Format("2006-01-02T15:04:05Z"),
	}}}})
	if err := c.Status().Update(t.Context(), bad); err != nil {
		t.Errorf("the status: %v", err)
	}
	merge(bad.Object, map[string]any{"spec": map[string]any{"contexts": []any{map[string]any{"name": "push"}}}})
	if err := c.Update(t.Context(), bad); err != nil {
		t.Errorf("another field: %v", err)
	}
	for want, change := range map[string]map[string]any{
		"set exactly one of spec.application and spec.componentGroup": {"application": "shop"},
		"spec.params may not hold SNAPSHOT":                           {"params": []any{map[string]any{"name": "SNAPSHOT", "value": "yours"}}},
	} {
		worse := bad.DeepCopy()
		merge(worse.Object, map[string]any{"spec": change})
		if err := refusal(c.Update(t.Context(), worse), want); err != nil {
			t.Error(err)
		}
	}
	bad.SetFinalizers(nil)
	if err := c.Update(t.Context(), bad); err != nil {
		t.Errorf("the finalizer off: %v", err)
	}
}

// laxer is a kind like crd's in another group, with or without its rules.
func laxer(t *testing.T, crd *unstructured.Unstructured, lax bool) *unstructured.Unstructured {
	t.Helper()
	o := crd.DeepCopy()
	o.SetName("integrationtestscenarios.lax.example.com")
	merge(o.Object, map[string]any{"spec": map[string]any{"group": "lax.example.com", "names": map[string]any{"shortNames": nil}}})
	if lax {
		dropRules(o.Object)
	}
	return o
}

func dropRules(node any) {
	switch node := node.(type) {
	case map[string]any:
		delete(node, "x-kubernetes-validations")
		for _, value := range node {
			dropRules(value)
		}
	case []any:
		for _, value := range node {
			dropRules(value)
		}
	}
}
