//go:build e2e

package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/test/fixture/scm"
)

const reported = "0123456789abcdef0123456789abcdef01234567"

// TestReport has a git host told that a build is pending, and then that it
// failed: by the task as it is published, in a pod of a namespace that lets only
// restricted ones in, with the token of its Secret and nothing else.
func TestReport(t *testing.T) {
	c := newDemo(t).Client()
	ip := reachable(t, c)
	at, ca := place(t, ip)
	host := scm.Forgejo(t, at)
	host.Tokens["t0ken"] = scm.Token{User: 7, Writes: []string{"shop/web"}}
	host.Commits["shop/web"] = []string{reported}
	ns := pullRequests(t, c, host, ca)
	run := pendingBuild(ns, host)
	if err := c.Create(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	told(t, c, host, run, 1, "pending", "BuildPLRInProgress")
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"status":"Cancelled"}}`))
	if err := c.Patch(t.Context(), run, patch); err != nil {
		t.Fatal(err)
	}
	told(t, c, host, run, 2, "failure", "BuildPLRFailed")
	if comments := host.Comments("shop/web", 5); len(comments) != 1 || comments[0].Edits != 1 {
		t.Errorf("comments are %+v, want one that was edited once", comments)
	}
}

// told waits until the host was told, the build says so, and no task is left.
func told(t *testing.T, c client.Client, host *scm.Server, run *tektonv1.PipelineRun, n int, state, said string) {
	t.Helper()
	problem := ""
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); time.Sleep(time.Second) {
		var tasks tektonv1.TaskRunList
		if err := c.List(t.Context(), &tasks, client.InNamespace(run.Namespace)); err != nil {
			t.Fatal(err)
		}
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(run), run); err != nil {
			t.Fatal(err)
		}
		all, got := host.Statuses(), run.Annotations["test.appstudio.openshift.io/snapshot-creation-report"]
		if len(all) == n && all[n-1].State == state && got == said && len(tasks.Items) == 0 {
			if all[n-1].Name != "Integration Service / smoke / web" || all[n-1].Commit != reported {
				t.Errorf("the host was told %+v", all[n-1])
			}
			return
		}
		problem = fmt.Sprintf("the host was told %+v, the build says %q and %q, %d tasks are there", all, got,
			run.Annotations["test.appstudio.openshift.io/git-reporting-failure"], len(tasks.Items))
		for _, task := range tasks.Items {
			problem += fmt.Sprintf("\n%s: %+v", task.Name, task.Status.Conditions)
		}
	}
	t.Fatalf("want %s and %s: %s", state, said, problem)
}

// reachable is an address of this machine that pods can reach: a node's. On
// another cluster there is none.
func reachable(t *testing.T, c client.Client) net.IP {
	t.Helper()
	var nodes corev1.NodeList
	if err := c.List(t.Context(), &nodes); err != nil {
		t.Fatal(err)
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range nodes.Items {
		for _, is := range node.Status.Addresses {
			for _, a := range addresses {
				if here, ok := a.(*net.IPNet); ok && here.IP.String() == is.Address {
					return here.IP
				}
			}
		}
	}
	t.Skip("pods of this cluster cannot reach a git host on this machine")
	return nil
}

// place listens at an address, with a certificate for it.
func place(t *testing.T, ip net.IP) (scm.At, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{ip},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(ip.String(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	return scm.At{Listener: listener, Certificate: tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}},
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
}

// pullRequests is a namespace whose pull requests are at the host, and which
// lets restricted pods in only.
func pullRequests(t *testing.T, c client.Client, host *scm.Server, ca []byte) string {
	t.Helper()
	knowRepositories(t, c)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "report-", Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}}
	if err := c.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Delete(context.Background(), ns); err != nil {
			t.Error(err)
		}
	})
	at := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: ns.Name, Name: name} }
	for _, o := range []client.Object{
		&corev1.ConfigMap{ObjectMeta: at("trusted-ca"), Data: map[string]string{"ca-bundle.crt": string(ca)}},
		&corev1.Secret{ObjectMeta: at("login"), StringData: map[string]string{"provider.token": "t0ken"}},
		&v1alpha1.Application{ObjectMeta: at("shop"), Spec: v1alpha1.ApplicationSpec{DisplayName: "shop"}},
		&v1alpha1.Component{ObjectMeta: at("web"), Spec: v1alpha1.ComponentSpec{Application: "shop", ComponentName: "web", Source: v1alpha1.ComponentSource{
			Git: &v1alpha1.GitSource{URL: host.URL + "/shop/web"}}}},
		&v1beta2.IntegrationTestScenario{ObjectMeta: at("smoke"), Spec: v1beta2.IntegrationTestScenarioSpec{Application: "shop", ResolverRef: v1beta2.ResolverRef{
			Resolver: "cluster", Params: []v1beta2.ResolverParameter{{Name: "name", Value: "none"}, {Name: "kind", Value: "pipeline"}}}}},
		&unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "pipelinesascode.tekton.dev/v1alpha1", "kind": "Repository", "metadata": map[string]any{"namespace": ns.Name, "name": "web"},
			"spec": map[string]any{"url": host.URL + "/shop/web", "git_provider": map[string]any{"secret": map[string]any{"name": "login"}}},
		}},
	} {
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatalf("creating %T: %v", o, err)
		}
	}
	return ns.Name
}

// knowRepositories makes the cluster know PaC Repositories, for as long as the
// test runs, unless it does.
func knowRepositories(t *testing.T, c client.Client) {
	t.Helper()
	raw, err := os.ReadFile("../apiserver/testdata/repositories.yaml")
	if err != nil {
		t.Fatal(err)
	}
	crd := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(raw, &crd.Object); err != nil {
		t.Fatal(err)
	}
	if err := c.Create(t.Context(), crd); apierrors.IsAlreadyExists(err) {
		return
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Delete(context.Background(), crd); err != nil {
			t.Error(err)
		}
	})
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		list := &unstructured.UnstructuredList{}
		list.SetAPIVersion("pipelinesascode.tekton.dev/v1alpha1")
		list.SetKind("RepositoryList")
		if err = c.List(t.Context(), list); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// pendingBuild is a build of a pull request that Tekton does not start yet.
func pendingBuild(ns string, host *scm.Server) *tektonv1.PipelineRun {
	run := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "web-1", Labels: map[string]string{
		"pipelines.appstudio.openshift.io/type": "build", "appstudio.openshift.io/component": "web", "appstudio.openshift.io/application": "shop",
		"pipelinesascode.tekton.dev/git-provider": "gitea", "pipelinesascode.tekton.dev/event-type": "pull_request",
		"pipelinesascode.tekton.dev/pull-request": "5", "pipelinesascode.tekton.dev/sha": reported,
	}, Annotations: map[string]string{"pipelinesascode.tekton.dev/repo-url": host.URL + "/shop/web"}}}
	run.Spec = tektonv1.PipelineRunSpec{
		Status: tektonv1.PipelineRunSpecStatusPending,
		PipelineSpec: &tektonv1.PipelineSpec{Tasks: []tektonv1.PipelineTask{{Name: "build", TaskSpec: &tektonv1.EmbeddedTask{TaskSpec: tektonv1.TaskSpec{
			Steps: []tektonv1.Step{{Name: "build", Image: "registry.test/none", Command: []string{"none"}}},
		}}}}},
	}
	return run
}
