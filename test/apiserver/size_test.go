//go:build apiserver

package apiserver_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
)

// TestLargeObjects is of rules that cost more the larger an object is: the API
// server gives up on one that costs too much, and refuses the object.
func TestLargeObjects(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	big := &v1alpha1.Snapshot{ObjectMeta: meta(ns, "big"), Spec: v1alpha1.SnapshotSpec{Application: app}}
	members := &v1beta2.ComponentGroup{ObjectMeta: meta(ns, "big")}
	for i := range 2000 {
		name := fmt.Sprintf("component-of-a-long-name-%04d", i)
		big.Spec.Components = append(big.Spec.Components, v1alpha1.SnapshotComponent{
			Name: name, Version: "main", ContainerImage: "registry.example.com/organization/application/" + name + "@" + digest,
			Source: v1alpha1.ComponentSource{Git: &v1alpha1.GitSource{
				URL: "https://git.example.com/organization/" + name, Revision: commit, Context: "./", DockerfileURL: "build/Containerfile",
			}},
		})
		members.Spec.Components = append(members.Spec.Components, v1beta2.ComponentReference{
			Name: name, ComponentVersion: &v1beta2.ComponentVersionReference{Name: "main", Revision: "main"},
		})
	}
	config := &v1beta2.NudgeConfig{ObjectMeta: meta(ns, v1beta2.NudgeConfigName)}
	for i := range 256 {
		config.Spec.Nudges = append(config.Spec.Nudges, v1beta2.Nudge{From: fmt.Sprintf("component-%03d", i), To: "operator"})
	}
	for _, o := range []client.Object{big, members, config} {
		start := time.Now()
		create(t, c, o)
		o.SetLabels(map[string]string{"a": "b"})
		if err := c.Update(t.Context(), o); err != nil {
			t.Errorf("%T, labelled: %v", o, err)
		}
		t.Logf("%T made and labelled in %v", o, time.Since(start))
	}
	big.Status.Conditions = []metav1.Condition{{Type: "AppStudioTestSucceeded", Status: "True", Reason: "Passed", LastTransitionTime: metav1.Now()}}
	if err := c.Status().Update(t.Context(), big); err != nil {
		t.Errorf("the status of a large Snapshot: %v", err)
	}
	big.Spec.Components[1999].ContainerImage = strings.Replace(big.Spec.Components[1999].ContainerImage, "0123", "3210", 1)
	if err := refusal(c.Update(t.Context(), big), "create another Snapshot"); err != nil {
		t.Error(err)
	}
}
