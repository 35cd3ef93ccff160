package applytags_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/headrace-ci/headrace/pkg/task/applytags"
	"github.com/headrace-ci/headrace/test/fixture"
)

const label = "konflux.additional-tags"

func labelled(t *testing.T, value, arch string) v1.Image {
	t.Helper()
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: arch, Config: v1.Config{Labels: map[string]string{label: value}}})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// push pushes an image or an index at tag 1, and returns its digest.
func push(t *testing.T, repo string, what remote.Taggable) string {
	t.Helper()
	tag, err := name.NewTag(repo + ":1")
	if err != nil {
		t.Fatal(err)
	}
	switch what := what.(type) {
	case v1.ImageIndex:
		err = remote.WriteIndex(tag, what)
	case v1.Image:
		err = remote.Write(tag, what)
	}
	if err != nil {
		t.Fatal(err)
	}
	desc, err := remote.Head(tag)
	if err != nil {
		t.Fatal(err)
	}
	return desc.Digest.String()
}

// tagsOf are the tags of a repository that name a digest.
func tagsOf(t *testing.T, repo, digest string) []string {
	t.Helper()
	r, err := name.NewRepository(repo)
	if err != nil {
		t.Fatal(err)
	}
	all, err := remote.List(r)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(tag string) bool {
		desc, err := remote.Head(r.Tag(tag))
		return err != nil || desc.Digest.String() != digest
	})
}

func TestTags(t *testing.T) {
	host := fixture.Registry(t)
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: labelled(t, "from-label", "amd64")}, mutate.IndexAddendum{Add: labelled(t, "from-label", "arm64")})
	cases := map[string]struct {
		what  remote.Taggable
		tags  []string
		label string
		want  []string // beside 1
	}{
		"given ones":                {labelled(t, "", "amd64"), []string{"b", "a", "a"}, label, []string{"a", "b"}},
		"those of the label":        {labelled(t, "x, y\tz\nx", "amd64"), nil, label, []string{"x", "y", "z"}},
		"both":                      {labelled(t, "x", "amd64"), []string{"a"}, label, []string{"a", "x"}},
		"the label of an index":     {index, []string{"a"}, label, []string{"a", "from-label"}},
		"no label is asked for":     {labelled(t, "x", "amd64"), []string{"a"}, "", []string{"a"}},
		"a label that is not set":   {labelled(t, "x", "amd64"), nil, "other", nil},
		"what can have no labels":   {mutate.ConfigMediaType(labelled(t, "x", "amd64"), "application/vnd.other"), []string{"a"}, label, []string{"a"}},
		"an index without an image": {mutate.IndexMediaType(empty.Index, types.OCIImageIndex), []string{"a"}, label, []string{"a"}},
	}
	n := 0
	for what, tc := range cases {
		n++
		repo := host + "/team/app" + strings.Repeat("x", n)
		t.Run(what, func(t *testing.T) {
			digest := push(t, repo, tc.what)
			opts := applytags.Options{ImageURL: repo + ":1", ImageDigest: digest, FromLabel: tc.label, Tags: tc.tags}
			for range 2 { // again changes nothing
				if _, err := applytags.Run(t.Context(), opts); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(append([]string{"1"}, tc.want...), tagsOf(t, repo, digest)); diff != "" {
					t.Errorf("tags of the image (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestATagMovesToTheImage(t *testing.T) {
	repo := fixture.Registry(t) + "/team/app"
	first := push(t, repo, labelled(t, "latest", "amd64"))
	second := push(t, repo, labelled(t, "latest", "arm64"))
	for _, digest := range []string{first, second} {
		if _, err := applytags.Run(t.Context(), applytags.Options{ImageURL: repo + ":1", ImageDigest: digest, FromLabel: label}); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"1", "latest"}, tagsOf(t, repo, second)); diff != "" {
		t.Errorf("tags of the newer image (-want +got):\n%s", diff)
	}
}

func TestRefusals(t *testing.T) {
	repo := fixture.Registry(t) + "/team/app"
	digest := push(t, repo, labelled(t, "no/tag", "amd64"))
	missing := "sha256:" + strings.Repeat("0", 64)
	cases := map[string]struct {
		opts applytags.Options
		want string
	}{
		"a tag that is none":         {applytags.Options{ImageURL: repo + ":1", ImageDigest: digest, Tags: []string{"ok", "no/tag"}}, `--additional-tags: "no/tag" is not a tag`},
		"a tag like an option":       {applytags.Options{ImageURL: repo + ":1", ImageDigest: digest, Tags: []string{"-x"}}, `--additional-tags: "-x"`},
		"a label with no tag":        {applytags.Options{ImageURL: repo + ":1", ImageDigest: digest, FromLabel: label}, `--additional-tags-from-label: "no/tag"`},
		"an image without digest":    {applytags.Options{ImageURL: repo + ":1"}, "--image-url"},
		"an image that is not there": {applytags.Options{ImageURL: repo + ":1", ImageDigest: missing}, "fetching image"},
	}
	for what, tc := range cases {
		t.Run(what, func(t *testing.T) {
			if _, err := applytags.Run(t.Context(), tc.opts); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Run() = %v, want %q", err, tc.want)
			}
		})
	}
	if got := tagsOf(t, repo, digest); len(got) != 1 {
		t.Errorf("tags were set before one was refused: %v", got)
	}
}

func TestHostileParams(t *testing.T) {
	repo := fixture.Registry(t) + "/team/app"
	digest := push(t, repo, labelled(t, "x", "amd64"))
	fixture.Hostile(t, applytags.Command, "--image-url="+repo+":1", "--image-digest="+digest)
	for _, tag := range []string{"$(id)", "a\nb", "--help", strings.Repeat("x", 129), ""} {
		_, err := applytags.Run(t.Context(), applytags.Options{ImageURL: repo + ":1", ImageDigest: digest, Tags: []string{tag}})
		if err == nil {
			t.Errorf("tag %q was set", tag)
		}
	}
}
