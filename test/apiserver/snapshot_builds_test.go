//go:build apiserver

package apiserver_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	domain "github.com/headrace-ci/headrace/pkg/snapshot"
)

// TestQuota holds a build while the namespace has no room for its Snapshot,
// and says so on it.
func TestQuota(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	const count = corev1.ResourceName("count/snapshots.appstudio.redhat.com")
	quota := &corev1.ResourceQuota{ObjectMeta: meta(ns, "snapshots"), Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{count: resource.MustParse("0")}}}
	create(t, c, application(ns), component(ns, "web"), quota)
	room := func(n string) {
		quota.Status = corev1.ResourceQuotaStatus{Hard: corev1.ResourceList{count: resource.MustParse(n)}, Used: corev1.ResourceList{count: resource.MustParse("0")}}
		if err := c.Status().Update(t.Context(), quota); err != nil {
			t.Fatal(err)
		}
	}
	room("0") // no controller of quotas runs here
	var p controllers
	p.proofs.there.Store(true)
	p.start(t)
	run := buildRun(ns, "web-1", "web")
	create(t, c, run)
	eventually(t, "the build is held", func() error {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(run), run); err != nil || len(run.Finalizers) == 0 {
			return fmt.Errorf("it has %v, error %w", run.Finalizers, err)
		}
		return nil
	})
	finish(t, c, run, corev1.ConditionTrue, built())
	outcomeIs(t, c, ns, run.Name, "pending", domain.QuotaExceeded, "delete some, or ask for a larger quota")
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(run), run); err != nil || len(run.Finalizers) == 0 {
		t.Errorf("the build is not held: %v, error %v", run.Finalizers, err)
	}
	room("1")
	p.restart(t) // which looks again at once, not in a minute
	snapshotOfBuild(t, c, run)
}

// TestSignatures says what it waits for, takes one that is late, and tests
// what Chains could not sign.
func TestSignatures(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	create(t, c, application(ns), component(ns, "api"), component(ns, "web"))
	var p controllers
	p.start(t)
	late := buildRun(ns, "api-1", "api")
	create(t, c, late)
	finish(t, c, late, corev1.ConditionTrue, builtOf("api", sum("1")))
	ago := metav1.NewTime(time.Now().Add(-6 * time.Minute))
	late.Status.StartTime, late.Status.CompletionTime = &ago, &ago
	eventually(t, "the build ended long ago", func() error {
		status := late.Status
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(late), late); err != nil {
			return err
		}
		late.Status = status
		return c.Status().Update(t.Context(), late)
	})
	outcomeIs(t, c, ns, late.Name, "failed", domain.NotSigned, "within 5m0s of its build: no signature yet")

	unsigned := buildRun(ns, "web-1", "web")
	create(t, c, unsigned)
	finish(t, c, unsigned, corev1.ConditionTrue, builtOf("web", sum("2")))
	annotate := func(name, value string) {
		run := buildRun(ns, name, "")
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(run), run); err != nil {
			t.Fatal(err)
		}
		before := run.DeepCopy()
		if run.Annotations == nil {
			run.Annotations = map[string]string{}
		}
		run.Annotations["chains.tekton.dev/signed"] = value
		if err := c.Patch(t.Context(), run, client.MergeFrom(before)); err != nil {
			t.Fatal(err)
		}
	}
	annotate(unsigned.Name, "failed")
	s := snapshotOfBuild(t, c, unsigned)
	if s.Annotations["chains.tekton.dev/signed"] != "failed" || !strings.Contains(s.Annotations["test.appstudio.openshift.io/create-snapshot-status"], "the image is not signed") {
		t.Errorf("the Snapshot says %v", s.Annotations)
	}
	web := component(ns, "web")
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(web), web); err != nil || web.Status.LastPromotedImage != "" {
		t.Errorf("an unsigned image is promoted: %q, error %v", web.Status.LastPromotedImage, err)
	}
	p.proofs.there.Store(true)
	annotate(late.Name, "true")
	snapshotOfBuild(t, c, late)
	outcomeIs(t, c, ns, late.Name, "success", domain.Created, "was created")
}

// TestManyPushes promotes the last of many that end at once, and makes one
// Snapshot of each.
func TestManyPushes(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	create(t, c, application(ns), component(ns, "web"))
	const builds = 12
	begun := time.Now().Add(-time.Hour).Truncate(time.Second)
	for i := range builds {
		name := fmt.Sprintf("web-%02d", (i*7)%builds) // the last one is not the last to end
		run := buildRun(ns, name, "web")
		create(t, c, run)
		finish(t, c, run, corev1.ConditionTrue, builtOf("web", sum(fmt.Sprintf("%x", (i*7)%builds))))
		start := metav1.NewTime(begun.Add(time.Duration((i*7)%builds) * time.Second))
		run.Status.StartTime = &start
		if err := c.Status().Update(t.Context(), run); err != nil {
			t.Fatal(err)
		}
	}
	var p controllers
	p.proofs.there.Store(true)
	p.start(t)
	for i := range builds {
		snapshotOfBuild(t, c, buildRun(ns, fmt.Sprintf("web-%02d", i), "web"))
	}
	web := component(ns, "web")
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(web), web); err != nil || !strings.HasSuffix(web.Status.LastPromotedImage, sum("b")) {
		t.Errorf("the candidate is %s, error %v", web.Status.LastPromotedImage, err)
	}
	if n := len(snapshots(t, c, ns)); n != builds {
		t.Errorf("there are %d Snapshots of %d builds", n, builds)
	}
}

// outcomeIs waits until a build says what became of it.
func outcomeIs(t *testing.T, c client.Client, ns, name, status, reason, text string) {
	t.Helper()
	run := buildRun(ns, name, "")
	eventually(t, "build "+name+" says what became of it", func() error {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(run), run); err != nil {
			return err
		}
		got, _ := domain.ParseOutcome(run.Annotations["test.appstudio.openshift.io/create-snapshot-status"])
		if got.Status != status || got.Reason != reason || !strings.Contains(got.Message, text) {
			return fmt.Errorf("it says %+v, want %s, %s: %s", got, status, reason, text)
		}
		return nil
	})
}
