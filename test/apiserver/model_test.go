//go:build apiserver

package apiserver_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	konfluxv1alpha1 "github.com/headrace-ci/headrace/pkg/apis/konflux/v1alpha1"
)

// TestNewerModel makes a Snapshot of a build that says everything in the words
// of konflux-ci.dev.
func TestNewerModel(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	var p controllers
	p.proofs.there.Store(true)
	p.start(t)
	web := &konfluxv1alpha1.Component{ObjectMeta: meta(ns, "web"), Spec: konfluxv1alpha1.ComponentSpec{Source: konfluxv1alpha1.ComponentSource{
		URL: "https://git.example.com/shop/web", Versions: []konfluxv1alpha1.ComponentVersion{{Name: "main", Revision: "main"}},
	}}}
	run := buildRun(ns, "web-build", "web")
	run.Labels = map[string]string{
		"pipelines.konflux-ci.dev/type": "build", "build.konflux-ci.dev/component": "web",
		"pipelinesascode.tekton.dev/event-type": "push",
	}
	run.Annotations = map[string]string{"appstudio.openshift.io/version": "main"}
	create(t, c, web, componentGroup(ns, app, "web/main"), run)
	p.restart(t)
	finish(t, c, run, corev1.ConditionTrue, built())
	s := ofGroup(t, c, ns, app, run.Name)
	if parts := s.Spec.Components; len(parts) != 1 || parts[0].Name != "web" || parts[0].Version != "main" || parts[0].ContainerImage != image+"@"+digest {
		t.Errorf("the Snapshot holds %+v", parts)
	}
}
