package reducesnapshot_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/pkg/releasedata"
	"github.com/headrace-ci/headrace/pkg/task/reducesnapshot"
	"github.com/headrace-ci/headrace/test/fixture"
)

func TestReduce(t *testing.T) {
	registry := fixture.Registry(t)
	const typeLabel, componentLabel = "test.appstudio.openshift.io/type", "appstudio.openshift.io/component"
	cases := map[string]struct {
		single   string
		resource string
		labels   map[string]string
		want     []string
		text     string
	}{
		"of all":                    {single: "false", want: []string{"a", "b"}},
		"of the one that was built": {single: "true", labels: map[string]string{typeLabel: "component", componentLabel: "b"}, want: []string{"b"}},
		"of a group":                {single: "true", labels: map[string]string{typeLabel: "group"}, want: []string{"a", "b"}},
		"of one that is not there":  {single: "true", labels: map[string]string{typeLabel: "component", componentLabel: "c"}, text: "no such component"},
		"of another Snapshot's":     {single: "true", resource: "snapshot/other", text: "is not the Snapshot of this release"},
		"of something else":         {single: "true", resource: "pod/snap", text: "is not the Snapshot of this release"},
		"neither true nor false":    {single: "maybe", text: `"maybe" is neither`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			folder := releasedata.Folder{Dir: t.TempDir(), Storage: registry + "/data", Tag: "t"}
			component := func(name string) map[string]any { return map[string]any{"name": name, "containerImage": "x"} }
			err := errors.Join(
				folder.Write("sub/spec.json", map[string]any{"components": []any{component("a"), component("b")}}),
				folder.Write("sub/"+releasedata.SnapshotLabelsFile, map[string]any{"namespace": "team", "name": "snap", "labels": tc.labels}))
			if err != nil {
				t.Fatal(err)
			}
			resource := "snapshot/snap"
			if tc.resource != "" {
				resource = tc.resource
			}

			_, err = reducesnapshot.Run(t.Context(), reducesnapshot.Options{
				Folder: folder, Snapshot: "sub/spec.json", SnapshotPath: "sub/spec.json",
				SingleComponent: tc.single, CustomResource: resource, CustomResourceNS: "team",
			})

			if tc.text != "" {
				if err == nil || !strings.Contains(err.Error(), tc.text) {
					t.Fatalf("Run() = %v, want an error with %q", err, tc.text)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var after releasedata.Snapshot
			if err := folder.Read("sub/spec.json", &after); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, c := range after.Components {
				got = append(got, c.Name)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("components (-want +got):\n%s", diff)
			}
		})
	}
}
