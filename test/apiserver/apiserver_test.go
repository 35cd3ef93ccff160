//go:build apiserver

// Package apiserver_test holds the schema's rules and the reconcilers against
// a real etcd and kube-apiserver, those of the embedded cluster. No kubelet
// and no Tekton runs: a test plays their part, and so can stop where it wants.
package apiserver_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/headrace-ci/headrace/pkg/controllers/manager"
	"github.com/headrace-ci/headrace/pkg/run"
	"github.com/headrace-ci/headrace/test/fixture/kube"
)

const root = "../.."

// config is how to reach the API server, as its administrator.
var config *rest.Config

func TestMain(m *testing.M) {
	code, err := withAPIServer(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withAPIServer(tests func() int) (int, error) {
	ctrl.SetLogger(zap.New(zap.WriteTo(io.Discard)))
	server, err := kube.Start(context.Background(), nil)
	if err != nil {
		return 0, err
	}
	config = server.Config
	code := tests()
	return code, server.Stop()
}

func output(ctx context.Context, name string, args ...string) (string, error) {
	raw, err := run.Output(ctx, name, args...)
	return strings.TrimSpace(string(raw)), err
}

// ensure creates what several tests need, once.
func ensure(t *testing.T, c client.Client, o client.Object) {
	t.Helper()
	kube.Ensure(t, c, o)
}

// documents reads every object of a YAML file.
func documents(t *testing.T, file string) []*unstructured.Unstructured {
	t.Helper()
	return kube.Documents(t, file)
}

// newClient is a client without a cache: it sees what is there now.
func newClient(t *testing.T) client.Client {
	t.Helper()
	c, err := client.New(config, client.Options{Scheme: manager.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// namespace makes a namespace of the test's own and returns its name.
func namespace(t *testing.T, c client.Client) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	if err := c.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	return ns.Name
}

// create creates objects, which a test needs to go on.
func create(t *testing.T, c client.Client, objects ...client.Object) {
	t.Helper()
	for _, o := range objects {
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatalf("creating %T %s: %v", o, o.GetName(), err)
		}
	}
}

// eventually waits until check is content.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatalf("%s: %v", what, err)
}
