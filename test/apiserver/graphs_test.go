//go:build apiserver

package apiserver_test

import (
	"fmt"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	konfluxv1alpha1 "github.com/headrace-ci/headrace/pkg/apis/konflux/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
)

// edges is a graph: who, and whom it leads to.
type edges map[string][]string

// chain is a path of n edges, and back to its begin if closed.
func chain(n int, closed bool) edges {
	g := edges{}
	for i := range n {
		g[fmt.Sprintf("n%d", i)] = []string{fmt.Sprintf("n%d", i+1)}
	}
	if closed {
		g[fmt.Sprintf("n%d", n-1)] = []string{"n0"}
	}
	return g
}

// layers is a graph of n layers of width nodes, each leading to all of the next.
func layers(n, width int) edges {
	g := edges{}
	for l := range n {
		for from := range width {
			for to := range width {
				g[fmt.Sprintf("n%d-%d", l, from)] = append(g[fmt.Sprintf("n%d-%d", l, from)], fmt.Sprintf("n%d-%d", l+1, to))
			}
		}
	}
	return g
}

var graphs = map[string]struct {
	edges edges
	want  []string // parts of the refusal; none when there is no cycle
}{
	"none":                               {edges{}, nil},
	"a diamond":                          {edges{"a": {"b", "c"}, "b": {"d"}, "c": {"d"}}, nil},
	"two nodes":                          {edges{"a": {"b"}, "b": {"a"}}, []string{"goes in a circle, or on for 32 steps and more, from ", "a", "b", ": remove a "}},
	"three nodes, and one that leads in": {edges{"x": {"a"}, "a": {"b"}, "b": {"c"}, "c": {"a", "y"}}, []string{"goes in a circle"}},
	"the longest chain":                  {chain(31, false), nil},
	"a chain that is too long":           {chain(32, false), []string{"goes in a circle, or on for 32 steps and more, from n0: remove"}},
	"the longest circle":                 {chain(256, true), []string{"goes in a circle"}},
	"layers of four":                     {layers(16, 4), nil},
	"layers of eleven":                   {layers(2, 11), nil},
}

func group(ns string, g edges) *v1beta2.ComponentGroup {
	o := &v1beta2.ComponentGroup{ObjectMeta: meta(ns, "graph"), Spec: v1beta2.ComponentGroupSpec{Components: []v1beta2.ComponentReference{}}}
	o.Spec.TestGraph = map[string][]v1beta2.TestGraphNode{}
	for child, parents := range g {
		for _, parent := range parents {
			o.Spec.TestGraph[child] = append(o.Spec.TestGraph[child], v1beta2.TestGraphNode{Name: parent})
		}
	}
	return o
}

func nudges(ns string, g edges) *v1beta2.NudgeConfig {
	o := &v1beta2.NudgeConfig{ObjectMeta: meta(ns, v1beta2.NudgeConfigName)}
	for from, tos := range g {
		for _, to := range tos {
			o.Spec.Nudges = append(o.Spec.Nudges, v1beta2.Nudge{From: from, To: to})
		}
	}
	return o
}

// TestGraphs is of cycles, which no schema can see.
func TestGraphs(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	policies(t, c)
	before := group(ns, edges{"a": {"a"}})
	withoutPolicy(t, c, "headrace-componentgroup-graph", func() error { return c.Create(t.Context(), before) })
	two := graphs["two nodes"]
	eventually(t, "the policies hold", func() error {
		for _, o := range []client.Object{group(ns, two.edges), nudges(ns, two.edges)} {
			o.SetName("other")
			if _, isConfig := o.(*v1beta2.NudgeConfig); isConfig {
				o.SetName(v1beta2.NudgeConfigName)
			}
			if err := refusal(c.Create(t.Context(), o, client.DryRunAll), two.want[0]); err != nil {
				return err
			}
		}
		return nil
	})
	for name, tc := range graphs {
		for _, o := range []client.Object{group(ns, tc.edges), nudges(ns, tc.edges)} {
			t.Run(fmt.Sprintf("%T of %s", o, name), func(t *testing.T) {
				if o.GetName() == before.Name {
					o.SetName("other")
				}
				err := c.Create(t.Context(), o, client.DryRunAll)
				for _, want := range append(tc.want, "")[:max(len(tc.want), 1)] {
					if err := refusal(err, want); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}

	labelled := before.DeepCopy()
	labelled.SetLabels(map[string]string{"a": "b"})
	if err := c.Patch(t.Context(), labelled, client.MergeFrom(before)); err != nil {
		t.Errorf("a group whose graph was bad before that was refused cannot be labelled: %v", err)
	}
	worse := labelled.DeepCopy()
	worse.Spec.TestGraph["b"] = []v1beta2.TestGraphNode{{Name: "a"}}
	if err := refusal(c.Patch(t.Context(), worse, client.MergeFrom(labelled)), "goes in a circle"); err != nil {
		t.Errorf("that graph changed: %v", err)
	}
}

// withoutPolicy does something while the policy is not bound.
func withoutPolicy(t *testing.T, c client.Client, name string, do func() error) {
	t.Helper()
	binding := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{}
	if err := c.Get(t.Context(), client.ObjectKey{Name: name}, binding); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	eventually(t, "without "+name, do)
	binding.ResourceVersion, binding.UID = "", ""
	create(t, c, binding)
}

// TestStaleNudges is of Components that a NudgeConfig names and that are not
// there, or not any more.
func TestStaleNudges(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	var p controllers
	p.start(t)
	web := component(ns, "web")
	versioned := &konfluxv1alpha1.Component{ObjectMeta: meta(ns, "chart"), Spec: konfluxv1alpha1.ComponentSpec{
		Source: konfluxv1alpha1.ComponentSource{URL: "https://git.example.com/shop/chart"},
	}}
	config := nudges(ns, edges{"web": {"chart"}})
	stale := func(status metav1.ConditionStatus, reason, says string) func() error {
		return func() error {
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(config), config); err != nil {
				return err
			}
			got := apimeta.FindStatusCondition(config.Status.Conditions, "StaleReferences")
			if got == nil || got.Status != status || got.Reason != reason || !strings.Contains(got.Message, says) {
				return fmt.Errorf("the condition is %+v", got)
			}
			return nil
		}
	}
	create(t, c, config)
	eventually(t, "both are missed", stale(metav1.ConditionTrue, "StaleReferencesDetected", "chart, web; create them, or remove their nudges"))
	create(t, c, web, versioned)
	eventually(t, "none is missed", stale(metav1.ConditionFalse, "NoStaleReferences", "exists"))
	if err := c.Delete(t.Context(), versioned); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the one that went is missed", stale(metav1.ConditionTrue, "StaleReferencesDetected", ": chart; create"))
}
