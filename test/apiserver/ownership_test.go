//go:build apiserver

package apiserver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/controllers/manager"
	"github.com/headrace-ci/headrace/pkg/run"
)

// TestCascade deletes an Application: everything in it goes, whenever and by
// whomever it was made, and nothing else.
func TestCascade(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	controllerManager(t, "garbage-collector-controller")
	var p controllers
	p.start(t)

	other := component(ns, "other")
	other.Spec.Application = "other"
	before, scenario, shop := component(ns, "before"), testScenario(ns), application(ns)
	create(t, c, before, other, scenario)
	create(t, c, shop)
	after, snapshot := component(ns, "after"), snapshotOf(ns)
	create(t, c, after, snapshot)
	theirs := []client.Object{before, after, scenario, snapshot}
	for _, o := range theirs {
		eventually(t, o.GetName()+" is the Application's", func() error { return owned(t, c, o, shop) })
	}
	p.restart(t)
	if err := owned(t, c, before, shop); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	cascade(t, c, shop, theirs)
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(other), other); err != nil || other.DeletionTimestamp != nil {
		t.Errorf("a Component of another application: error %v, deleted at %v", err, other.DeletionTimestamp)
	}
}

// TestCascadeOfGroup deletes a ComponentGroup. Its components are of others too,
// and stay.
func TestCascadeOfGroup(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	controllerManager(t, "garbage-collector-controller")
	var p controllers
	p.start(t)

	web, scenario, snapshot := component(ns, "web"), testScenario(ns), snapshotOf(ns)
	web.Spec.Application = ""
	scenario.Spec.Application, scenario.Spec.ComponentGroup = "", app
	snapshot.Spec.Application, snapshot.Spec.ComponentGroup = "", app
	shop := &v1beta2.ComponentGroup{ObjectMeta: meta(ns, app), Spec: v1beta2.ComponentGroupSpec{Components: []v1beta2.ComponentReference{
		{Name: web.Name, ComponentVersion: &v1beta2.ComponentVersionReference{Name: "main", Revision: "main"}},
	}}}
	create(t, c, scenario, web, shop)
	create(t, c, snapshot)
	theirs := []client.Object{scenario, snapshot}
	for _, o := range theirs {
		eventually(t, o.GetName()+" is the group's", func() error { return owned(t, c, o, shop) })
	}
	cascade(t, c, shop, theirs)
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(web), web); err != nil || web.DeletionTimestamp != nil {
		t.Errorf("the Component: error %v, deleted at %v", err, web.DeletionTimestamp)
	}
}

// cascade deletes an owner, and waits until theirs are gone.
func cascade(t *testing.T, c client.Client, owner client.Object, theirs []client.Object) {
	t.Helper()
	if err := c.Delete(t.Context(), owner); err != nil {
		t.Fatal(err)
	}
	for _, o := range theirs {
		eventually(t, o.GetName()+" goes with it", func() error {
			err := c.Get(t.Context(), client.ObjectKeyFromObject(o), o)
			if !apierrors.IsNotFound(err) {
				return fmt.Errorf("it is there, with finalizers %v: %w", o.GetFinalizers(), err)
			}
			return nil
		})
	}
}

// owned says how o does not have owner as an owner, and as its only one.
func owned(t *testing.T, c client.Client, o, owner client.Object) error {
	t.Helper()
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
		return err
	}
	owners := o.GetOwnerReferences()
	if len(owners) != 1 || owners[0].UID != owner.GetUID() {
		return fmt.Errorf("owners are %+v", owners)
	}
	// A controller's reference is made by our own account, which may block.
	if ref := owners[0]; ref.Controller == nil && ref.BlockOwnerDeletion != nil && *ref.BlockOwnerDeletion {
		t.Errorf("the owner reference of %T %s blocks the deletion of %s", o, o.GetName(), owner.GetName())
	}
	return nil
}

// kubeconfig is how programs reach the API server as its administrator.
func kubeconfig(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	err := clientcmd.WriteToFile(clientcmdapi.Config{
		CurrentContext: "test",
		Contexts:       map[string]*clientcmdapi.Context{"test": {Cluster: "test", AuthInfo: "test"}},
		Clusters:       map[string]*clientcmdapi.Cluster{"test": {Server: config.Host, CertificateAuthorityData: config.CAData}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"test": {ClientCertificateData: config.CertData, ClientKeyData: config.KeyData}},
	}, file)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// controllerManager runs controllers of Kubernetes itself.
func controllerManager(t *testing.T, names ...string) {
	t.Helper()
	kube, err := output(t.Context(), filepath.Join(root, "bin/cluster"), "build", "--print=kube")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var log bytes.Buffer
	ended := make(chan error, 1)
	command := run.Command{Name: kube, Stderr: &log, Args: []string{
		"kube-controller-manager", "--kubeconfig=" + kubeconfig(t), "--controllers=" + strings.Join(names, ","),
		"--leader-elect=false", "--secure-port=0",
	}}
	go func() { ended <- command.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the controller manager ended by itself: %v", err)
		}
		if t.Failed() {
			t.Logf("the controller manager said:\n%s", log.String())
		}
	})
}

// TestJourneyA1 and the next are of the first things that a team writes.
func TestJourneyA1(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	create(t, c, &v1alpha1.Application{ObjectMeta: meta(ns, app), Spec: v1alpha1.ApplicationSpec{DisplayName: "The Shop"}})
	got := &v1alpha1.Application{}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: app}, got); err != nil {
		t.Fatal(err)
	}
	if got.Spec.DisplayName != "The Shop" || got.Namespace != ns {
		t.Errorf("got display name %q in namespace %q", got.Spec.DisplayName, got.Namespace)
	}
}

// TestJourneyA2 has somebody write a scenario who may do nothing else. The
// scenario becomes the application's all the same, for a controller makes it so.
func TestJourneyA2(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	var p controllers
	p.start(t)
	role := &rbacv1.Role{ObjectMeta: meta(ns, "tester"), Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{ours}, Resources: []string{"integrationtestscenarios"}, Verbs: []string{"create"},
	}}}
	tester := rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "tester"}
	create(t, c, role, &rbacv1.RoleBinding{
		ObjectMeta: meta(ns, "tester"), Subjects: []rbacv1.Subject{tester},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
	})
	scenario, shop := scenarioOf(ns, "smoke", inRepository), application(ns)
	eventually(t, "the scenario is accepted", func() error { return impersonate(t, tester.Name).Create(t.Context(), scenario) })
	create(t, c, shop)
	eventually(t, "the scenario is the application's", func() error { return owned(t, c, scenario, shop) })
	answer(t, c, scenario, aPipeline, "")
	for kind, want := range map[string]string{"IntegrationTestScenarioValid": "True/Valid", "PipelineFound": "True/Found"} {
		eventually(t, kind, func() error { return scenarioSays(t, c, scenario, kind, want) })
	}
	if kind := scenario.Spec.ResolverRef.ResourceKind; kind != "pipeline" {
		t.Errorf("resourceKind is %q, want pipeline", kind)
	}
}

// impersonate is a client of a user.
func impersonate(t *testing.T, user string) client.Client {
	t.Helper()
	theirs := rest.CopyConfig(config)
	theirs.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
	c, err := client.New(theirs, client.Options{Scheme: manager.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
