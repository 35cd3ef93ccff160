//go:build apiserver

package apiserver_test

import (
	"path/filepath"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const serviceNamespace = "headrace-system"

// applyRoles applies the roles that install applies.
func applyRoles(t *testing.T, c client.Client) {
	t.Helper()
	ensure(t, c, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: serviceNamespace}})
	files, err := filepath.Glob(filepath.Join(root, "bundles/install/roles/*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no roles: %v", err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		for _, role := range documents(t, file) {
			id := role.GetKind() + " " + role.GetNamespace() + "/" + role.GetName()
			if seen[id] {
				t.Errorf("%s: %s is there twice, which kustomize refuses", file, id)
			}
			seen[id] = true
			ensure(t, c, role)
		}
	}
}

// TestRights asks the API server's authorizer what each of those who touch a
// release may do, and above all what they may not.
func TestRights(t *testing.T) {
	c := newClient(t)
	applyRoles(t, c)
	tenant, managed := namespace(t, c), namespace(t, c)
	// An aggregating role is filled by a controller that does not run here, so
	// people hold what it would gather.
	for who, role := range map[string]string{
		"viewer": "konflux-viewer-user-actions-core", "contributor": "konflux-contributor-user-actions-core",
		"maintainer": "konflux-maintainer-user-actions-core", "admin": "konflux-admin-user-actions-core",
	} {
		create(t, c, binding(tenant, who, role, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: who}))
	}
	for ns, role := range map[string]string{tenant: "konflux-integration-runner", managed: "release-pipeline-resource-role"} {
		create(t, c, binding(ns, "pipelines", role, rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: ns, Name: "pipelines"}))
	}
	tests, releases := account(tenant, "pipelines"), account(managed, "pipelines")
	controller := account(serviceNamespace, "controller")
	for sentence, tc := range map[string]struct {
		who                                   string
		verb, group, resource, namespace, sub string
		want                                  bool
	}{
		"a viewer sees Releases":                         {"viewer", "list", ours, "releases", tenant, "", true},
		"a viewer makes none":                            {"viewer", "create", ours, "releases", tenant, "", false},
		"a viewer sees no Secret":                        {"viewer", "get", "", "secrets", tenant, "", false},
		"a viewer sees nothing elsewhere":                {"viewer", "list", ours, "releases", managed, "", false},
		"a contributor makes no Release":                 {"contributor", "create", ours, "releases", tenant, "", false},
		"a maintainer makes Releases":                    {"maintainer", "create", ours, "releases", tenant, "", true},
		"a maintainer makes no policy":                   {"maintainer", "create", ours, "enterprisecontractpolicies", tenant, "", false},
		"a maintainer sees no Secret":                    {"maintainer", "get", "", "secrets", tenant, "", false},
		"a maintainer does not write a Release's status": {"maintainer", "patch", ours, "releases", tenant, "status", false},
		"an admin makes policies":                        {"admin", "create", ours, "enterprisecontractpolicies", tenant, "", true},
		"an admin does not write a Release's status":     {"admin", "patch", ours, "releases", tenant, "status", false},
		"an admin does not write a Snapshot's status":    {"admin", "patch", ours, "snapshots", tenant, "status", false},
		"a test reads Snapshots":                         {tests, "get", ours, "snapshots", tenant, "", true},
		"a test changes no Snapshot":                     {tests, "patch", ours, "snapshots", tenant, "", false},
		"a test sees no Secret":                          {tests, "get", "", "secrets", tenant, "", false},
		"a test makes no Release":                        {tests, "create", ours, "releases", tenant, "", false},
		"a release reads its admission":                  {releases, "get", ours, "releaseplanadmissions", managed, "", true},
		"a release reads how releases are configured":    {releases, "get", ours, "releaseserviceconfigs", serviceNamespace, "", true},
		"a release does not change its admission":        {releases, "patch", ours, "releaseplanadmissions", managed, "", false},
		"a release does not change its policy":           {releases, "patch", ours, "enterprisecontractpolicies", managed, "", false},
		"a release reads no tenant until it is let":      {releases, "get", ours, "snapshots", tenant, "", false},
		"a release sees no Secret":                       {releases, "get", "", "secrets", managed, "", false},
		"the controller starts runs":                     {controller, "create", "tekton.dev", "pipelineruns", tenant, "", true},
		"the controller writes no policy":                {controller, "patch", ours, "enterprisecontractpolicies", managed, "", false},
		"the controller reads no Secret":                 {controller, "get", "", "secrets", tenant, "", false},
		"the controller makes no role":                   {controller, "create", rbacv1.GroupName, "roles", tenant, "", false},
	} {
		t.Run(sentence, func(t *testing.T) {
			review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
				User: tc.who, Groups: []string{"system:authenticated"},
				ResourceAttributes: &authorizationv1.ResourceAttributes{
					Verb: tc.verb, Group: tc.group, Resource: tc.resource, Subresource: tc.sub, Namespace: tc.namespace,
				},
			}}
			create(t, c, review)
			if review.Status.Allowed != tc.want {
				t.Errorf("allowed: %v, want %v (%s)", review.Status.Allowed, tc.want, review.Status.Reason)
			}
		})
	}
}

const ours = "appstudio.redhat.com"

func account(ns, name string) string { return "system:serviceaccount:" + ns + ":" + name }

func binding(ns, name, role string, who rbacv1.Subject) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}, Subjects: []rbacv1.Subject{who},
	}
}
