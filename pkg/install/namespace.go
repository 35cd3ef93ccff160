package install

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/headrace-ci/headrace/pkg/taskcli"
)

// What a namespace is for.
const (
	KindTenant  = "tenant"  // a team builds and tests here
	KindManaged = "managed" // releases run here, out of the team's reach
)

// Namespace is one to make.
type Namespace struct {
	Name string
	Kind string
}

func (n Namespace) validate() error {
	if problems := validation.IsDNS1123Label(n.Name); len(problems) > 0 {
		return &taskcli.UsageError{Flag: "name", Problem: fmt.Sprintf("%q: %s", n.Name, strings.Join(problems, "; "))}
	}
	if n.Kind != KindTenant && n.Kind != KindManaged {
		return &taskcli.UsageError{Flag: "kind", Problem: fmt.Sprintf("%q is neither tenant nor managed", n.Kind)}
	}
	return nil
}

// Namespace makes a namespace, what it trusts, and the service accounts that
// pipelines run as in it. Doing it twice changes nothing.
func (in *Installer) Namespace(ctx context.Context, ns Namespace) error {
	ctx, cancel := context.WithTimeout(ctx, in.Timeout)
	defer cancel()
	objects := ns.objects()
	if ca := in.trustedCA(ns.Name); ca != nil {
		objects = append(objects, ca)
	}
	changed, err := in.apply(ctx, objects)
	if err != nil {
		return err
	}
	in.progress.say("namespace %s (%s): %d objects, %d of them new or changed", ns.Name, ns.Kind, len(objects), changed)
	return nil
}

// objects are the namespace and what belongs into it.
func (n Namespace) objects() []*unstructured.Unstructured {
	objects := []*unstructured.Unstructured{{Object: map[string]any{
		"apiVersion": "v1", "kind": "Namespace",
		"metadata": map[string]any{"name": n.Name, "labels": map[string]any{
			"konflux-ci.dev/type": "tenant", // releases run in a tenant too, upstream
			// A build is root in its own user namespace: baseline lets it,
			// restricted does not. Everything else is said to be restricted.
			"pod-security.kubernetes.io/enforce": "baseline",
			"pod-security.kubernetes.io/warn":    "restricted",
			"headrace.dev/kind":                  n.Kind,
		}},
	}}}
	if n.Kind == KindManaged {
		return append(objects, n.account("release-service-account", "release-pipeline-resource-role")...)
	}
	return append(objects, n.account("konflux-integration-runner", "konflux-integration-runner")...)
}

// account is a service account that holds the cluster role here.
func (n Namespace) account(name, role string) []*unstructured.Unstructured {
	return []*unstructured.Unstructured{
		{Object: map[string]any{
			"apiVersion": "v1", "kind": "ServiceAccount",
			"metadata": map[string]any{"name": name, "namespace": n.Name},
		}},
		{Object: map[string]any{
			"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
			"metadata": map[string]any{"name": name, "namespace": n.Name},
			"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
			"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": name, "namespace": n.Name}},
		}},
	}
}
