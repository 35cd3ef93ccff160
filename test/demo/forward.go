package demo

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Sources returns the address that builds know the git server and module
// proxy by, and one that leads there from here as long as ctx lasts: the same
// one where the cluster's names are known, as inside the embedded cluster.
func (d *Demo) Sources(ctx context.Context) (inside, here string, err error) {
	if _, err := net.DefaultResolver.LookupHost(ctx, strings.TrimPrefix(sourcesHost, "http://")); err == nil {
		return sourcesHost, sourcesHost, nil
	}
	address, err := d.forward(ctx, sourcesNamespace, "sources", 8080)
	return sourcesHost, "http://" + address, err
}

// forward opens a way from a port of this machine to port of a ready pod of
// app, and returns its address. It works on every cluster the API server of
// which can be reached, and ends with ctx.
func (d *Demo) forward(ctx context.Context, namespace, app string, port int) (string, error) {
	var pods corev1.PodList
	err := d.client.List(ctx, &pods, client.InNamespace(namespace), client.MatchingLabels{"app": app})
	if err != nil {
		return "", err
	}
	name := ""
	for _, pod := range pods.Items {
		if pod.DeletionTimestamp.IsZero() && pod.Status.Phase == corev1.PodRunning {
			name = pod.Name
		}
	}
	if name == "" {
		return "", fmt.Errorf("no pod of %s/%s is running", namespace, app)
	}
	clients, err := kubernetes.NewForConfig(d.rest)
	if err != nil {
		return "", err
	}
	roundTripper, upgrader, err := spdy.RoundTripperFor(d.rest)
	if err != nil {
		return "", err
	}
	url := clients.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name(name).SubResource("portforward").URL()
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: roundTripper}, http.MethodPost, url)
	ready := make(chan struct{})
	forwarder, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"},
		[]string{fmt.Sprintf("0:%d", port)}, ctx.Done(), ready, io.Discard, io.Discard)
	if err != nil {
		return "", err
	}
	failed := make(chan error, 1)
	go func() { failed <- forwarder.ForwardPorts() }()
	select {
	case <-ready:
	case err := <-failed:
		return "", fmt.Errorf("forwarding to %s/%s: %w", namespace, name, err)
	case <-ctx.Done():
		return "", ctx.Err()
	}
	ports, err := forwarder.GetPorts()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("127.0.0.1:%d", ports[0].Local), nil
}
