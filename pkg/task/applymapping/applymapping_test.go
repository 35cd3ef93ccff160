package applymapping_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/headrace-ci/headrace/pkg/releasedata"
	"github.com/headrace-ci/headrace/pkg/task/applymapping"
	"github.com/headrace-ci/headrace/test/fixture"
)

// built is an image of a known time, version and label.
func built(t *testing.T, repo name.Repository) string {
	t.Helper()
	image, err := random.Image(16, 1)
	if err != nil {
		t.Fatal(err)
	}
	image, err = mutate.Config(image, v1.Config{Labels: map[string]string{"org.opencontainers.image.version": "1.2+3", "name": "app"}})
	if err != nil {
		t.Fatal(err)
	}
	if image, err = mutate.CreatedAt(image, v1.Time{Time: time.Unix(1700000000, 0)}); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(repo.Digest(digest.String()), image); err != nil {
		t.Fatal(err)
	}
	return repo.Digest(digest.String()).Name()
}

func TestTags(t *testing.T) {
	registry := fixture.Registry(t)
	repo, err := name.NewRepository(registry + "/team/app")
	if err != nil {
		t.Fatal(err)
	}
	image := built(t, repo)
	released, err := name.NewRepository(registry + "/released/app")
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"v1.2-9", "v1.2-10", "v1.2-x"} {
		if err := remote.Write(released.Tag(tag), empty.Image); err != nil {
			t.Fatal(err)
		}
	}
	cases := map[string]struct {
		tags []string
		to   string // repository; the known one when empty
		want []string
		text string // in the error
	}{
		"plain, without duplicates":     {tags: []string{"latest", "latest"}, want: []string{"latest"}},
		"the commit":                    {tags: []string{"{{git_sha}}", "c-{{ git_short_sha }}"}, want: []string{"0123456789abcdef", "c-0123456"}},
		"the digest":                    {tags: []string{"{{ digest_sha }}"}, want: []string{strings.Split(image, "sha256:")[1]}},
		"the image's time":              {tags: []string{"{{ timestamp }}"}, want: []string{"20231114"}},
		"the image's version":           {tags: []string{"v{{ oci_version }}"}, want: []string{"v1.2_3"}},
		"a label":                       {tags: []string{"{{ labels.name }}-x"}, want: []string{"app-x"}},
		"the next number":               {tags: []string{"v1.2-{{ incrementer }}"}, want: []string{"v1.2-11"}},
		"the first number":              {tags: []string{"w-{{ incrementer }}"}, to: "/released/new", want: []string{"w-1"}},
		"a variable there is not":       {tags: []string{"{{ git_branch }}"}, text: `there is no "git_branch"`},
		"a label the image has not":     {tags: []string{"{{ labels.other }}"}, text: `"labels.other" has no value`},
		"what is no tag":                {tags: []string{"a/b"}, text: `"a/b" is no tag`},
		"a variable that is not closed": {tags: []string{"{{ git_sha"}, text: "is no tag"},
		"two numbers":                   {tags: []string{"{{ incrementer }}{{ incrementer }}"}, text: "is no tag"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			to := tc.to
			if to == "" {
				to = "/released/app"
			}
			got, err := apply(t, registry, image, map[string]any{
				"components": []any{map[string]any{"name": "app", "timestampFormat": "%Y%m%d", "repositories": []any{map[string]any{"url": registry + to, "tags": tc.tags}}}},
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
			if diff := cmp.Diff(tc.want, got[0].Repositories[0].Tags); diff != "" {
				t.Errorf("tags (-want +got):\n%s", diff)
			}
		})
	}
}

// apply maps a Snapshot of one image, and returns its components afterwards.
func apply(t *testing.T, registry, image string, mapping any) ([]releasedata.Component, error) {
	t.Helper()
	folder := releasedata.Folder{Dir: filepath.Join(t.TempDir(), "data"), Storage: registry + "/released/data", Tag: "t"}
	if err := folder.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	spec := map[string]any{"application": "app", "components": []any{map[string]any{
		"name": "app", "containerImage": image, "source": map[string]any{"git": map[string]any{"url": "u", "revision": "0123456789abcdef", "context": "c"}},
	}}}
	if err := errors.Join(folder.Write("spec.json", spec), folder.Write("data.json", map[string]any{"mapping": mapping})); err != nil {
		t.Fatal(err)
	}
	_, err := applymapping.Run(t.Context(), applymapping.Options{Folder: folder, SnapshotPath: "spec.json", DataPath: "data.json", FailOnEmptyResult: true})
	if err != nil {
		return nil, err
	}
	var after releasedata.Snapshot
	if err := folder.Read("spec.json", &after); err != nil {
		t.Fatal(err)
	}
	var plain map[string]any
	if err := folder.Read("spec.json", &plain); err != nil {
		t.Fatal(err)
	}
	source := plain["components"].([]any)[0].(map[string]any)["source"].(map[string]any)["git"].(map[string]any)
	if plain["application"] != "app" || source["context"] != "c" {
		t.Errorf("what the task does not know was lost: %v", plain)
	}
	return after.Components, nil
}

func TestMapping(t *testing.T) {
	registry := fixture.Registry(t)
	image := registry + "/team/app@sha256:" + strings.Repeat("0", 64)
	repository := map[string]any{"url": registry + "/released/app", "tags": []string{"r"}}
	cases := map[string]struct {
		image   string
		mapping any
		want    []releasedata.Repository
		text    string
	}{
		"tags of repository, component and defaults": {
			mapping: map[string]any{
				"components": []any{map[string]any{"name": "app", "tags": []string{"c"}, "repositories": []any{repository}}},
				"defaults":   map[string]any{"tags": []string{"d", "c"}},
			},
			want: []releasedata.Repository{{URL: registry + "/released/app", Tags: []string{"r", "c", "d"}}},
		},
		"the older form": {
			mapping: map[string]any{"components": []any{map[string]any{"name": "app", "tags": []string{"c"}, "repository": registry + "/old"}}},
			want:    []releasedata.Repository{{URL: registry + "/old", Tags: []string{"c"}}},
		},
		"nothing that is mapped": {
			mapping: map[string]any{"components": []any{map[string]any{"name": "other", "repositories": []any{repository}}}},
			text:    `the Snapshot has ["app"], and the mapping ["other"]`,
		},
		"an image by tag": {
			image: registry + "/team/app:latest", text: "is not by digest",
			mapping: map[string]any{"components": []any{map[string]any{"name": "app", "repositories": []any{repository}}}},
		},
		"no repository": {
			mapping: map[string]any{"components": []any{map[string]any{"name": "app"}}}, text: "it has no repositories",
		},
		"a repository that is none": {
			mapping: map[string]any{"components": []any{map[string]any{"name": "app", "repository": "https://x/y"}}}, text: `repository "https://x/y"`,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			from := image
			if tc.image != "" {
				from = tc.image
			}
			got, err := apply(t, registry, from, tc.mapping)
			if tc.text != "" {
				if err == nil || !strings.Contains(err.Error(), tc.text) {
					t.Fatalf("Run() = %v, want an error with %q", err, tc.text)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got[0].Repositories); diff != "" {
				t.Errorf("repositories (-want +got):\n%s", diff)
			}
		})
	}
}
