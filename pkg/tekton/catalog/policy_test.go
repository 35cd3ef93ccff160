package catalog_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/headrace-ci/headrace/pkg/tekton/catalog"
)

// TestTrustOutlivesATask goes through three publications: what was built with
// a task must stay releasable for a while after a newer one came.
func TestTrustOutlivesATask(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	publish := func(before []byte, now time.Time, tasks map[string]string) []byte {
		t.Helper()
		data, err := catalog.TrustedTasks(tasks, before, now)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	first := publish(nil, start, map[string]string{"init": "r/task-init:1.0.0@sha256:a"})
	again := publish(first, start.Add(time.Hour), map[string]string{"init": "r/task-init:1.0.0@sha256:a"})
	if diff := cmp.Diff(string(first), string(again)); diff != "" {
		t.Errorf("publishing the same changed the data (-first +again):\n%s", diff)
	}
	second := publish(again, start.Add(time.Hour), map[string]string{"init": "r/task-init:1.1.0@sha256:b"})
	want := map[string]any{"trusted_tasks": map[string]any{
		"oci://r/task-init:1.0.0": []any{map[string]any{"ref": "sha256:a", "effective_on": "2026-01-01T00:00:00Z", "expires_on": "2026-03-02T01:00:00Z"}},
		"oci://r/task-init:1.1.0": []any{map[string]any{"ref": "sha256:b", "effective_on": "2026-01-01T01:00:00Z"}},
	}}
	var got map[string]any
	if err := yaml.Unmarshal(second, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("after a new version (-want +got):\n%s", diff)
	}
	last := publish(second, start.Add(100*24*time.Hour), map[string]string{"init": "r/task-init:1.1.0@sha256:b"})
	if err := yaml.Unmarshal(last, &got); err != nil {
		t.Fatal(err)
	}
	if left := got["trusted_tasks"].(map[string]any)["oci://r/task-init:1.0.0"]; len(left.([]any)) != 0 {
		t.Errorf("long after, %v is still there", left)
	}
	if _, err := catalog.TrustedTasks(map[string]string{"init": "r/task-init:1.0.0"}, nil, start); err == nil {
		t.Error("a bundle without digest was trusted")
	}
}
