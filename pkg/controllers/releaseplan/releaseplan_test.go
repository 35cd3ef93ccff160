package releaseplan

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
)

func newClient(t *testing.T, objects ...client.Object) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithStatusSubresource(&v1alpha1.ReleasePlan{}, &v1alpha1.ReleasePlanAdmission{}).Build()
}

func plan(name, target string, labels map[string]string) *v1alpha1.ReleasePlan {
	return &v1alpha1.ReleasePlan{
		ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: name, Labels: labels},
		Spec:       v1alpha1.ReleasePlanSpec{Application: "shop", Target: target},
	}
}

func admission(apps ...string) *v1alpha1.ReleasePlanAdmission {
	return &v1alpha1.ReleasePlanAdmission{
		ObjectMeta: metav1.ObjectMeta{Namespace: "managed", Name: "from-dev"},
		Spec:       v1alpha1.ReleasePlanAdmissionSpec{Applications: apps, Origin: "dev", Policy: "standard"},
	}
}

func now() time.Time { return time.Unix(1000, 0) }

// reconcilePlan reconciles the plan as it is stored and returns it as it is
// stored then.
func reconcilePlan(t *testing.T, c client.Client, p *v1alpha1.ReleasePlan) *v1alpha1.ReleasePlan {
	t.Helper()
	stored, r := &v1alpha1.ReleasePlan{}, &PlanReconciler{Client: c, Now: now}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(p), stored); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Reconcile(t.Context(), stored); err != nil {
		t.Fatal(err)
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(p), stored); err != nil {
		t.Fatal(err)
	}
	return stored
}

func TestPlan(t *testing.T) {
	blocking := admission("shop")
	blocking.Labels = map[string]string{"release.appstudio.openshift.io/block-releases": "true"}
	for name, tc := range map[string]struct {
		plan      *v1alpha1.ReleasePlan
		admission *v1alpha1.ReleasePlanAdmission
		want      *v1alpha1.MatchedReleasePlanAdmission
		says      string
	}{
		"admitted":          {plan("a", "managed", nil), admission("shop"), &v1alpha1.MatchedReleasePlanAdmission{Name: "managed/from-dev", Active: true}, ""},
		"admitted, blocked": {plan("a", "managed", nil), blocking, &v1alpha1.MatchedReleasePlanAdmission{Name: "managed/from-dev"}, ""},
		"not listed":        {plan("a", "managed", nil), admission("bank"), nil, `application "shop" in its list: ask the owner of managed`},
		"another namespace": {plan("a", "other", nil), admission("shop"), nil, "targets namespace other"},
	} {
		t.Run(name, func(t *testing.T) {
			got := reconcilePlan(t, newClient(t, tc.plan, tc.admission), tc.plan)
			if diff := cmp.Diff(tc.want, got.Status.ReleasePlanAdmission); diff != "" {
				t.Errorf("admission (-want +got):\n%s", diff)
			}
			c := meta.FindStatusCondition(got.Status.Conditions, "Matched")
			if c == nil || (c.Status == metav1.ConditionTrue) != (tc.want != nil) || !strings.Contains(c.Message, tc.says) {
				t.Errorf("got condition %+v, want a message that says %q", c, tc.says)
			}
		})
	}
}

// TestPlanFollowsItsAdmission loses it and, at last, needs none.
func TestPlanFollowsItsAdmission(t *testing.T) {
	p, a := plan("a", "managed", nil), admission("shop")
	c := newClient(t, p, a)
	if got := reconcilePlan(t, c, p); got.Status.ReleasePlanAdmission == nil {
		t.Fatal("not matched")
	}
	if err := c.Delete(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	got := reconcilePlan(t, c, p)
	if got.Status.ReleasePlanAdmission != nil || meta.IsStatusConditionTrue(got.Status.Conditions, "Matched") {
		t.Errorf("after the admission went the status is %+v", got.Status)
	}
	got.Spec.Target = ""
	if err := c.Update(t.Context(), got); err != nil {
		t.Fatal(err)
	}
	if got = reconcilePlan(t, c, p); len(got.Status.Conditions) != 0 {
		t.Errorf("a plan without target has conditions %+v", got.Status.Conditions)
	}
}

func TestAdmission(t *testing.T) {
	const key = "release.appstudio.openshift.io/"
	a := admission("shop")
	c := newClient(t, a,
		plan("b", "managed", nil),
		plan("a", "managed", map[string]string{key + "auto-release": "true"}),
		plan("elsewhere", "other", nil),
		plan("of-another", "managed", map[string]string{key + "releasePlanAdmission": "another"}))
	r := &AdmissionReconciler{Client: c, Now: now}
	if _, err := r.Reconcile(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(a), a); err != nil {
		t.Fatal(err)
	}
	want := []v1alpha1.MatchedReleasePlan{{Name: "dev/a", Active: true}, {Name: "dev/b"}}
	if diff := cmp.Diff(want, a.Status.ReleasePlans); diff != "" {
		t.Errorf("plans (-want +got):\n%s", diff)
	}
	if !meta.IsStatusConditionTrue(a.Status.Conditions, "Matched") {
		t.Errorf("got conditions %+v", a.Status.Conditions)
	}

	lonely := admission("bank")
	c = newClient(t, lonely, plan("a", "managed", nil))
	if _, err := (&AdmissionReconciler{Client: c, Now: now}).Reconcile(t.Context(), lonely); err != nil {
		t.Fatal(err)
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(lonely), lonely); err != nil {
		t.Fatal(err)
	}
	if cond := meta.FindStatusCondition(lonely.Status.Conditions, "Matched"); cond == nil || !strings.Contains(cond.Message, "no ReleasePlan of namespace dev targets namespace managed") {
		t.Errorf("got condition %+v", cond)
	}
}
