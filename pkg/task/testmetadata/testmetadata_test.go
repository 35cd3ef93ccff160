package testmetadata_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/pkg/task/testmetadata"
	"github.com/headrace-ci/headrace/pkg/tekton/snapshotparam"
	"github.com/headrace-ci/headrace/test/fixture"
)

const two = `{"application":"a","components":[
	{"name":"x","containerImage":"reg.example:5000/t/x@sha256:0000000000000000000000000000000000000000000000000000000000000000","source":{"git":{"url":"https://git.example/org/x.git","revision":"abc"}}},
	{"name":"y","containerImage":"reg.example:5000/t/y@sha256:0000000000000000000000000000000000000000000000000000000000000000"}]}`

func TestRun(t *testing.T) {
	env := map[string]string{"COMPONENT": "x", "EVENT_TYPE": "push"}
	want := map[string]string{
		"test-event-type": "push", "pull-request-number": "", "component-name": "x",
		"container-image": "reg.example:5000/t/x@sha256:" + strings.Repeat("0", 64), "container-repo": "reg.example:5000/t/x",
		"git-url": "https://git.example/org/x.git", "git-revision": "abc", "git-org": "org", "git-repo": "x",
	}
	got, err := testmetadata.Run(t.Context(), snapshotparam.Cluster{}, two, func(k string) string { return env[k] })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRunNamesWhatIsMissing(t *testing.T) {
	for component, want := range map[string]string{"": "2 components", "z": `no component "z"`} {
		_, err := testmetadata.Run(t.Context(), snapshotparam.Cluster{}, two, func(k string) string { return map[string]string{"COMPONENT": component}[k] })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Run() for %q = %v, want %q", component, err, want)
		}
	}
	for param, want := range map[string]string{`{"components": 1}`: "--snapshot", "no name": "neither a Snapshot's spec as JSON nor a Snapshot's name", "shop-1": "no account"} {
		_, err := testmetadata.Run(t.Context(), snapshotparam.Cluster{Dir: t.TempDir()}, param, func(string) string { return "" })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Run() of %q = %v, want %q", param, err, want)
		}
	}
}

func TestHostile(t *testing.T) {
	t.Setenv("COMPONENT", "x")
	fixture.Hostile(t, testmetadata.Command, "--snapshot="+two)
}
