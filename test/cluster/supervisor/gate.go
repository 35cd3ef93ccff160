package supervisor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/headrace-ci/headrace/test/cluster/node"
)

// paths are what an open gate answers on, at the API server. A controller
// manager that starts before these exist ends at once.
var paths = map[node.Gate][]string{
	node.APIReady: {"/readyz"},
	node.RBACReady: {
		"/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication",
		"/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/rolebindings/system::extension-apiserver-authentication-reader",
	},
}

// gates lets components wait for states of the cluster.
type gates struct {
	layout node.Layout
	client func() (*http.Client, error)
}

func newGates(l node.Layout) *gates {
	return &gates{layout: l, client: sync.OnceValues(func() (*http.Client, error) { return adminClient(l) })}
}

func adminClient(l node.Layout) (*http.Client, error) {
	cert, err := tls.LoadX509KeyPair(l.PKI("admin.crt"), l.PKI("admin.key"))
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(l.PKI("ca.crt"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: pool}}
	return &http.Client{Transport: transport, Timeout: 5 * time.Second}, nil
}

// wait returns when the gate is open, or ctx ends.
func (g *gates) wait(ctx context.Context, gate node.Gate) {
	for !g.open(ctx, gate) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (g *gates) open(ctx context.Context, gate node.Gate) bool {
	if gate == node.EtcdUp {
		conn, err := net.DialTimeout("tcp", "127.0.0.1:2379", time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}
	client, err := g.client()
	if err != nil {
		slog.Error("reading the admin's certificate", "error", err)
		return false
	}
	for _, path := range paths[gate] {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, node.APIServer+path, nil)
		if err != nil {
			return false
		}
		response, err := client.Do(request)
		if err != nil {
			return false
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return false
		}
	}
	return true
}
