//go:build apiserver

package apiserver_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
)

// TestWrongInput gives the cluster what people get wrong. Every answer names
// the object, and what to do.
func TestWrongInput(t *testing.T) {
	c := newClient(t)
	var p controllers
	p.start(t)
	cases := map[string]struct {
		setUp func(t *testing.T, tenant, managed string) []client.Object
		want  []string // parts of the reason that the Release gives
	}{
		"a ReleasePlan without an admission": {
			setUp: func(_ *testing.T, tenant, managed string) []client.Object {
				return []client.Object{plan(tenant, managed)}
			},
			want: []string{"ReleasePlanAdmission", "MANAGED"},
		},
		"an admission of another application": {
			setUp: func(t *testing.T, tenant, managed string) []client.Object {
				other := admission(t, managed, tenant)
				other.Spec.Applications = []string{"other"}
				return []client.Object{plan(tenant, managed), other}
			},
			want: []string{"ReleasePlanAdmission", "MANAGED"},
		},
		"an admission whose policy is missing": {
			setUp: func(t *testing.T, tenant, managed string) []client.Object {
				return []client.Object{plan(tenant, managed), admission(t, managed, tenant)}
			},
			want: []string{`no EnterpriseContractPolicy "release" in namespace MANAGED`, "create it"},
		},
		"an admission that is blocked": {
			setUp: func(t *testing.T, tenant, managed string) []client.Object {
				blocked := admission(t, managed, tenant)
				blocked.Labels["release.appstudio.openshift.io/block-releases"] = "true"
				return []client.Object{plan(tenant, managed), blocked, policy(managed)}
			},
			want: []string{"ReleasePlanAdmission MANAGED/shop does not permit releases"},
		},
		"a plan that is missing": {
			setUp: func(*testing.T, string, string) []client.Object { return nil },
			want:  []string{`there is no ReleasePlan "shop"`, "create it"},
		},
		"nobody responsible": {
			setUp: func(t *testing.T, tenant, managed string) []client.Object {
				return []client.Object{plan(tenant, managed), admission(t, managed, tenant), policy(managed)}
			},
			want: []string{"nobody is responsible", "release.appstudio.openshift.io/author"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tenant, managed := namespace(t, c), namespace(t, c)
			create(t, c, application(tenant), snapshotOf(tenant))
			objects := tc.setUp(t, tenant, managed)
			for _, o := range objects {
				if p, ok := o.(*v1alpha1.ReleasePlan); ok {
					p.Labels["release.appstudio.openshift.io/auto-release"] = "false" // a person releases
				}
			}
			create(t, c, objects...)
			awaitMatch(t, c, objects)
			release := &v1alpha1.Release{ObjectMeta: meta(tenant, "by-hand"), Spec: v1alpha1.ReleaseSpec{Snapshot: app, ReleasePlan: app}}
			if name != "nobody responsible" {
				release.Labels["release.appstudio.openshift.io/author"] = "ada"
			}
			create(t, c, release)

			var got metav1.Condition
			eventually(t, "the Release is refused", func() (err error) {
				if got, err = readCondition(t, c, release, "Released"); err == nil && got.Reason != "Failed" {
					err = fmt.Errorf("condition Released is %s: %s", got.Reason, got.Message)
				}
				return err
			})
			reason, err := readCondition(t, c, release, "Validated")
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range tc.want {
				if want = strings.ReplaceAll(want, "MANAGED", managed); !strings.Contains(reason.Message, want) {
					t.Errorf("the reason is %q, want %q in it", reason.Message, want)
				}
			}
			if all := runs(t, c, managed); len(all) != 0 {
				t.Errorf("run %s was started", all[0].Name)
			}
		})
	}
}

// awaitMatch waits until the controllers have seen that a plan and an admission
// are for each other: a Release is judged by what is there when it comes.
func awaitMatch(t *testing.T, c client.Client, objects []client.Object) {
	t.Helper()
	var asking *v1alpha1.ReleasePlan
	admitted := false
	for _, o := range objects {
		switch o := o.(type) {
		case *v1alpha1.ReleasePlan:
			asking = o
		case *v1alpha1.ReleasePlanAdmission:
			admitted = slices.Contains(o.Spec.Applications, app)
		}
	}
	if asking != nil && admitted {
		eventually(t, "plan and admission match", func() error {
			return conditionIs(t, c, asking, "Matched", metav1.ConditionTrue, "Matched")
		})
	}
}

func snapshotOf(ns string) *v1alpha1.Snapshot {
	return &v1alpha1.Snapshot{ObjectMeta: meta(ns, app), Spec: v1alpha1.SnapshotSpec{
		Application: app,
		Components:  []v1alpha1.SnapshotComponent{{Name: "web", ContainerImage: image + "@" + digest}},
	}}
}
