// Package node says how the one node of the embedded cluster is laid out: its
// addresses, its files below one state folder, the configuration of every
// component and the command line that starts it. It starts nothing.
package node

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
)

// The network of the node's namespace. Nothing routes out of it, so these can
// be the same in every instance.
const (
	Address      = "10.99.0.1"
	Gateway      = "10.99.0.254" // a neighbour that does not exist: nothing can leave
	PodRange     = "10.244.0.0/24"
	ServiceRange = "10.96.0.0/16"
	Name         = "node1"

	RegistryHost = "registry.test"
	RegistryPort = "5000"
	Registry     = RegistryHost + ":" + RegistryPort

	APIServer = "https://" + Address + ":6443"
)

// systemCertificates is Debian's bundle, which ca-certificates keeps.
const systemCertificates = "/etc/ssl/certs/ca-certificates.crt"

// Layout is the files of one instance.
type Layout struct{ State string }

// Default is the layout in $HEADRACE_STATE, or /var/lib/headrace.
func Default() Layout {
	state := os.Getenv("HEADRACE_STATE")
	if state == "" {
		state = "/var/lib/headrace"
	}
	return Layout{State: state}
}

// Path is a file or folder of the instance.
func (l Layout) Path(elem ...string) string {
	return filepath.Join(append([]string{l.State}, elem...)...)
}

// PKI is a file of the cluster's authority.
func (l Layout) PKI(name string) string { return l.Path("pki", name) }

// Log is the log of a component.
func (l Layout) Log(name string) string { return l.Path("log", name+".log") }

// Cgroup is the instance's control group, by a name that no other has.
func (l Layout) Cgroup() string {
	sum := sha256.Sum256([]byte(l.State))
	return "headrace-" + hex.EncodeToString(sum[:4])
}

// Environment is what a program needs to use the cluster from inside its
// namespaces.
func (l Layout) Environment() []string {
	return []string{
		"KUBECONFIG=" + l.Path("kubeconfig"),
		"REGISTRY=" + Registry,
		"SSL_CERT_FILE=" + l.Path("ca-bundle.crt"),
		"DOCKER_CONFIG=" + l.Path("docker"),
		"HEADRACE_STATE=" + l.State,
	}
}
