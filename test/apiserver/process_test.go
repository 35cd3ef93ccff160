//go:build apiserver

package apiserver_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/run"
	"github.com/headrace-ci/headrace/test/fixture"
	"github.com/headrace-ci/headrace/test/fixture/chains"
)

// TestProcess runs the controller's own program with the rights that install
// gives it and nothing more, lets it look for real signatures in a real
// registry, and kills it, with no time to clean up, between any two steps.
func TestProcess(t *testing.T) {
	host := fixture.Registry(t)
	c := newClient(t)
	tenant, managed := namespace(t, c), namespace(t, c)
	signer, image := chains.NewSigner(t), chains.Image(t, host+"/shop/web")
	p := newProcess(t, c, signer.PublicKey)
	p.start(t)
	shop := application(tenant)
	create(t, c, shop, component(tenant, "web"), testScenario(tenant),
		plan(tenant, managed), admission(t, managed, tenant), policy(managed))
	// One of each other kind, for the rights that it takes.
	old := inVersion(parse(t, scenarios["v1alpha1"]), "v1alpha1")
	old.SetNamespace(tenant)
	old.SetName("old")
	merge(old.Object, map[string]any{"spec": map[string]any{"contexts": []any{map[string]any{"name": "disabled"}}}})
	several, config := group(tenant, nil), nudges(tenant, edges{"web": {"chart"}})
	several.Spec.Components = []v1beta2.ComponentReference{{Name: "web", ComponentVersion: &v1beta2.ComponentVersionReference{Name: "main"}}}
	create(t, c, old, several, config)
	eventually(t, "the plan finds its admission", func() error {
		return conditionIs(t, c, plan(tenant, managed), "Matched", metav1.ConditionTrue, "Matched")
	})

	run := buildRun(tenant, "web-build", "web")
	create(t, c, run)
	p.restart(t)
	results := built()
	results["IMAGE_URL"], results["IMAGE_DIGEST"] = image.Context().String()+":1", image.DigestStr()
	finish(t, c, run, corev1.ConditionTrue, results)
	signer.Sign(t, image)
	p.restart(t)
	time.Sleep(2 * time.Second)
	if all := snapshots(t, c, tenant); len(all) != 0 {
		t.Fatalf("a build without attestation got Snapshot %s", all[0].Name)
	}
	signer.Attest(t, image, image)
	snapshot := oneSnapshot(t, c, tenant)
	if parts := snapshot.Spec.Components; len(parts) != 1 || parts[0].ContainerImage != image.String() {
		t.Errorf("the Snapshot holds %+v, want %s", parts, image)
	}
	p.restart(t)

	finish(t, c, oneRun(t, c, tenant, "test"), corev1.ConditionTrue, nil)
	p.restart(t)
	release := oneRelease(t, c, tenant)
	p.restart(t)
	finish(t, c, oneRun(t, c, managed, "managed"), corev1.ConditionTrue, nil)
	p.restart(t)
	eventually(t, "the Release ends", func() error {
		return conditionIs(t, c, release, "Released", metav1.ConditionTrue, "Succeeded")
	})
	p.restart(t)
	time.Sleep(2 * time.Second)
	counts := [3]int{len(snapshots(t, c, tenant)), len(releases(t, c, tenant)), len(runs(t, c, managed))}
	if counts != [3]int{1, 1, 1} {
		t.Errorf("%v Snapshots, Releases and managed runs, want one each", counts)
	}
	for _, o := range []client.Object{component(tenant, "web"), testScenario(tenant)} {
		if err := owned(t, c, o, shop); err != nil {
			t.Errorf("%T %s: %v", o, o.GetName(), err)
		}
	}
	for _, o := range []client.Object{several, config} {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
			t.Error(err)
		}
	}
	if len(several.Status.GlobalCandidateList) != 1 || len(config.Status.Conditions) != 1 {
		t.Errorf("the group has candidates %+v, the NudgeConfig conditions %+v", several.Status.GlobalCandidateList, config.Status.Conditions)
	}
	p.kill()
	for line := range strings.Lines(p.log.String()) {
		if strings.Contains(line, "forbidden") {
			t.Errorf("a right is missing: %s", line)
		}
	}
}

// process is the controller's program.
type process struct {
	program, kubeconfig string
	kill                func()
	log                 bytes.Buffer
}

// newProcess builds the controller and gives its account what install gives it.
func newProcess(t *testing.T, c client.Client, publicKey []byte) *process {
	t.Helper()
	p := &process{program: filepath.Join(t.TempDir(), "controller"), kill: func() {}}
	if _, err := run.Output(t.Context(), "go", "build", "-o", p.program, "github.com/headrace-ci/headrace/cmd/controller"); err != nil {
		t.Fatal(err)
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: serviceNamespace, Name: "controller"}}
	key := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "tekton-chains", Name: "public-key"}, Data: map[string][]byte{"cosign.pub": publicKey}}
	for _, name := range []string{account.Namespace, key.Namespace} {
		ensure(t, c, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	ensure(t, c, account)
	applyRoles(t, c)
	// What install lets every account read, so that anybody can verify.
	reader := metav1.ObjectMeta{Namespace: key.Namespace, Name: "public-key-reader"}
	create(t, c, key)
	t.Cleanup(func() {
		if err := c.Delete(context.Background(), key); err != nil {
			t.Error(err)
		}
	})
	ensure(t, c, &rbacv1.Role{ObjectMeta: reader, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{key.Name}, Verbs: []string{"get"},
	}}})
	ensure(t, c, &rbacv1.RoleBinding{
		ObjectMeta: reader, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: reader.Name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "system:authenticated"}},
	})
	p.kubeconfig = login(t, c, account)
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("the controller said:\n%s", p.log.String())
		}
	})
	return p
}

// login writes a kubeconfig with a token of an account.
func login(t *testing.T, c client.Client, account *corev1.ServiceAccount) string {
	t.Helper()
	token := &authenticationv1.TokenRequest{}
	if err := c.SubResource("token").Create(t.Context(), account, token); err != nil {
		t.Fatalf("asking for a token of %s: %v", account.Name, err)
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	err := clientcmd.WriteToFile(clientcmdapi.Config{
		CurrentContext: "test",
		Contexts:       map[string]*clientcmdapi.Context{"test": {Cluster: "test", AuthInfo: account.Name}},
		Clusters:       map[string]*clientcmdapi.Cluster{"test": {Server: config.Host, CertificateAuthorityData: config.CAData}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{account.Name: {Token: token.Status.Token}},
	}, file)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// start starts the program, which is killed before another start or the end.
func (p *process) start(t *testing.T, flags ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	command := run.Command{
		Name: p.program, Args: append([]string{"--metrics-bind-address=0", "--health-probe-bind-address=0"}, flags...),
		Env: []string{"KUBECONFIG=" + p.kubeconfig}, Stderr: &p.log,
	}
	go func() { ended <- command.Run(ctx) }()
	p.kill = func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the controller ended by itself: %v", err)
		}
		p.kill = func() {}
	}
}

// restart kills the program, as a node that fails does, and starts it again.
func (p *process) restart(t *testing.T) {
	t.Helper()
	p.kill()
	p.start(t)
}

// ensure creates what several tests need, once.
func ensure(t *testing.T, c client.Client, o client.Object) {
	t.Helper()
	if err := c.Create(t.Context(), o); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatalf("creating %T %s: %v", o, o.GetName(), err)
	}
}

// documents reads every object of a YAML file.
func documents(t *testing.T, file string) []*unstructured.Unstructured {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var found []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(raw), 4096)
	for {
		o := &unstructured.Unstructured{}
		if err := decoder.Decode(&o.Object); errors.Is(err, io.EOF) {
			return found
		} else if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if o.Object != nil {
			found = append(found, o)
		}
	}
}
