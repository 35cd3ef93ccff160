package install

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/headrace-ci/headrace/pkg/tekton/catalog"
)

const reporter = "registry.example.com/catalog/task-report-status:0.1.0@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestReporting(t *testing.T) {
	c := fake.NewClientBuilder().Build()
	var out bytes.Buffer
	in := New(Options{Timeout: time.Minute}, c, &out)
	for range 2 {
		if err := in.Reporting(t.Context(), reporter); err != nil {
			t.Fatal(err)
		}
	}
	var config corev1.ConfigMap
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "headrace-system", Name: "reporting"}, &config); err != nil || config.Data["bundle"] != reporter {
		t.Errorf("the ConfigMap holds %v, %v", config.Data, err)
	}
	for _, wrong := range []string{"", "registry.example.com/task:0.1.0", "Registry@sha256:12"} {
		if err := in.Reporting(t.Context(), wrong); err == nil || !strings.Contains(err.Error(), "--bundle") {
			t.Errorf("%q: %v, want a refusal", wrong, err)
		}
	}
}

// TestPublishedReporter is what the lock of the last publication says.
func TestPublishedReporter(t *testing.T) {
	t.Setenv("HEADRACE_CACHE", t.TempDir())
	if _, err := publishedReporter(""); err == nil || !strings.Contains(err.Error(), "--bundle") {
		t.Errorf("without a registry: %v", err)
	}
	if _, err := publishedReporter("registry.example.com"); err == nil || !strings.Contains(err.Error(), "make catalog") {
		t.Errorf("without a lock: %v", err)
	}
	file := catalog.LockFile("registry.example.com")
	for content, want := range map[string]string{"tasks: {}\n": "has no task report-status", "tasks: {report-status: " + reporter + "}\n": ""} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := publishedReporter("registry.example.com")
		if want == "" && (err != nil || got != reporter) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("with %q: %q, %v", content, got, err)
		}
	}
}
