package collectdata

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/headrace-ci/headrace/pkg/releasedata"
)

func object(spec map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"kind": "Release", "metadata": map[string]any{"namespace": "team", "name": "rel"}, "spec": spec,
	}}
}

func TestCheckData(t *testing.T) {
	cases := map[string]struct {
		data any
		want []string
	}{
		"no data":             {},
		"other release notes": {data: map[string]any{"releaseNotes": map[string]any{"synopsis": "x"}}},
		"the destination's":   {data: map[string]any{"releaseNotes": map[string]any{"product_name": "x", "cpe": "y"}}, want: []string{"cpe", "product_name"}},
		"of another type":     {data: map[string]any{"releaseNotes": "text"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			spec := map[string]any{}
			if tc.data != nil {
				spec["data"] = tc.data
			}
			var reserved *ReservedError
			errors.As(checkData(object(spec)), &reserved)
			var got []string
			if reserved != nil {
				got = reserved.Keys
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("keys refused (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPipelineOf(t *testing.T) {
	ref := func(params ...any) *unstructured.Unstructured {
		return object(map[string]any{"pipeline": map[string]any{"pipelineRef": map[string]any{"params": params}}})
	}
	param := func(name, value string) any { return map[string]any{"name": name, "value": value} }
	unknown := map[string]string{"org": "unknown", "repo": "unknown", "revision": "unknown", "pathinrepo": "unknown", "sha": "unknown"}
	cases := map[string]struct {
		admission *unstructured.Unstructured
		want      map[string]string // over unknown
	}{
		"nothing": {admission: object(map[string]any{})},
		"git": {
			admission: ref(param("url", "https://git.test/org/repo.git"), param("revision", "main"), param("pathInRepo", "p.yaml")),
			want:      map[string]string{"org": "org", "repo": "repo", "revision": "main", "pathinrepo": "p.yaml"},
		},
		"a bundle": {
			admission: ref(param("bundle", "registry.test/p@sha256:0")), want: map[string]string{"repo": "registry.test/p", "sha": "sha256:0"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			want := map[string]string{}
			for _, from := range []map[string]string{unknown, tc.want} {
				for k, v := range from {
					want[k] = v
				}
			}
			if diff := cmp.Diff(want, pipelineOf(tc.admission)); diff != "" {
				t.Errorf("metadata (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCollected(t *testing.T) {
	release := &unstructured.Unstructured{Object: map[string]any{"status": map[string]any{"collectors": map[string]any{
		"managed": map[string]any{"jira": map[string]any{"releaseNotes": map[string]any{"type": "RHSA"}}},
		"tenant":  map[string]any{"cve": map[string]any{"releaseNotes": map[string]any{"type": "RHBA", "cves": []any{"a"}}}},
	}}}}
	want := map[string]any{"releaseNotes": map[string]any{"type": "RHSA", "cves": []any{"a"}}}
	if diff := cmp.Diff(want, collected(release)); diff != "" {
		t.Errorf("collected (-want +got):\n%s", diff)
	}
}

func TestRunNamesWhatIsMissing(t *testing.T) {
	good := Options{
		Folder: releasedata.Folder{Dir: t.TempDir()}, Release: "team/rel", Plan: "team/plan", Admission: "managed/app",
		Config: "system/config", Snapshot: "team/snap", Client: fake.NewClientBuilder().Build(),
	}
	cases := map[string]struct {
		change func(*Options)
		text   string
	}{
		"an object that is not there": {change: func(*Options) {}, text: `reading Release "team/rel"`},
		"a name without namespace":    {change: func(o *Options) { o.Release = "rel" }, text: `--release: "rel" is not namespace/name`},
		"a subdirectory that leaves":  {change: func(o *Options) { o.Subdirectory = "../x" }, text: "--subdirectory"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			opts := good
			tc.change(&opts)
			if _, err := Run(t.Context(), opts); err == nil || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("Run() = %v, want an error with %q", err, tc.text)
			}
		})
	}
}
