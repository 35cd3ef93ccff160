package v1beta2_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
)

func bundled(bundle string) v1beta2.ResolverRef {
	return v1beta2.ResolverRef{Resolver: "bundles", ResourceKind: "pipeline", Params: []v1beta2.ResolverParameter{
		{Name: "bundle", Value: bundle}, {Name: "name", Value: "smoke"}, {Name: "kind", Value: "pipeline"},
	}}
}

func TestTranslate(t *testing.T) {
	git := v1beta2.ResolverRef{Resolver: "git", ResourceKind: "pipelinerun", Params: []v1beta2.ResolverParameter{{Name: "url", Value: "https://git.example.com/t"}}}
	cases := map[string]struct {
		spec    v1beta2.IntegrationTestScenarioSpec
		want    v1beta2.ResolverRef
		changed bool
	}{
		"one of today is left alone": {
			spec: v1beta2.IntegrationTestScenarioSpec{ResolverRef: git}, want: git,
		},
		"an old one is translated": {
			spec: v1beta2.IntegrationTestScenarioSpec{Bundle: "registry.example.com/p:1", Pipeline: "smoke"},
			want: bundled("registry.example.com/p:1"), changed: true,
		},
		"a translated one is left alone": {
			spec: v1beta2.IntegrationTestScenarioSpec{Bundle: "registry.example.com/p:1", Pipeline: "smoke", ResolverRef: bundled("registry.example.com/p:1")},
			want: bundled("registry.example.com/p:1"),
		},
		"an old client changed the bundle": {
			spec: v1beta2.IntegrationTestScenarioSpec{Bundle: "registry.example.com/p:2", Pipeline: "smoke", ResolverRef: bundled("registry.example.com/p:1")},
			want: bundled("registry.example.com/p:2"), changed: true,
		},
		"one that says no kind is of a Pipeline": {
			spec: v1beta2.IntegrationTestScenarioSpec{ResolverRef: v1beta2.ResolverRef{Resolver: "hub"}},
			want: v1beta2.ResolverRef{Resolver: "hub", ResourceKind: "pipeline"}, changed: true,
		},
		"half a bundle says nothing": {
			spec: v1beta2.IntegrationTestScenarioSpec{Bundle: "registry.example.com/p:1"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			before := tc.spec.DeepCopy()
			if changed := tc.spec.Translate(); changed != tc.changed {
				t.Errorf("Translate() = %v, want %v", changed, tc.changed)
			}
			before.ResolverRef = tc.want
			if diff := cmp.Diff(*before, tc.spec); diff != "" {
				t.Errorf("spec (-want +got):\n%s", diff)
			}
		})
	}
}
