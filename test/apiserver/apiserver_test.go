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
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/headrace-ci/headrace/pkg/controllers/manager"
	"github.com/headrace-ci/headrace/pkg/run"
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
	ctx := context.Background()
	ctrl.SetLogger(zap.New(zap.WriteTo(io.Discard)))
	kube, err := output(ctx, filepath.Join(root, "bin/cluster"), "build", "--print=kube")
	if err != nil {
		return 0, fmt.Errorf("finding the API server's program, which `make apiserver` builds: %w", err)
	}
	tekton, err := output(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/tektoncd/pipeline")
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "apiserver-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"etcd", "kube-apiserver", "kubectl"} {
		if err := os.Symlink(kube, filepath.Join(dir, name)); err != nil {
			return 0, err
		}
	}
	env := &envtest.Environment{
		BinaryAssetsDirectory: dir, ErrorIfCRDPathMissing: true, ControlPlaneStartTimeout: time.Minute,
		CRDDirectoryPaths: []string{
			filepath.Join(root, "bundles/install/crds"),
			filepath.Join(tekton, "config/300-crds/300-pipelinerun.yaml"), filepath.Join(tekton, "config/300-crds/300-taskrun.yaml"),
			filepath.Join(tekton, "config/300-crds/300-resolutionrequest.yaml"),
		},
	}
	// As on clusters that are strict about who owns what: nobody may block the
	// deletion of what they may not finalize.
	env.ControlPlane.GetAPIServer().Configure().Append("enable-admission-plugins", "OwnerReferencesPermissionEnforcement")
	if config, err = env.Start(); err != nil {
		return 0, fmt.Errorf("starting the API server: %w", err)
	}
	code := tests()
	return code, env.Stop()
}

func output(ctx context.Context, name string, args ...string) (string, error) {
	raw, err := run.Output(ctx, name, args...)
	return strings.TrimSpace(string(raw)), err
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
