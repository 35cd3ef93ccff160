//go:build apiserver

package apiserver_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
)

const oldScenario = `
apiVersion: appstudio.redhat.com/v1beta1
kind: IntegrationTestScenario
metadata: {name: old}
spec:
  application: shop
  environment: {name: dev, type: POC, configuration: {env: [{name: A, value: b}]}}
  contexts: [{name: push, description: after the merge}]
  params: [{name: LEVEL, values: [a, b]}]
  resolverRef:
    resolver: bundles
    params: [{name: bundle, value: "registry.example.com/p"}, {name: name, value: p}, {name: kind, value: pipeline}]
`

func parse(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestOldScenario is of those that people wrote as v1beta1.
func TestOldScenario(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	old := parse(t, oldScenario)
	old.SetNamespace(ns)
	create(t, c, old)

	now := &v1beta2.IntegrationTestScenario{}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(old), now); err != nil {
		t.Fatal(err)
	}
	if s := now.Spec; s.Application != "shop" || len(s.Contexts) != 1 || len(s.Params) != 1 || len(s.Params[0].Values) != 2 || len(s.ResolverRef.Params) != 3 || s.ResolverRef.ResourceKind != "pipeline" {
		t.Errorf("as v1beta2 it is %+v", s)
	}

	now.Spec.ResolverRef.ResourceKind, now.Spec.Dependents = "pipelinerun", []string{"later"}
	if err := c.Update(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(old), old); err != nil {
		t.Fatal(err)
	}
	old.SetLabels(map[string]string{"by": "old-client"})
	if err := c.Update(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(old), now); err != nil {
		t.Fatal(err)
	}
	if s := now.Spec; now.Labels["by"] == "" || s.ResolverRef.ResourceKind != "pipelinerun" || len(s.Dependents) != 1 {
		t.Errorf("after an old client wrote it back it is %+v", s)
	}

	wrong := parse(t, oldScenario)
	wrong.SetNamespace(ns)
	wrong.SetName("wrong")
	merge(wrong.Object, map[string]any{"spec": map[string]any{"params": []any{map[string]any{"name": "SNAPSHOT", "value": "mine"}}}})
	if err := refusal(c.Create(t.Context(), wrong), "spec.params may not hold SNAPSHOT"); err != nil {
		t.Error(err)
	}
}
