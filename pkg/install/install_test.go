package install

import (
	"bytes"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/yaml"
)

func TestNamespaces(t *testing.T) {
	for name, test := range map[string]struct {
		ns            Namespace
		account, role string
	}{
		"a team's":          {Namespace{"demo-tenant", KindTenant}, "konflux-integration-runner", "konflux-integration-runner"},
		"its releases' own": {Namespace{"demo-managed", KindManaged}, "release-service-account", "release-pipeline-resource-role"},
	} {
		t.Run(name, func(t *testing.T) {
			c := fake.NewClientBuilder().Build()
			var out bytes.Buffer
			in := New(Options{CA: "certificates", Timeout: time.Minute}, c, &out)
			for range 2 {
				if err := in.Namespace(t.Context(), test.ns); err != nil {
					t.Fatal(err)
				}
			}
			var ns corev1.Namespace
			if err := c.Get(t.Context(), client.ObjectKey{Name: test.ns.Name}, &ns); err != nil {
				t.Fatal(err)
			}
			if ns.Labels["konflux-ci.dev/type"] != "tenant" || ns.Labels["pod-security.kubernetes.io/enforce"] != "baseline" {
				t.Errorf("labels: %v", ns.Labels)
			}
			key := client.ObjectKey{Namespace: test.ns.Name, Name: test.account}
			if err := c.Get(t.Context(), key, &corev1.ServiceAccount{}); err != nil {
				t.Error(err)
			}
			var binding rbacv1.RoleBinding
			if err := c.Get(t.Context(), key, &binding); err != nil {
				t.Fatal(err)
			}
			if binding.RoleRef.Name != test.role {
				t.Errorf("bound to %q, want %q", binding.RoleRef.Name, test.role)
			}
			var ca corev1.ConfigMap
			if err := c.Get(t.Context(), client.ObjectKey{Namespace: test.ns.Name, Name: "trusted-ca"}, &ca); err != nil {
				t.Fatal(err)
			}
			if ca.Data["ca-bundle.crt"] != "certificates" {
				t.Errorf("trusted-ca: %v", ca.Data)
			}
		})
	}
}

func TestWrongNamespacesAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		ns   Namespace
		want string
	}{
		"no name":      {Namespace{Kind: KindTenant}, "--name"},
		"bad name":     {Namespace{"Demo_Tenant", KindTenant}, `--name: "Demo_Tenant"`},
		"unknown kind": {Namespace{"demo", "team"}, `--kind: "team" is neither tenant nor managed`},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.ns.validate()
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestOnlyExtraCertificatesAreHandedOn(t *testing.T) {
	block := func(content string) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte(content)}))
	}
	dir := t.TempDir()
	system, file := filepath.Join(dir, "system"), filepath.Join(dir, "file")
	for path, content := range map[string]string{system: block("known"), file: "# comment\n" + block("known") + block("ours")} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := extraCertificates(file, system)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(block("ours"), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, err := extraCertificates("", system); got != "" || err != nil {
		t.Errorf("with no file: %q, %v", got, err)
	}
}

const manifests = "../../bundles/install"

func TestTheKustomizationListsEveryKind(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(manifests, "kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var list struct{ Resources []string }
	if err := yaml.Unmarshal(raw, &list); err != nil {
		t.Fatal(err)
	}
	crds, err := filepath.Glob(filepath.Join(manifests, "crds", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, crd := range crds {
		if name := "crds/" + filepath.Base(crd); !slices.Contains(list.Resources, name) {
			t.Errorf("bundles/install/kustomization.yaml does not list %s", name)
		}
	}
}

func TestOurManifests(t *testing.T) {
	content, err := readManifests(manifests)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := adaptDeployments(decoded(t, string(content)), trust(""))
	if err != nil {
		t.Fatal(err)
	}
	var deployments int
	for _, u := range objects {
		switch u.GetKind() {
		case "Namespace":
			if got := u.GetLabels()["pod-security.kubernetes.io/enforce"]; got != "restricted" {
				t.Errorf("PodSecurity of namespace %s is %q, want restricted", u.GetName(), got)
			}
		case "Deployment":
			deployments++
			pod := deployment(t, u).Spec.Template.Spec
			if problem := unrestricted(pod); problem != "" {
				t.Error(problem)
			}
			for _, c := range pod.Containers {
				if c.Resources.Limits.Memory().IsZero() || c.LivenessProbe == nil || c.ReadinessProbe == nil {
					t.Errorf("container %s lacks a memory limit or a probe", c.Name)
				}
			}
		case "ClusterRole", "Role":
			var role rbacv1.ClusterRole
			if err := kruntime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &role); err != nil {
				t.Fatal(err)
			}
			for _, rule := range role.Rules {
				if slices.Contains(append(append(rule.Verbs, rule.Resources...), rule.APIGroups...), "*") {
					t.Errorf("role %s has a wildcard", role.Name)
				}
			}
		}
	}
	if deployments != 1 {
		t.Errorf("got %d Deployments, want the controller's", deployments)
	}
}

func TestBaseImageIsReproducible(t *testing.T) {
	var digests []string
	for range 2 {
		img, err := baseImage("amd64")
		if err != nil {
			t.Fatal(err)
		}
		digest, err := img.Digest()
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, digest.String())
	}
	if digests[0] != digests[1] {
		t.Errorf("two digests: %v", digests)
	}
}
