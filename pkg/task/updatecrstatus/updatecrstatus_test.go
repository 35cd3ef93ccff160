package updatecrstatus_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/artifact"
	"github.com/headrace-ci/headrace/pkg/releasedata"
	"github.com/headrace-ci/headrace/pkg/task/updatecrstatus"
	"github.com/headrace-ci/headrace/test/fixture"
)

func cluster(t *testing.T) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	release := &v1alpha1.Release{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "rel"}}
	release.Status.Artifacts = &runtime.RawExtension{Raw: []byte(`{"earlier":true}`)}
	return fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(release).WithObjects(release).Build()
}

func options(dir string, c client.Client) updatecrstatus.Options {
	return updatecrstatus.Options{
		Folder: releasedata.Folder{Dir: dir}, ResourceType: "release", StatusKey: "artifacts", Resource: "team/rel",
		ResultsDirPath: "results", Client: c,
	}
}

func artifacts(t *testing.T, c client.Client) map[string]any {
	t.Helper()
	var release v1alpha1.Release
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "team", Name: "rel"}, &release); err != nil {
		t.Fatal(err)
	}
	var found map[string]any
	if err := json.Unmarshal(release.Status.Artifacts.Raw, &found); err != nil {
		t.Fatal(err)
	}
	return found
}

func TestResultsOfParallelBranches(t *testing.T) {
	store := fixture.Registry(t) + "/data"
	var args []string
	dir := filepath.Join(t.TempDir(), "release")
	for _, branch := range []string{"a", "b"} {
		folder := releasedata.Folder{Dir: t.TempDir()}
		if err := folder.Write("results/"+branch+".json", map[string]any{branch: branch}); err != nil {
			t.Fatal(err)
		}
		uris, err := artifact.Create(t.Context(), artifact.CreateOptions{Store: store + ":" + branch, Paths: map[string]string{"U": folder.Dir}})
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, uris["U"]+"="+dir)
	}
	c := cluster(t)
	opts := options(dir, c)
	opts.Artifacts = args

	if err := updatecrstatus.Run(t.Context(), opts); err != nil {
		t.Fatal(err)
	}

	want := map[string]any{"a": "a", "b": "b", "earlier": true}
	if diff := cmp.Diff(want, artifacts(t, c)); diff != "" {
		t.Errorf("artifacts (-want +got):\n%s", diff)
	}
}

func TestRefuses(t *testing.T) {
	uri := "oci:registry.test/x@sha256:" + strings.Repeat("0", 64)
	cases := map[string]struct {
		change func(*updatecrstatus.Options)
		text   string
	}{
		"another kind":                {change: func(o *updatecrstatus.Options) { o.ResourceType = "pod" }, text: `--resource-type: "pod"`},
		"another field":               {change: func(o *updatecrstatus.Options) { o.StatusKey = "conditions" }, text: `--status-key: "conditions"`},
		"no namespace":                {change: func(o *updatecrstatus.Options) { o.Resource = "rel" }, text: "--resource:"},
		"no results":                  {change: func(o *updatecrstatus.Options) { o.ResultsDirPath = "" }, text: "--results-dir-path:"},
		"an artifact elsewhere":       {change: func(o *updatecrstatus.Options) { o.Artifacts = []string{uri + "=/etc"} }, text: "outside the data folder"},
		"an artifact nowhere":         {change: func(o *updatecrstatus.Options) { o.Artifacts = []string{uri} }, text: "is not URI=FOLDER"},
		"a Release that is not there": {change: func(o *updatecrstatus.Options) { o.Resource = "team/other" }, text: `Release "team/other"`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := cluster(t)
			dir := t.TempDir()
			folder := releasedata.Folder{Dir: dir}
			if err := folder.Write("results/a.json", map[string]any{"a": 1}); err != nil {
				t.Fatal(err)
			}
			opts := options(dir, c)
			tc.change(&opts)
			if err := updatecrstatus.Run(t.Context(), opts); err == nil || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("Run() = %v, want an error with %q", err, tc.text)
			}
		})
	}
}
