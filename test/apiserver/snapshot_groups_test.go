//go:build apiserver

package apiserver_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	domain "github.com/headrace-ci/headrace/pkg/snapshot"
)

// componentGroup is a group of members: "web/main" is a version of a
// component, "base" a group.
func componentGroup(ns, name string, members ...string) *v1beta2.ComponentGroup {
	g := &v1beta2.ComponentGroup{ObjectMeta: meta(ns, name)}
	for _, m := range members {
		component, version, is := strings.Cut(m, "/")
		ref := v1beta2.ComponentReference{Name: component, Kind: "componentGroup"}
		if is {
			ref.Kind, ref.ComponentVersion = "component", &v1beta2.ComponentVersionReference{Name: version, Revision: version, Context: "src"}
		}
		g.Spec.Components = append(g.Spec.Components, ref)
	}
	return g
}

// candidates waits until a group's list has these images, in order.
func candidates(t *testing.T, c client.Client, g *v1beta2.ComponentGroup, want ...string) {
	t.Helper()
	eventually(t, "the candidates of "+g.Name, func() error {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(g), g); err != nil {
			return err
		}
		var got []string
		for _, s := range g.Status.GlobalCandidateList {
			_, digest, _ := strings.Cut(s.LastPromotedImage, "@")
			got = append(got, s.Name+"/"+s.Version+"="+digest)
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("they are %v, want %v", got, want)
		}
		return nil
	})
}

// ofGroup waits for the one Snapshot of a group that a build led to.
func ofGroup(t *testing.T, c client.Client, ns, group, build string) *v1alpha1.Snapshot {
	t.Helper()
	var found *v1alpha1.Snapshot
	eventually(t, "the Snapshot of group "+group, func() error {
		found = nil
		for _, s := range snapshots(t, c, ns) {
			if s.Spec.ComponentGroup != group || s.Labels[domain.BuildLabel] != build {
				continue
			}
			if found != nil {
				t.Fatalf("there are Snapshots %s and %s", found.Name, s.Name)
			}
			found = s.DeepCopy()
		}
		if found == nil {
			return fmt.Errorf("there is none")
		}
		return nil
	})
	return found
}

// TestComponentGroups makes one Snapshot of each group that holds the version
// that was built, and of each group around these.
func TestComponentGroups(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	base, other, top := componentGroup(ns, "base", "web/main", "api/main"), componentGroup(ns, "other", "web/main"), componentGroup(ns, "top", "base", "docs/v1")
	late := componentGroup(ns, "late", "web/main")
	late.Spec.PromotionPolicy = v1beta2.PromoteAfterTests
	smoke := testScenario(ns)
	smoke.Spec.Application, smoke.Spec.ComponentGroup = "", "late"
	create(t, c, base, other, top, late, smoke)
	var p controllers
	p.proofs.there.Store(true)
	p.start(t)
	candidates(t, c, base, "api/main=", "web/main=")

	run := buildRun(ns, "web-1", "web")
	run.Annotations = map[string]string{domain.VersionKey: "main"}
	create(t, c, run)
	finish(t, c, run, corev1.ConditionTrue, builtOf("web", sum("a")))
	for _, group := range []string{"base", "late", "other", "top"} {
		s := ofGroup(t, c, ns, group, "web-1")
		if parts := s.Spec.Components; len(parts) != 1 || parts[0].Name != "web" || parts[0].Version != "main" || !strings.HasSuffix(parts[0].ContainerImage, sum("a")) || parts[0].Source.Git.Context != "src" {
			t.Errorf("the Snapshot of %s holds %+v", group, parts)
		}
		if owner := metav1.GetControllerOf(s); owner == nil || owner.Name != group || s.Labels[domain.ComponentGroupLabel] != group {
			t.Errorf("the Snapshot of %s is %v's, labelled %v", group, owner, s.Labels)
		}
	}
	below := ofGroup(t, c, ns, "base", "web-1")
	above := ofGroup(t, c, ns, "top", "web-1")
	if above.Annotations[domain.ChildAnnotation] != below.Name || above.Annotations[domain.OriginAnnotation] != below.Name {
		t.Errorf("the Snapshot above follows from %v", above.Annotations)
	}
	eventually(t, "the one below names the one above", func() error {
		if err := conditionIs(t, c, below, "ParentSnapshotsCreated", metav1.ConditionTrue, "Created"); err != nil {
			return err
		}
		if got := below.Status.ParentSnapshots["top"]; len(below.Status.ParentSnapshots) != 1 || got.Name != above.Name || !got.Created {
			return fmt.Errorf("it names %+v", below.Status.ParentSnapshots)
		}
		return nil
	})
	eventually(t, "it says what it omits", func() error {
		omitted := map[string]string{}
		for _, o := range ofGroup(t, c, ns, "top", "web-1").Status.Omitted {
			omitted[o.Name+"/"+o.Version] = o.Reason
		}
		if len(omitted) != 2 || omitted["api/main"] != domain.NeverBuilt || omitted["docs/v1"] != domain.NeverBuilt {
			return fmt.Errorf("it omits %v", omitted)
		}
		return nil
	})
	eventually(t, "the build names its Snapshots", func() error {
		err := c.Get(t.Context(), client.ObjectKeyFromObject(run), run)
		if err != nil || len(run.Finalizers) > 0 {
			return fmt.Errorf("it is held by %v, error %w", run.Finalizers, err)
		}
		return nil
	})
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(run), run); err != nil || strings.Count(run.Annotations[domain.SnapshotsKey], ",") != 2 || !strings.Contains(run.Annotations[domain.SnapshotsKey], below.Name) {
		t.Errorf("the build names %q, error %v", run.Annotations[domain.SnapshotsKey], err)
	}
	candidates(t, c, base, "api/main=", "web/main="+sum("a"))
	candidates(t, c, other, "web/main="+sum("a"))
	candidates(t, c, late, "web/main=")
	finish(t, c, testRunOf(t, c, ofGroup(t, c, ns, "late", "web-1")), corev1.ConditionTrue, nil)
	candidates(t, c, late, "web/main="+sum("a"))

	// What changes in the spec changes the list, and makes no Snapshot.
	count := len(snapshots(t, c, ns))
	base.Spec.Components = append(componentGroup(ns, "", "cli/v2").Spec.Components, base.Spec.Components[0])
	if err := c.Update(t.Context(), base); err != nil {
		t.Fatal(err)
	}
	candidates(t, c, base, "cli/v2=", "web/main="+sum("a"))
	if now := len(snapshots(t, c, ns)); now != count {
		t.Errorf("there are %d Snapshots, and were %d", now, count)
	}
}

// TestNestingCycle makes no Snapshot of a group in itself, and says so on the
// group, on the build, and on the Snapshot of the group in it.
func TestNestingCycle(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	create(t, c, componentGroup(ns, "a", "b", "web/main"), componentGroup(ns, "b", "a"), componentGroup(ns, "good", "api/main"), componentGroup(ns, "bad", "good", "a"))
	var p controllers
	p.proofs.there.Store(true)
	p.start(t)
	eventually(t, "the group says so", func() error {
		g := componentGroup(ns, "a")
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(g), g); err != nil {
			return err
		}
		for _, condition := range g.Status.Conditions {
			if condition.Type == "Valid" && condition.Reason == "NestingInvalid" && strings.Contains(condition.Message, "by way of a, b, a") {
				return nil
			}
		}
		return fmt.Errorf("it says %+v", g.Status.Conditions)
	})
	web, api := buildRun(ns, "web-1", "web"), buildRun(ns, "api-1", "api")
	web.Annotations, api.Annotations = map[string]string{domain.VersionKey: "main"}, map[string]string{domain.VersionKey: "main"}
	create(t, c, web, api)
	finish(t, c, web, corev1.ConditionTrue, builtOf("web", sum("a")))
	finish(t, c, api, corev1.ConditionTrue, builtOf("api", sum("b")))
	outcomeIs(t, c, web.Namespace, web.Name, "failed", domain.NestingInvalid, "contains itself")
	s := ofGroup(t, c, ns, "good", "api-1")
	eventually(t, "the Snapshot says that none follows", func() error {
		if err := conditionIs(t, c, s, "ParentSnapshotsCreated", metav1.ConditionFalse, "Failed"); err != nil {
			return err
		}
		if got := s.Status.ParentSnapshots["bad"]; got.Created || !strings.Contains(got.Err, "contains itself") {
			return fmt.Errorf("it names %+v", got)
		}
		return nil
	})
	if all := snapshots(t, c, ns); len(all) != 1 {
		t.Errorf("there are %d Snapshots", len(all))
	}
}

// override is a Snapshot of a person who knows better.
func override(ns, name, digest string, components ...string) *v1alpha1.Snapshot {
	s := &v1alpha1.Snapshot{ObjectMeta: meta(ns, name), Spec: v1alpha1.SnapshotSpec{Application: app}}
	s.Labels["test.appstudio.openshift.io/type"] = "override"
	for _, name := range components {
		s.Spec.Components = append(s.Spec.Components, v1alpha1.SnapshotComponent{
			Name: name, ContainerImage: "registry.example.com/mine/" + name + "@" + digest,
			Source: v1alpha1.ComponentSource{Git: &v1alpha1.GitSource{URL: "https://git.example.com/shop/" + name, Revision: commit}},
		})
	}
	return s
}

// TestOverrideSnapshot replaces every candidate that a good override names,
// and tests it; a bad one replaces none and is not tested.
func TestOverrideSnapshot(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	create(t, c, application(ns), component(ns, "api"), component(ns, "web"), testScenario(ns))
	var p controllers
	p.proofs.there.Store(true)
	p.start(t)
	bad := override(ns, "bad", "sha256:12", "api", "stranger")
	create(t, c, bad)
	eventually(t, "the bad one says so", func() error {
		return conditionIs(t, c, bad, "AppStudioIntegrationStatus", metav1.ConditionFalse, "Invalid")
	})
	got, _ := readCondition(t, c, bad, "AppStudioIntegrationStatus")
	for _, want := range []string{"component api: containerImage", "no valid sha256 digest", "component stranger does not belong to Application shop"} {
		if !strings.Contains(got.Message, want) {
			t.Errorf("it says %q, want %q in it", got.Message, want)
		}
	}
	good := override(ns, "good", sum("e"), "api", "web")
	create(t, c, good)
	for _, name := range []string{"api", "web"} {
		eventually(t, "the candidate of "+name, func() error {
			one := component(ns, name)
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(one), one); err != nil {
				return err
			}
			if one.Status.LastPromotedImage != "registry.example.com/mine/"+name+"@"+sum("e") || one.Status.LastBuiltCommit != commit || one.Annotations[domain.LastBuiltTime] == "" {
				return fmt.Errorf("it is %+v, %v", one.Status, one.Annotations)
			}
			return nil
		})
	}
	testRunOf(t, c, good)
	for _, run := range runs(t, c, ns) {
		if run.Labels[domain.SnapshotKey] == bad.Name {
			t.Errorf("the bad one is tested by %s", run.Name)
		}
	}
	// The next build has the overridden image of the other component.
	run := buildRun(ns, "web-1", "web")
	create(t, c, run)
	finish(t, c, run, corev1.ConditionTrue, builtOf("web", sum("f")))
	if got := images(snapshotOfBuild(t, c, run)); got["api"] != "registry.example.com/mine/api@"+sum("e") || got["web"] != "registry.example.com:5000/shop/web@"+sum("f") {
		t.Errorf("the next Snapshot holds %v", got)
	}
}

// TestComponentRemoval makes a Snapshot of what is left, which is not
// released, and keeps nobody from deleting everything.
func TestComponentRemoval(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	controllerManager(t, "garbage-collector-controller")
	shop, web := application(ns), component(ns, "web")
	create(t, c, shop, component(ns, "api"), web, component(ns, "new"))
	var p controllers
	p.proofs.there.Store(true)
	p.start(t)
	create(t, c, override(ns, "mine", sum("e"), "api", "web"))
	eventually(t, "the Components are promoted, and held", func() error {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(web), web); err != nil {
			return err
		}
		if web.Status.LastPromotedImage == "" || !slices.Contains(web.Finalizers, domain.ComponentFinalizer) {
			return fmt.Errorf("it has %q, %v", web.Status.LastPromotedImage, web.Finalizers)
		}
		return nil
	})
	mine := &v1alpha1.Snapshot{ObjectMeta: meta(ns, "mine")}
	eventually(t, "the Snapshot is the Application's", func() error { return owned(t, c, mine, shop) })
	if err := c.Delete(t.Context(), web); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the Component goes", func() error { return gone(t, c, web) })
	var left *v1alpha1.Snapshot
	for _, s := range snapshots(t, c, ns) {
		if s.Name != "mine" && left != nil {
			t.Fatalf("there are Snapshots %s and %s", left.Name, s.Name)
		}
		if s.Name != "mine" {
			left = s.DeepCopy()
		}
	}
	if left == nil || left.Labels["release.appstudio.openshift.io/auto-release"] != "false" || len(left.Spec.Components) != 1 || left.Spec.Components[0].Name != "api" {
		t.Fatalf("what is left is in %+v", left)
	}
	// With its application a Component goes without a trace.
	if err := c.Delete(t.Context(), shop); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"api", "new"} {
		eventually(t, "Component "+name+" goes with it", func() error { return gone(t, c, component(ns, name)) })
	}
	eventually(t, "so do the Snapshots", func() error {
		if left := snapshots(t, c, ns); len(left) > 0 {
			s := left[0]
			return fmt.Errorf("Snapshot %s is there: made %s, deleted %v, held by %v, owned by %+v",
				s.Name, s.CreationTimestamp, s.DeletionTimestamp, s.Finalizers, s.OwnerReferences)
		}
		return nil
	})
}

func gone(t *testing.T, c client.Client, o client.Object) error {
	t.Helper()
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(o), o); !apierrors.IsNotFound(err) {
		return fmt.Errorf("it is there, held by %v: %w", o.GetFinalizers(), err)
	}
	return nil
}
