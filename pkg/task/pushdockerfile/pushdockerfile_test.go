package pushdockerfile_test

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/headrace-ci/headrace/pkg/artifact"
	"github.com/headrace-ci/headrace/pkg/task/pushdockerfile"
	"github.com/headrace-ci/headrace/test/fixture"
)

var hex = strings.Repeat("ab", 32)

func source(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for file, content := range files {
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(content, "symlink:"); ok {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func options(repo, dir string) pushdockerfile.Options {
	return pushdockerfile.Options{
		Image: repo + ":1", ImageDigest: "sha256:" + hex, Dockerfile: "./Dockerfile", Context: ".",
		TagSuffix: ".dockerfile", ArtifactType: "application/vnd.konflux.dockerfile", SourceDir: dir,
	}
}

// pushed is the manifest at the tag, and the file in it.
func pushed(t *testing.T, tag string) (v1.Manifest, string) {
	t.Helper()
	ref, err := name.NewTag(tag)
	if err != nil {
		t.Fatal(err)
	}
	desc, err := remote.Get(ref)
	if err != nil {
		t.Fatal(err)
	}
	var manifest v1.Manifest
	if err := json.Unmarshal(desc.Manifest, &manifest); err != nil {
		t.Fatal(err)
	}
	layer, err := remote.Layer(ref.Context().Digest(manifest.Layers[0].Digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	content, err := layer.Compressed()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(content)
	if err != nil {
		t.Fatal(err)
	}
	return manifest, string(raw)
}

func TestPush(t *testing.T) {
	repo := fixture.Registry(t) + "/team/app"
	dir := source(t, map[string]string{"Dockerfile": "FROM root", "app/Dockerfile": "FROM app", "app/deep/Containerfile": "FROM deep", "app/link": "symlink:../Dockerfile"})
	cases := map[string]struct{ context, dockerfile, want string }{
		"in the root":                      {".", "./Dockerfile", "FROM root"},
		"in the context":                   {"app", "Dockerfile", "FROM app"},
		"below the context":                {"app", "deep/Containerfile", "FROM deep"},
		"in the root, beside the context":  {"app/deep", "./Dockerfile", "FROM root"},
		"from the root, though in context": {"app", "app/deep/Containerfile", "FROM deep"},
		"a link in the source":             {"app", "link", "FROM root"},
	}
	for what, tc := range cases {
		t.Run(what, func(t *testing.T) {
			opts := options(repo, dir)
			opts.Context, opts.Dockerfile = tc.context, tc.dockerfile

			got, err := pushdockerfile.Run(t.Context(), opts)
			if err != nil {
				t.Fatal(err)
			}

			manifest, content := pushed(t, repo+":sha256-"+hex+".dockerfile")
			if content != tc.want || manifest.ArtifactType != "application/vnd.konflux.dockerfile" {
				t.Errorf("pushed %q as %q", content, manifest.ArtifactType)
			}
			if diff := cmp.Diff(map[string]string{"org.opencontainers.image.title": "Dockerfile"}, manifest.Layers[0].Annotations); diff != "" {
				t.Errorf("annotations (-want +got):\n%s", diff)
			}
			again, err := pushdockerfile.Run(t.Context(), opts)
			if err != nil || again != got || !strings.HasPrefix(got, repo+"@sha256:") {
				t.Errorf("IMAGE_REF is %q, and again %q, %v", got, again, err)
			}
		})
	}
}

func TestSourceArtifact(t *testing.T) {
	repo := fixture.Registry(t) + "/team/app"
	uris, err := artifact.Create(t.Context(), artifact.CreateOptions{Store: repo + ":1.git", Paths: map[string]string{"A": source(t, map[string]string{"Dockerfile": "FROM ta"})}})
	if err != nil {
		t.Fatal(err)
	}
	opts := options(repo, filepath.Join(t.TempDir(), "source"))
	opts.SourceArtifact, opts.TagSuffix, opts.ArtifactType = uris["A"], ".cf", "application/vnd.mine"
	if _, err := pushdockerfile.Run(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	if manifest, content := pushed(t, repo+":sha256-"+hex+".cf"); content != "FROM ta" || manifest.ArtifactType != "application/vnd.mine" {
		t.Errorf("pushed %q as %q", content, manifest.ArtifactType)
	}
}

func TestNoContainerfileIsNoMistake(t *testing.T) {
	repo := fixture.Registry(t) + "/team/app"
	got, err := pushdockerfile.Run(t.Context(), options(repo, source(t, map[string]string{"main.go": ""})))
	if err != nil || got != "" {
		t.Errorf("Run() = %q, %v", got, err)
	}
	r, err := name.NewRepository(repo)
	if err != nil {
		t.Fatal(err)
	}
	if tags, err := remote.List(r); err == nil && len(tags) > 0 {
		t.Errorf("pushed %v", tags)
	}
}

func TestRefusals(t *testing.T) {
	repo := fixture.Registry(t) + "/team/app"
	dir := source(t, map[string]string{"out": "symlink:/etc/passwd", "folder/x": "", "dir-out": "symlink:.."})
	cases := map[string]struct {
		change func(*pushdockerfile.Options)
		want   string
	}{
		"a path out of the source":      {func(o *pushdockerfile.Options) { o.Dockerfile = "../../etc/passwd" }, "leads out of the source"},
		"an absolute path":              {func(o *pushdockerfile.Options) { o.Context, o.Dockerfile = "..", "/etc/passwd" }, "leads out of the source"},
		"a link out of the source":      {func(o *pushdockerfile.Options) { o.Dockerfile = "out" }, "--dockerfile"},
		"a context out of the source":   {func(o *pushdockerfile.Options) { o.Context = "dir-out" }, "--dockerfile"},
		"a folder":                      {func(o *pushdockerfile.Options) { o.Dockerfile = "folder" }, "is not a file"},
		"a suffix that ends no tag":     {func(o *pushdockerfile.Options) { o.TagSuffix = "/x" }, "--tag-suffix"},
		"a suffix that is too long":     {func(o *pushdockerfile.Options) { o.TagSuffix = strings.Repeat("x", 58) }, "--tag-suffix"},
		"a type that is no media type":  {func(o *pushdockerfile.Options) { o.ArtifactType = "x" }, "--artifact-type"},
		"an image without a digest":     {func(o *pushdockerfile.Options) { o.ImageDigest = "" }, "--image"},
		"an artifact that is not there": {func(o *pushdockerfile.Options) { o.SourceArtifact = "oci:" + repo + "@sha256:" + hex }, "fetching artifact"},
	}
	for what, tc := range cases {
		t.Run(what, func(t *testing.T) {
			opts := options(repo, dir)
			tc.change(&opts)
			if _, err := pushdockerfile.Run(t.Context(), opts); err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "root:") {
				t.Errorf("Run() = %v, want %q", err, tc.want)
			}
		})
	}
}

func TestHostileParams(t *testing.T) {
	repo := fixture.Registry(t) + "/team/app"
	dir := source(t, map[string]string{"Dockerfile": "FROM scratch"})
	fixture.Hostile(t, pushdockerfile.Command, "--image="+repo+":1", "--image-digest=sha256:"+hex, "--source-dir="+dir)
}
