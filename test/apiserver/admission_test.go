//go:build apiserver

package apiserver_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
)

const prefix = "release.appstudio.openshift.io/"

// person is a client of somebody who may write what a tenant writes.
func person(t *testing.T, name string) client.Client {
	t.Helper()
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{GenerateName: "person-"}, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"*"}, Verbs: []string{"get", "create", "update", "patch"},
	}}}
	create(t, newClient(t), role)
	create(t, newClient(t), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}},
	})
	return impersonate(t, name)
}

// TestAdmission is of what the API server refuses by label and by who asks.
func TestAdmission(t *testing.T) {
	administrator, ada := newClient(t), person(t, "ada@example.com")
	ns := namespace(t, administrator)
	policies(t, administrator)

	blocks := func(value string) *v1alpha1.ReleasePlanAdmission {
		a := admission(t, ns, "dev")
		a.Labels[prefix+"block-releases"] = value
		return a
	}
	// The API server takes up new policies after a moment.
	eventually(t, "the policies hold", func() error {
		err := administrator.Create(t.Context(), blocks("maybe"), client.DryRunAll)
		return refusal(err, "can only be set to true or false")
	})
	release := func(labels ...string) *v1alpha1.Release {
		r := &v1alpha1.Release{ObjectMeta: meta(ns, "one"), Spec: v1alpha1.ReleaseSpec{Snapshot: "shop-1", ReleasePlan: app}}
		for i := 0; i < len(labels); i += 2 {
			r.Labels[prefix+labels[i]] = labels[i+1]
		}
		return r
	}
	standing := func(author string) *v1alpha1.ReleasePlan {
		p := plan(ns, "managed")
		p.Labels[prefix+"author"] = author
		return p
	}
	long := person(t, "system:serviceaccount:"+strings.Repeat("a", 40)+":-"+strings.Repeat("b", 40))
	for name, tc := range map[string]struct {
		who    client.Client
		object client.Object
		want   string
	}{
		"an admission that blocks":                        {ada, blocks("true"), ""},
		"an admission that says nothing of blocking":      {ada, admission(t, ns, "dev"), ""},
		"a Release of one's own":                          {ada, release("author", "ada.example.com"), ""},
		"a Release in another's name":                     {ada, release("author", "grace"), "names somebody else: set it to ada.example.com, who asks for this"},
		"a Release in another's name that says automated": {ada, release("author", "grace", "automated", "true"), "names somebody else"},
		"a Release in another's name by an administrator": {administrator, release("author", "grace"), ""},
		"a Release without author":                        {ada, release(), ""},
		"a Release by a long name":                        {long, release("author", "system_serviceaccount_"+strings.Repeat("a", 40)), ""},
		"a plan in one's own name":                        {ada, standing("ada.example.com"), ""},
		"a plan in another's name":                        {ada, standing("grace"), "names somebody else"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := refusal(tc.who.Create(t.Context(), tc.object, client.DryRunAll), tc.want); err != nil {
				t.Error(err)
			}
		})
	}

	made := release("author", "ada.example.com", "snapshot", "shop-1")
	create(t, ada, made)
	other := standing("grace")
	create(t, administrator, other)
	for name, tc := range map[string]struct {
		who    client.Client
		object client.Object
		labels map[string]string
		want   string
	}{
		"a Release given another author":   {administrator, made, map[string]string{"author": "grace"}, "author cannot change"},
		"a Release called automated later": {ada, made, map[string]string{"automated": "true"}, "automated cannot change"},
		"a Release of another Snapshot":    {ada, made, map[string]string{"snapshot": "shop-2"}, "cannot change: create another Release"},
		"a Release given the plan's label": {ada, made, map[string]string{"releasePlan": app}, ""},
		"another's plan, turned off":       {ada, other, map[string]string{"auto-release": "false"}, ""},
		"another's plan, taken over":       {ada, other, map[string]string{"author": "ada.example.com"}, ""},
		"another's plan, given to a third": {ada, other, map[string]string{"author": "linus"}, "names somebody else"},
	} {
		t.Run(name, func(t *testing.T) {
			o := tc.object.DeepCopyObject().(client.Object)
			before := o.DeepCopyObject().(client.Object)
			for key, value := range tc.labels {
				o.GetLabels()[prefix+key] = value
			}
			if err := refusal(tc.who.Patch(t.Context(), o, client.MergeFrom(before), client.DryRunAll), tc.want); err != nil {
				t.Error(err)
			}
		})
	}
}

// refusal says how err is not the refusal wanted; none is wanted when want is
// empty.
func refusal(err error, want string) error {
	switch {
	case want == "" && err != nil:
		return fmt.Errorf("refused: %w", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		return fmt.Errorf("got refusal %v, want one that says %q", err, want)
	}
	return nil
}

// policies applies the admission policies that an installation has. They stay:
// the API server takes up a change of them after a moment, and a test that took
// them away would take them from the next.
func policies(t *testing.T, c client.Client) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "bundles/install/admission/*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no policies: %v", err)
	}
	for _, file := range files {
		for _, o := range documents(t, file) {
			ensure(t, c, o)
		}
	}
}
