package install

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kruntime "k8s.io/apimachinery/pkg/runtime"
)

const tektonManifests = `
apiVersion: v1
kind: ConfigMap
metadata: {name: feature-flags, namespace: tekton-pipelines}
data: {coschedule: workspaces, results-from: termination-message}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: tekton-pipelines-webhook, namespace: tekton-pipelines}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: tekton-pipelines-remote-resolvers, namespace: tekton-pipelines-resolvers}
spec:
  selector: {matchLabels: {app: resolvers}}
  template:
    metadata: {labels: {app: resolvers}}
    spec:
      containers:
        - name: controller
          image: registry/resolvers
          command: [/sbin/tini, --, /ko-app/resolvers]
          readinessProbe: {httpGet: {path: /readiness, port: probes}, initialDelaySeconds: 5, periodSeconds: 10}
          env: [{name: SSL_CERT_FILE, value: /etc/config-registry-cert/cert}]
`

func decoded(t *testing.T, manifests string) []*unstructured.Unstructured {
	t.Helper()
	objects, err := decode([]byte(manifests))
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func deployment(t *testing.T, u *unstructured.Unstructured) *appsv1.Deployment {
	t.Helper()
	var d appsv1.Deployment
	if err := kruntime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &d); err != nil {
		t.Fatal(err)
	}
	return &d
}

func TestTektonIsAdapted(t *testing.T) {
	objects, err := adaptTekton(decoded(t, tektonManifests), trust("certificate"))
	if err != nil {
		t.Fatal(err)
	}
	if len(objects) != 2 {
		t.Fatalf("got %d objects, want 2: the autoscaler goes", len(objects))
	}
	flags, _, err := unstructured.NestedStringMap(objects[0].Object, "data")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"coschedule": "disabled", "enable-provenance-in-status": "true",
		"set-security-context": "true", "results-from": "termination-message",
	}
	if diff := cmp.Diff(want, flags); diff != "" {
		t.Errorf("feature flags (-want +got):\n%s", diff)
	}
	if _, ok := objects[1].Object["status"]; ok {
		t.Error("the Deployment is applied with a status")
	}
	pod := deployment(t, objects[1]).Spec.Template
	c := pod.Spec.Containers[0]
	if diff := cmp.Diff([]string{"/ko-app/resolvers"}, c.Command); diff != "" {
		t.Errorf("command (-want +got):\n%s", diff)
	}
	if c.ReadinessProbe.InitialDelaySeconds != 1 {
		t.Errorf("ready after %d s at the earliest, want 1", c.ReadinessProbe.InitialDelaySeconds)
	}
	env := []corev1.EnvVar{{Name: "SSL_CERT_FILE", Value: "/mnt/trusted-ca/ca-bundle.crt"}, {Name: "SSL_CERT_DIR", Value: "/etc/ssl/certs"}}
	if diff := cmp.Diff(env, c.Env); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	other := &appsv1.Deployment{}
	trust("another certificate")(other)
	if pod.Annotations[trustAnnotation] == other.Spec.Template.Annotations[trustAnnotation] {
		t.Error("a pod does not start anew when what it trusts changes")
	}
}

const chainsManifests = `
apiVersion: v1
kind: Namespace
metadata: {name: tekton-chains, labels: {app.kubernetes.io/part-of: tekton-chains}}
---
apiVersion: v1
kind: Secret
metadata: {name: signing-secrets, namespace: tekton-chains}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: chains-config, namespace: tekton-chains}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: tekton-chains-controller, namespace: tekton-chains}
spec:
  selector: {matchLabels: {app: chains}}
  template:
    metadata: {labels: {app: chains}}
    spec:
      containers:
        - {name: tekton-chains-controller, image: registry/controller, securityContext: {runAsUser: 65532}}
`

func TestChainsIsAdapted(t *testing.T) {
	objects, err := adaptChains(decoded(t, chainsManifests), trust(""))
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, u := range objects {
		kinds = append(kinds, u.GetKind())
	}
	if diff := cmp.Diff([]string{"Namespace", "ConfigMap", "Deployment"}, kinds); diff != "" {
		t.Fatalf("kinds (-want +got); an empty Secret would overwrite the key:\n%s", diff)
	}
	if got := objects[0].GetLabels()["pod-security.kubernetes.io/enforce"]; got != "restricted" {
		t.Errorf("PodSecurity of the namespace is %q, want restricted", got)
	}
	config, _, err := unstructured.NestedStringMap(objects[1].Object, "data")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(chainsConfig, config); diff != "" {
		t.Errorf("chains-config (-want +got):\n%s", diff)
	}
	if problem := unrestricted(deployment(t, objects[2]).Spec.Template.Spec); problem != "" {
		t.Error(problem)
	}
}

// unrestricted says what keeps a pod out of a namespace with PodSecurity
// restricted, or nothing.
func unrestricted(pod corev1.PodSpec) string {
	is := func(b *bool, want bool) bool { return b != nil && *b == want }
	for _, c := range append(pod.InitContainers, pod.Containers...) {
		s, p := c.SecurityContext, pod.SecurityContext
		if s == nil {
			return c.Name + " has no security context"
		}
		if p == nil {
			p = &corev1.PodSecurityContext{}
		}
		switch {
		case !is(s.RunAsNonRoot, true) && !is(p.RunAsNonRoot, true):
			return c.Name + " may run as root"
		case !is(s.AllowPrivilegeEscalation, false):
			return c.Name + " may escalate"
		case !is(s.ReadOnlyRootFilesystem, true) && s.ReadOnlyRootFilesystem != nil:
			return c.Name + " may write to its root file system"
		case s.Capabilities == nil || !cmp.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}):
			return c.Name + " keeps capabilities"
		case s.SeccompProfile == nil && p.SeccompProfile == nil:
			return c.Name + " has no seccomp profile"
		}
	}
	return ""
}

func TestTheDevelopmentVersionIsReplaced(t *testing.T) {
	objects := decoded(t, `
apiVersion: v1
kind: ConfigMap
metadata: {name: pipelines-info, labels: {version: devel}}
data: {version: devel, note: a development version}
`)
	replaceStrings(objects[0].Object, "devel", "v1.2.3")
	data, _, _ := unstructured.NestedStringMap(objects[0].Object, "data")
	if diff := cmp.Diff(map[string]string{"version": "v1.2.3", "note": "a development version"}, data); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := objects[0].GetLabels()["version"]; got != "v1.2.3" {
		t.Errorf("label is %q", got)
	}
}

func TestPinnedVersions(t *testing.T) {
	for _, p := range []pin{tekton, chains} {
		version, err := p.version("../..")
		if err != nil || version == "" {
			t.Errorf("%s: %q, %v", p.title, version, err)
		}
	}
}

func TestImages(t *testing.T) {
	const digest = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	manifests := "image: r.example:5000/x/platform/tekton/nop" + digest + "\nargs: [r.example:5000/x/platform/tekton/nop" + digest +
		"]\nimage: elsewhere/y" + digest + "\n"
	want := []string{"r.example:5000/x/platform/tekton/nop" + digest}
	if diff := cmp.Diff(want, images([]byte(manifests), "r.example:5000/x")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
