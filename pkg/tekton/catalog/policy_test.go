package catalog

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/headrace-ci/headrace/pkg/tekton/bundle"
	"github.com/headrace-ci/headrace/test/fixture"
)

// TestReplacedBundlesStayTrusted publishes three times, a month apart.
func TestReplacedBundlesStayTrusted(t *testing.T) {
	const key = "oci://registry.example.com/task-hello:1.2.3"
	day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	publish := func(digest string, before []byte, at time.Time) []byte {
		t.Helper()
		text, err := TrustedTasks(map[string]string{"hello": "registry.example.com/task-hello:1.2.3@" + digest}, before, at)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	refs := func(text []byte) []string {
		t.Helper()
		var data struct {
			Trusted map[string][]trust `json:"trusted_tasks"`
		}
		if err := yaml.Unmarshal(text, &data); err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, entry := range data.Trusted[key] {
			end, _, _ := strings.Cut(entry.ExpiresOn, "T")
			all = append(all, entry.Ref+" "+end)
		}
		return all
	}

	first := publish("sha256:a", nil, day)
	if again := publish("sha256:a", first, day.AddDate(0, 0, 1)); string(again) != string(first) {
		t.Errorf("publishing the same again changed the data:\n%s\nand then\n%s", first, again)
	}
	second := publish("sha256:b", first, day.AddDate(0, 0, 30))
	if diff := cmp.Diff([]string{"sha256:b ", "sha256:a 2026-05-30"}, refs(second)); diff != "" {
		t.Errorf("trusted after a second bundle (-want +got):\n%s", diff)
	}
	third := publish("sha256:b", second, day.AddDate(0, 0, 100))
	if diff := cmp.Diff([]string{"sha256:b "}, refs(third)); diff != "" {
		t.Errorf("trusted long after (-want +got):\n%s", diff)
	}
}

// TestPublishedIsReadByDigest moves the tag, as somebody might.
func TestPublishedIsReadByDigest(t *testing.T) {
	repository := fixture.Registry(t) + "/catalog/data"
	push := func(text string) string {
		t.Helper()
		img, err := FileArtifact(map[string][]byte{"data/other.yml": []byte("other"), trustedTasksFile: []byte(text)}, dataLayer)
		if err != nil {
			t.Fatal(err)
		}
		ref, _, err := bundle.Push(t.Context(), repository, []string{"latest"}, img)
		if err != nil {
			t.Fatal(err)
		}
		return ref.String()
	}
	ours := push("ours")
	push("theirs")

	for digest, want := range map[string]string{
		ours: "ours", "": "", repository + "@sha256:" + strings.Repeat("0", 64): "",
	} {
		if got, err := published(t.Context(), digest, trustedTasksFile); err != nil || string(got) != want {
			t.Errorf("published(%q) = %q, %v; want %q", digest, got, err, want)
		}
	}
	if got, err := published(t.Context(), repository+":latest", trustedTasksFile); err == nil {
		t.Errorf("a tag was read: %q", got)
	}
}
