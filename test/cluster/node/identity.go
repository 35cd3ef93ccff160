package node

import (
	"fmt"
	"os"

	"github.com/headrace-ci/headrace/test/cluster/pki"
)

var serverHosts = []string{
	Address, "10.96.0.1", "127.0.0.1", "localhost", Name, "kubernetes", "kubernetes.default", "kubernetes.default.svc",
	"kubernetes.default.svc.cluster.local",
}

// users are the components that talk to the API server, each as itself.
var users = map[string]pki.Identity{
	"admin.kubeconfig":              {Name: "admin", User: "admin", Groups: []string{"system:masters"}},
	"controller-manager.kubeconfig": {Name: "controller-manager", User: "system:kube-controller-manager"},
	"scheduler.kubeconfig":          {Name: "scheduler", User: "system:kube-scheduler"},
	"kubelet.kubeconfig":            {Name: "kubelet", User: "system:node:" + Name, Groups: []string{"system:nodes"}},
	"proxy.kubeconfig":              {Name: "proxy", User: "system:kube-proxy"},
	"dns.kubeconfig":                {Name: "dns", User: "headrace:dns"},
}

// WriteIdentities makes the certificates and kubeconfigs that are missing.
// hostAPI is the API server's address on the host's loopback.
func (l Layout) WriteIdentities(hostAPI string) error {
	ca, err := pki.Open(l.Path("pki"))
	if err != nil {
		return fmt.Errorf("opening the cluster's authority: %w", err)
	}
	if err := ca.SigningKey(); err != nil {
		return err
	}
	for _, id := range []pki.Identity{
		{Name: "apiserver", User: "kube-apiserver", Hosts: serverHosts},
		{Name: "apiserver-kubelet-client", User: "kube-apiserver-kubelet-client", Groups: []string{"system:masters"}},
		{Name: "kubelet-server", User: "system:node:" + Name, Hosts: []string{Address, Name}},
		{Name: "registry", User: "registry", Hosts: []string{RegistryHost, Address, "127.0.0.1", "localhost"}},
	} {
		if err := ca.Issue(id); err != nil {
			return err
		}
	}
	for file, id := range users {
		if err := ca.Kubeconfig(l.PKI(file), APIServer, id); err != nil {
			return err
		}
	}
	if err := ca.Kubeconfig(l.Path("kubeconfig"), APIServer, users["admin.kubeconfig"]); err != nil {
		return err
	}
	if err := ca.Kubeconfig(l.Path("kubeconfig-host"), "https://"+hostAPI, users["admin.kubeconfig"]); err != nil {
		return err
	}
	return l.writeBundle()
}

// writeBundle joins the system's certificates and ours, for programs that take
// one file.
func (l Layout) writeBundle() error {
	bundle, err := os.ReadFile(systemCertificates)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	ours, err := os.ReadFile(l.PKI("ca.crt"))
	if err != nil {
		return err
	}
	return os.WriteFile(l.Path("ca-bundle.crt"), append(bundle, ours...), 0o644)
}
