package snapshotgc_test

import (
	"os"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	"sigs.k8s.io/yaml"

	"github.com/headrace-ci/headrace/pkg/snapshot"
	"github.com/headrace-ci/headrace/pkg/snapshotgc"
)

// TestShipped runs the program's command line of bundles/install, as far as it
// goes without a cluster.
func TestShipped(t *testing.T) {
	raw, err := os.ReadFile("../../bundles/install/snapshot-gc.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, document, ok := strings.Cut(string(raw), "\n---\n")
	if !ok {
		t.Fatal("the file has one document")
	}
	var job batchv1.CronJob
	if err := yaml.UnmarshalStrict([]byte(document), &job); err != nil {
		t.Fatal(err)
	}
	spec := job.Spec.JobTemplate.Spec.Template.Spec
	command := snapshotgc.Command()
	if err := command.ParseFlags(spec.Containers[0].Args); err != nil {
		t.Fatal(err)
	}
	var got snapshot.Limits
	for name, into := range map[string]*int{
		"pr-snapshots-to-keep": &got.PullRequest, "non-pr-snapshots-to-keep": &got.Other, "min-snapshots-to-keep-per-component": &got.PerComponent,
	} {
		if *into, err = command.Flags().GetInt(name); err != nil {
			t.Fatal(err)
		}
	}
	if got != snapshot.ShippedLimits {
		t.Errorf("it keeps %+v, want %+v", got, snapshot.ShippedLimits)
	}
	if job.Spec.ConcurrencyPolicy != batchv1.ForbidConcurrent {
		t.Error("two collectors may run at once")
	}
}
