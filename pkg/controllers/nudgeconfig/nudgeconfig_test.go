package nudgeconfig

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	konfluxv1alpha1 "github.com/headrace-ci/headrace/pkg/apis/konflux/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
)

func config(nudges ...v1beta2.Nudge) *v1beta2.NudgeConfig {
	return &v1beta2.NudgeConfig{
		ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: v1beta2.NudgeConfigName, Generation: 3},
		Spec:       v1beta2.NudgeConfigSpec{Nudges: nudges},
	}
}

func TestCondition(t *testing.T) {
	cases := map[string]struct {
		config *v1beta2.NudgeConfig
		want   metav1.Condition
	}{
		"no nudges": {config(), metav1.Condition{
			Type: "StaleReferences", Status: "False", Reason: "NoStaleReferences", ObservedGeneration: 3,
			Message: "every component that spec.nudges names exists",
		}},
		"components that exist": {config(v1beta2.Nudge{From: "web", To: "chart"}), metav1.Condition{
			Type: "StaleReferences", Status: "False", Reason: "NoStaleReferences", ObservedGeneration: 3,
			Message: "every component that spec.nudges names exists",
		}},
		"each that does not is named once": {
			config(v1beta2.Nudge{From: "web", To: "z"}, v1beta2.Nudge{From: "a", To: "chart"}, v1beta2.Nudge{From: "a", To: "z"}),
			metav1.Condition{
				Type: "StaleReferences", Status: "True", Reason: "StaleReferencesDetected", ObservedGeneration: 3,
				Message: "spec.nudges names components that do not exist in namespace dev: a, z; create them, or remove their nudges",
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := condition(tc.config, map[string]bool{"web": true, "chart": true})
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("condition (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReconcile(t *testing.T) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, v1beta2.AddToScheme, konfluxv1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	where := func(ns, name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: ns, Name: name} }
	writes := 0
	c := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1beta2.NudgeConfig{}).WithObjects(
		config(v1beta2.Nudge{From: "old", To: "new"}, v1beta2.Nudge{From: "old", To: "elsewhere"}),
		&v1alpha1.Component{ObjectMeta: where("dev", "old")}, &konfluxv1alpha1.Component{ObjectMeta: where("dev", "new")},
		&v1alpha1.Component{ObjectMeta: where("other", "elsewhere")},
	).WithInterceptorFuncs(interceptor.Funcs{SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
		writes++
		return c.SubResource(sub).Patch(ctx, o, p, opts...)
	}}).Build()
	stored := &v1beta2.NudgeConfig{}
	reconcile := func() {
		t.Helper()
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(config()), stored); err != nil {
			t.Fatal(err)
		}
		if _, err := (&Reconciler{Client: c}).Reconcile(t.Context(), stored); err != nil {
			t.Fatal(err)
		}
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(config()), stored); err != nil {
			t.Fatal(err)
		}
	}
	reconcile()
	reconcile() // changes nothing
	want := []metav1.Condition{{
		Type: "StaleReferences", Status: "True", Reason: "StaleReferencesDetected", ObservedGeneration: 3,
		Message: "spec.nudges names components that do not exist in namespace dev: elsewhere; create them, or remove their nudges",
	}}
	if diff := cmp.Diff(want, stored.Status.Conditions, cmpopts.IgnoreFields(metav1.Condition{}, "LastTransitionTime")); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
	if writes != 1 {
		t.Errorf("%d writes, want 1", writes)
	}
	if err := c.Create(t.Context(), &v1alpha1.Component{ObjectMeta: where("dev", "elsewhere")}); err != nil {
		t.Fatal(err)
	}
	reconcile()
	if got := stored.Status.Conditions[0]; got.Status != metav1.ConditionFalse || got.Reason != "NoStaleReferences" {
		t.Errorf("once it exists: %+v", got)
	}
}
