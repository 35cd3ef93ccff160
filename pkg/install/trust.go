package install

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The ConfigMap by which namespaces trust more than the system's certificates,
// and its key: upstream's names, which Tasks and teams know.
const (
	trustedCAName = "trusted-ca"
	trustedCAKey  = "ca-bundle.crt"
	trustedCADir  = "/mnt/trusted-ca"
)

// systemCertificates is where Debian and most images keep them.
const systemCertificates = "/etc/ssl/certs/ca-certificates.crt"

// trustAnnotation makes pods start anew when what they trust changes: Go
// programs read it once.
const trustAnnotation = "headrace.dev/trusted-ca"

// extraCertificates are those of file that the system does not have already.
func extraCertificates(file, system string) (string, error) {
	if file == "" || file == system {
		return "", nil
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("reading the certificates to trust: %w", err)
	}
	known := map[string]bool{}
	if raw, err := os.ReadFile(system); err == nil {
		for _, block := range certificates(raw) {
			known[string(block.Bytes)] = true
		}
	}
	var extra bytes.Buffer
	for _, block := range certificates(content) {
		if known[string(block.Bytes)] {
			continue
		}
		if err := pem.Encode(&extra, &pem.Block{Type: block.Type, Bytes: block.Bytes}); err != nil {
			return "", err
		}
	}
	return extra.String(), nil
}

func certificates(raw []byte) []*pem.Block {
	var blocks []*pem.Block
	for {
		block, rest := pem.Decode(raw)
		if block == nil {
			return blocks
		}
		if block.Type == "CERTIFICATE" {
			blocks = append(blocks, block)
		}
		raw = rest
	}
}

// trustedCA is the ConfigMap that a namespace trusts by, or nil where the
// system's certificates do.
func (in *Installer) trustedCA(namespace string) *unstructured.Unstructured {
	if in.CA == "" {
		return nil
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": trustedCAName, "namespace": namespace},
		"data":     map[string]any{trustedCAKey: in.CA},
	}}
}

// trust makes a program trust the certificates of its namespace's ConfigMap,
// if there is one, besides the system's.
func trust(ca string) edit {
	sum := sha256.Sum256([]byte(ca))
	digest := hex.EncodeToString(sum[:8])
	return func(d *appsv1.Deployment) {
		optional := true
		pod := &d.Spec.Template
		if pod.Annotations == nil {
			pod.Annotations = map[string]string{}
		}
		pod.Annotations[trustAnnotation] = digest
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: trustedCAName, VolumeSource: corev1.VolumeSource{
			ConfigMap: &corev1.ConfigMapVolumeSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: trustedCAName}, Optional: &optional,
				Items: []corev1.KeyToPath{{Key: trustedCAKey, Path: trustedCAKey}},
			},
		}})
		for i := range pod.Spec.Containers {
			c := &pod.Spec.Containers[i]
			c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: trustedCAName, MountPath: trustedCADir, ReadOnly: true})
			setEnv(c, "SSL_CERT_FILE", trustedCADir+"/"+trustedCAKey)
			setEnv(c, "SSL_CERT_DIR", "/etc/ssl/certs")
		}
	}
}

func setEnv(c *corev1.Container, name, value string) {
	for i := range c.Env {
		if c.Env[i].Name == name {
			c.Env[i] = corev1.EnvVar{Name: name, Value: value}
			return
		}
	}
	c.Env = append(c.Env, corev1.EnvVar{Name: name, Value: value})
}
