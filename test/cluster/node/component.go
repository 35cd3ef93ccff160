package node

import "path/filepath"

// Component is a program of the node, which is started again when it ends.
type Component struct {
	Name string
	Args []string // the program first
	// After are the gates that must have opened before it starts.
	After []Gate
}

// Gate is a state of the cluster that others wait for.
type Gate string

// The gates, in the order they open.
const (
	EtcdUp    Gate = "etcd"
	APIReady  Gate = "readyz"
	RBACReady Gate = "rbac" // the rules that the components' first reads need
)

// Programs are the paths of what the components run.
type Programs struct {
	Kube    string // the multi-call binary of test/cluster/kube
	DNS     string
	Cluster string // this program
}

// Components are all of the node's.
func (l Layout) Components(p Programs) []Component {
	kube := func(name string, flags ...string) []string { return append([]string{p.Kube, name}, flags...) }
	return []Component{
		{Name: "containerd", Args: []string{"containerd", "--config", l.Path("containerd.toml")}},
		{Name: "registry", Args: []string{p.Cluster, "registry"}},
		{Name: "etcd", Args: kube("etcd",
			"--name=node1", "--data-dir="+l.Path("etcd"), "--unsafe-no-fsync", "--log-level=warn",
			"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
			"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
			"--initial-cluster=node1=http://127.0.0.1:2380")},
		{Name: "kube-apiserver", After: []Gate{EtcdUp}, Args: kube("kube-apiserver", l.apiserver()...)},
		{Name: "kube-controller-manager", After: []Gate{APIReady, RBACReady}, Args: kube("kube-controller-manager",
			append(l.component("controller-manager"),
				"--service-account-private-key-file="+l.PKI("sa.key"), "--root-ca-file="+l.PKI("ca.crt"),
				"--cluster-signing-cert-file="+l.PKI("ca.crt"), "--cluster-signing-key-file="+l.PKI("ca.key"),
				"--use-service-account-credentials=true", "--leader-elect=false", "--allocate-node-cidrs=false",
				"--enable-hostpath-provisioner=true")...)},
		{Name: "kube-scheduler", After: []Gate{APIReady, RBACReady},
			Args: kube("kube-scheduler", append(l.component("scheduler"), "--leader-elect=false")...)},
		{Name: "dns", After: []Gate{APIReady}, Args: []string{p.DNS, "-conf", l.Path("Corefile")}},
		{Name: "kubelet", After: []Gate{APIReady, RBACReady}, Args: kube("kubelet",
			"--config="+l.Path("kubelet.yaml"), "--kubeconfig="+l.PKI("kubelet.kubeconfig"),
			"--hostname-override="+Name, "--node-ip="+Address, "--root-dir="+l.Path("kubelet"))},
		{Name: "kube-proxy", After: []Gate{APIReady, RBACReady}, Args: kube("kube-proxy",
			"--kubeconfig="+l.PKI("proxy.kubeconfig"), "--hostname-override="+Name, "--proxy-mode=nftables",
			"--cluster-cidr="+PodRange, "--metrics-bind-address=127.0.0.1:10249",
			// Sysctls of the host's, which a namespace may not write.
			"--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0s", "--conntrack-tcp-timeout-close-wait=0s")},
	}
}

func (l Layout) component(user string) []string {
	config := l.PKI(user + ".kubeconfig")
	return []string{
		"--kubeconfig=" + config, "--authentication-kubeconfig=" + config, "--authorization-kubeconfig=" + config,
		"--bind-address=127.0.0.1",
	}
}

func (l Layout) apiserver() []string {
	return []string{
		"--etcd-servers=http://127.0.0.1:2379", "--service-cluster-ip-range=" + ServiceRange,
		"--advertise-address=" + Address, "--bind-address=0.0.0.0", "--secure-port=6443",
		"--tls-cert-file=" + l.PKI("apiserver.crt"), "--tls-private-key-file=" + l.PKI("apiserver.key"),
		"--client-ca-file=" + l.PKI("ca.crt"), "--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--service-account-key-file=" + l.PKI("sa.pub"), "--service-account-signing-key-file=" + l.PKI("sa.key"),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--kubelet-client-certificate=" + l.PKI("apiserver-kubelet-client.crt"),
		"--kubelet-client-key=" + l.PKI("apiserver-kubelet-client.key"),
		"--kubelet-certificate-authority=" + l.PKI("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
		"--allow-privileged=true", "--profiling=false",
	}
}

// Volumes is where the host-path provisioner puts its volumes: the place is
// fixed, so ours is mounted over it.
func Volumes() string { return filepath.Join("/tmp", "hostpath_pv") }
