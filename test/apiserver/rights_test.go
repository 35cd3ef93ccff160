//go:build apiserver

package apiserver_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/test/fixture/kube"
)

const serviceNamespace = kube.ServiceNamespace

// applyRoles applies the roles that install applies.
func applyRoles(t *testing.T, c client.Client) {
	t.Helper()
	kube.ApplyRoles(t, c)
}

// TestRights asks the API server's authorizer what each of those who touch a
// release may do, and above all what they may not.
func TestRights(t *testing.T) {
	c := newClient(t)
	applyRoles(t, c)
	tenant, managed := namespace(t, c), namespace(t, c)
	bindLevels(t, c, tenant)
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
		"a contributor makes Snapshots":                  {"contributor", "create", ours, "snapshots", tenant, "", true},
		"a contributor has a Snapshot tested again":      {"contributor", "patch", ours, "snapshots", tenant, "", true},
		"a contributor deletes no Snapshot":              {"contributor", "delete", ours, "snapshots", tenant, "", false},
		"a contributor cancels runs":                     {"contributor", "patch", "tekton.dev", "pipelineruns", tenant, "", true},
		"a contributor starts no run":                    {"contributor", "create", "tekton.dev", "pipelineruns", tenant, "", false},
		"a contributor writes no plan":                   {"contributor", "create", ours, "releaseplans", tenant, "", false},
		"a maintainer writes groups":                     {"maintainer", "create", ours, "componentgroups", tenant, "", true},
		"a maintainer writes Components of either group": {"maintainer", "create", "konflux-ci.dev", "components", tenant, "", true},
		"a maintainer writes plans":                      {"maintainer", "create", ours, "releaseplans", tenant, "", true},
		"a maintainer lets nothing in":                   {"maintainer", "update", ours, "releaseplanadmissions", tenant, "", false},
		"a maintainer starts no run":                     {"maintainer", "create", "tekton.dev", "pipelineruns", tenant, "", false},
		"an admin lets in":                               {"admin", "update", ours, "releaseplanadmissions", tenant, "", true},
		"an admin makes Secrets":                         {"admin", "create", "", "secrets", tenant, "", true},
		"an admin makes tokens":                          {"admin", "create", "", "serviceaccounts", tenant, "token", true},
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
			if got := allowed(t, c, tc.who, tc.verb, tc.group, tc.resource, tc.namespace, tc.sub); got != tc.want {
				t.Errorf("allowed: %v, want %v", got, tc.want)
			}
		})
	}
}

// levels of people, each of whom may do what the one before may.
var levels = []string{"viewer", "contributor", "maintainer", "admin"}

// bindLevels binds somebody to each level in ns, once Kubernetes has gathered
// what the level may.
func bindLevels(t *testing.T, c client.Client, ns string) {
	t.Helper()
	controllerManager(t, "clusterrole-aggregation-controller")
	for _, level := range levels {
		role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "konflux-" + level + "-user-actions"}}
		eventually(t, role.Name+" is gathered", func() error {
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(role), role); err != nil {
				return err
			}
			if len(role.Rules) == 0 {
				return errors.New("it has no rule")
			}
			return nil
		})
		create(t, c, binding(ns, level, role.Name, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: level}))
	}
}

// allowed asks the authorizer.
func allowed(t *testing.T, c client.Client, who, verb, group, resource, ns, sub string) bool {
	t.Helper()
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: who, Groups: []string{"system:authenticated"},
		ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: verb, Group: group, Resource: resource, Subresource: sub, Namespace: ns},
	}}
	create(t, c, review)
	return review.Status.Allowed
}

// TestCancel is of those who may cancel runs and not start them.
func TestCancel(t *testing.T) {
	c := newClient(t)
	applyRoles(t, c)
	ns := namespace(t, c)
	bindLevels(t, c, ns)
	policies(t, c)
	run := buildRun(ns, "web-build", "web")
	run.Finalizers = []string{"example.com/wait"}
	create(t, c, run)
	const refused = "can only be changed by who may create one: to cancel it, patch spec.status alone"
	patch := func(who, text string) error {
		return impersonate(t, who).Patch(t.Context(), run.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(text)), client.DryRunAll)
	}
	eventually(t, "the policy holds", func() error {
		return refusal(patch("contributor", `{"metadata":{"labels":{"appstudio.openshift.io/component":"other"}}}`), refused)
	})
	for name, tc := range map[string]struct{ who, patch, want string }{
		"a contributor cancels":                {"contributor", `{"spec":{"status":"CancelledRunFinally"}}`, ""},
		"a maintainer cancels":                 {"maintainer", `{"spec":{"status":"Cancelled"}}`, ""},
		"a contributor annotates":              {"contributor", `{"metadata":{"annotations":{"chains.tekton.dev/signed":"true"}}}`, refused},
		"a contributor takes a finalizer off":  {"contributor", `{"metadata":{"finalizers":null}}`, refused},
		"a maintainer makes it another's":      {"maintainer", `{"metadata":{"labels":{"appstudio.openshift.io/component":"other"}}}`, refused},
		"a viewer cancels":                     {"viewer", `{"spec":{"status":"Cancelled"}}`, "forbidden"},
		"an admin annotates":                   {"admin", `{"metadata":{"annotations":{"a":"b"}}}`, ""},
		"the controller takes a finalizer off": {account(serviceNamespace, "controller"), `{"metadata":{"finalizers":null}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if err := refusal(patch(tc.who, tc.patch), tc.want); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestLevels holds the levels to what they promise: everybody reads every kind,
// a viewer writes none, nobody writes a status, and each level may do all that
// the one before may.
func TestLevels(t *testing.T) {
	c := newClient(t)
	applyRoles(t, c)
	ns := namespace(t, c)
	bindLevels(t, c, ns)
	writes := []string{"create", "update", "patch", "delete", "deletecollection"}
	for _, kind := range kinds(t) {
		for _, verb := range []string{"get", "list", "watch"} {
			if !allowed(t, c, "viewer", verb, kind.Group, kind.Resource, ns, "") {
				t.Errorf("a viewer may not %s %s", verb, kind)
			}
		}
		for _, verb := range writes {
			if allowed(t, c, "viewer", verb, kind.Group, kind.Resource, ns, "") {
				t.Errorf("a viewer may %s %s", verb, kind)
			}
		}
		for _, level := range levels {
			if allowed(t, c, level, "patch", kind.Group, kind.Resource, ns, "status") {
				t.Errorf("%s may patch the status of %s", level, kind)
			}
		}
	}
	for i, level := range levels[:len(levels)-1] {
		role := &rbacv1.ClusterRole{}
		if err := c.Get(t.Context(), client.ObjectKey{Name: "konflux-" + level + "-user-actions"}, role); err != nil {
			t.Fatal(err)
		}
		for _, rule := range role.Rules {
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					name, sub, _ := strings.Cut(resource, "/")
					for _, verb := range rule.Verbs {
						if !allowed(t, c, levels[i+1], verb, group, name, ns, sub) {
							t.Errorf("%s may %s %s, and %s may not", level, verb, resource, levels[i+1])
						}
					}
				}
			}
		}
	}
}

// kinds are those of bundles/install.
func kinds(t *testing.T) []schema.GroupResource {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "bundles/install/crds/*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no CRDs: %v", err)
	}
	var all []schema.GroupResource
	for _, file := range files {
		for _, crd := range documents(t, file) {
			all = append(all, schema.ParseGroupResource(crd.GetName()))
		}
	}
	return all
}

const ours = "appstudio.redhat.com"

func account(ns, name string) string { return "system:serviceaccount:" + ns + ":" + name }

func binding(ns, name, role string, who rbacv1.Subject) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}, Subjects: []rbacv1.Subject{who},
	}
}
