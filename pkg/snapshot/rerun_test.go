package snapshot_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

var now = time.Unix(1000, 0).UTC()

func TestDecideRerun(t *testing.T) {
	scenarios := map[string]*v1beta2.IntegrationTestScenario{}
	for name, context := range map[string]string{"smoke": "all", "soak": "all", "never": "disabled"} {
		s := smoke(nil)
		s.Name, s.Spec.Contexts = name, []v1beta2.TestContext{{Name: context}}
		scenarios[name] = s
	}
	ended := snapshot.Tests{{Scenario: "smoke", Status: snapshot.TestFail}, {Scenario: "soak", Status: snapshot.Deleted}}
	runs := snapshot.Tests{{Scenario: "smoke", Status: snapshot.InProgress}, {Scenario: "soak", Status: snapshot.TestFail}}
	pending := snapshot.Tests{{Scenario: "smoke", Status: snapshot.InProgress}, {Scenario: "soak", Status: snapshot.Pending}}
	cases := map[string]struct {
		wanted string
		tests  snapshot.Tests
		start  []string
		says   string
	}{
		"one that ended":                {"smoke", ended, []string{"smoke"}, "Started: smoke"},
		"one that never ran":            {"smoke", nil, []string{"smoke"}, "Started: smoke"},
		"one that does not apply":       {"never", ended, []string{"never"}, "Started: never"},
		"one that runs":                 {"smoke", runs, nil, "AlreadyRunning: smoke has not ended"},
		"all":                           {"all", ended, []string{"smoke", "soak"}, "Started: smoke, soak"},
		"all, of which one runs":        {"all", runs, []string{"soak"}, "Started: soak; not smoke, which has not ended"},
		"all, of which all run or will": {"all", pending, nil, "AlreadyRunning: smoke, soak"},
		"one that nobody knows":         {"smok", ended, nil, `UnknownScenario: there is no IntegrationTestScenario "smok" for Application shop in namespace dev: set label test.appstudio.openshift.io/run`},
		"nothing":                       {"", ended, nil, "UnknownScenario"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := snapshot.DecideRerun(tc.wanted, scenarios, tc.tests, labelled(nil, nil))
			if diff := cmp.Diff(tc.start, got.Start); diff != "" || !strings.Contains(got.Text(), tc.says) {
				t.Errorf("it says %q and starts (-want +got):\n%s", got.Text(), diff)
			}
		})
	}
	if got := snapshot.DecideRerun("all", nil, nil, labelled(nil, nil)); got.Reason != snapshot.NothingToRun {
		t.Errorf("without scenarios it says %q", got.Text())
	}
}
