package sourcebuild_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/headrace-ci/headrace/pkg/sbom"
	"github.com/headrace-ci/headrace/pkg/task/sourcebuild"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/test/fixture"
)

// world is a registry with an image that was built from a base image.
type world struct {
	repo, base  name.Repository
	image, from name.Digest
	dir         string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	host := fixture.Registry(t)
	w := &world{dir: t.TempDir()}
	for target, path := range map[*name.Repository]string{&w.repo: "/team/app", &w.base: "/bases/small"} {
		repo, err := name.NewRepository(host + path)
		if err != nil {
			t.Fatal(err)
		}
		*target = repo
	}
	w.image, w.from = pushRandom(t, w.repo.Tag("1")), pushRandom(t, w.base.Tag("9"))
	w.write(t, map[string]string{"source/main.go": "package main", "source/.git/config": "secret", "source/d/x": "1"})
	return w
}

func pushRandom(t *testing.T, tag name.Tag) name.Digest {
	t.Helper()
	img, err := random.Image(16, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, img); err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return tag.Context().Digest(digest.String())
}

func (w *world) write(t *testing.T, files map[string]string) {
	t.Helper()
	for file, content := range files {
		path := filepath.Join(w.dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *world) options() sourcebuild.Options {
	return sourcebuild.Options{BinaryImage: w.repo.Tag("1").String(), BinaryImageDigest: w.image.DigestStr(), WorkDir: w.dir}
}

// content is what the source image at a tag holds: the names of its archives
// and the files in those that are tars.
func content(t *testing.T, tag string) map[string][]string {
	t.Helper()
	ref, err := name.NewTag(tag)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(ref)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, layer := range layers {
		blob, link, target := unpack(t, layer)
		if want := "../blobs/sha256/"; !strings.HasPrefix(target, want) {
			t.Errorf("%s leads to %q", link, target)
		}
		if strings.HasPrefix(link, "extra_src_dir/") {
			link = "extra"
		}
		all[link] = append(all[link], names(blob)...)
	}
	return all
}

func unpack(t *testing.T, layer v1.Layer) (blob []byte, link, target string) {
	t.Helper()
	stream, err := layer.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for tr := tar.NewReader(stream); ; {
		header, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return blob, link, target
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Typeflag == tar.TypeSymlink {
			link, target = header.Name, header.Linkname
			continue
		}
		if blob, err = io.ReadAll(tr); err != nil {
			t.Fatal(err)
		}
	}
}

func names(archive []byte) []string {
	var found []string
	for tr := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := tr.Next()
		if err != nil {
			return found // the end, or not a tar
		}
		found = append(found, header.Name)
	}
}

func TestSourceAndDependencies(t *testing.T) {
	w := newWorld(t)
	w.write(t, map[string]string{
		"cachi2/output/deps/gomod/pkg/mod/m.zip": "zip", "cachi2/output/deps/rpm/x86_64/repo/a-1.src.rpm": "source rpm",
		"cachi2/output/deps/rpm/x86_64/repo/a-1.x86_64.rpm": "rpm", "cachi2/output/bom.json": "{}",
	})

	outcome, err := sourcebuild.Run(t.Context(), w.options())
	if err != nil {
		t.Fatal(err)
	}

	tag := w.repo.Tag("sha256-" + strings.TrimPrefix(w.image.DigestStr(), "sha256:") + ".src").String()
	if outcome.ImageURL != tag || outcome.Status != "success" || !outcome.DependenciesIncluded || outcome.BaseImageSourceIncluded {
		t.Errorf("outcome is %+v", outcome)
	}
	want := map[string][]string{
		"extra":               {"d/", "d/x", "main.go", "pkg/", "pkg/mod/", "pkg/mod/m.zip"},
		"rpm_dir/a-1.src.rpm": nil,
	}
	got := content(t, tag)
	slices.Sort(got["extra"])
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("source image (-want +got):\n%s", diff)
	}
	again, err := sourcebuild.Run(t.Context(), w.options())
	if err != nil || again != outcome {
		t.Errorf("again: %+v, %v, want %+v", again, err, outcome)
	}
}

// TestBaseImage has a source image of a base, found by the SBOM and by param.
func TestBaseImage(t *testing.T) {
	w := newWorld(t)
	parent := newWorld(t)
	parent.write(t, map[string]string{"cachi2/output/deps/rpm/p.src.rpm": "parent's"})
	// The parent's world has a registry of its own: its sources are moved here.
	outcome, err := sourcebuild.Run(t.Context(), parent.options())
	if err != nil {
		t.Fatal(err)
	}
	src, err := name.ParseReference(outcome.ImageURL)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(src)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(w.base.Tag("sha256-"+strings.TrimPrefix(w.from.DigestStr(), "sha256:")+".src"), img); err != nil {
		t.Fatal(err)
	}
	w.write(t, map[string]string{"source/mine": "1", "cachi2/output/deps/rpm/p.src.rpm": "parent's"})
	document, err := sbom.Image(sbom.Subject{Reference: w.image}, []sbom.Base{
		{Name: w.base.Tag("none").String(), Digest: "sha256:" + strings.Repeat("0", 64)},
		{Name: w.base.Tag("9").String(), Digest: w.from.DigestStr(), Stage: 1, Final: true},
	}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := sbom.Encode(document)
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		param string
		sbom  bool
		want  bool
	}{
		"no SBOM":                 {"", false, false},
		"a base that is given":    {"\n" + w.base.Tag("none").String() + "\n" + w.base.Tag("9").String() + "\n", false, true},
		"the base that SBOM says": {"", true, true},
	}
	for _, what := range []string{"no SBOM", "a base that is given", "the base that SBOM says"} {
		tc := cases[what]
		if tc.sbom {
			if _, err := sbom.Attach(t.Context(), w.image, raw); err != nil {
				t.Fatal(err)
			}
		}
		opts := w.options()
		opts.BaseImages = tc.param
		outcome, err := sourcebuild.Run(t.Context(), opts)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		got := content(t, outcome.ImageURL)
		extra := got["extra"]
		if outcome.BaseImageSourceIncluded != tc.want || !slices.Contains(extra, "mine") || len(got) != 2 {
			t.Errorf("%s: %+v with %v", what, outcome, got)
		}
		if !tc.want {
			continue
		}
		// The parent's own tree is there, and the RPM that both have once.
		if n := strings.Count(strings.Join(extra, " "), "main.go"); n != 2 {
			t.Errorf("%s: %d trees, want the base's and this one's: %v", what, n, extra)
		}
	}
}

func TestAnImageThatIsGoneIsDropped(t *testing.T) {
	w := newWorld(t)
	results, file := t.TempDir(), filepath.Join(t.TempDir(), "result.json")
	cmd := sourcebuild.Command()
	cmd.SetArgs([]string{"--binary-image=" + w.repo.Tag("1").String(), "--binary-image-digest=sha256:" + strings.Repeat("0", 64), "--work-dir=" + w.dir, "--results-dir=" + results, "--result-file=" + file})
	var log bytes.Buffer
	if code := taskcli.Run(t.Context(), cmd, &log); code != 0 {
		t.Fatalf("exit code %d: %s", code, log.String())
	}
	raw, err := os.ReadFile(filepath.Join(results, "BUILD_RESULT"))
	if err != nil {
		t.Fatal(err)
	}
	var outcome sourcebuild.Outcome
	if err := json.Unmarshal(raw, &outcome); err != nil || outcome.Status != "drop" || outcome.Message == "" {
		t.Errorf("BUILD_RESULT is %s, %v", raw, err)
	}
	if copied, err := os.ReadFile(file); string(copied) != string(raw) {
		t.Errorf("the result file holds %q, %v", copied, err)
	}
	for _, name := range []string{"SOURCE_IMAGE_URL", "SOURCE_IMAGE_DIGEST", "IMAGE_REF"} {
		if raw, err := os.ReadFile(filepath.Join(results, name)); err != nil || len(raw) > 0 {
			t.Errorf("%s is %q, %v", name, raw, err)
		}
	}
}

func TestResults(t *testing.T) {
	w := newWorld(t)
	results := t.TempDir()
	cmd := sourcebuild.Command()
	cmd.SetArgs([]string{"--binary-image=" + w.repo.Tag("1").String(), "--binary-image-digest=" + w.image.DigestStr(), "--work-dir=" + w.dir, "--results-dir=" + results})
	var log bytes.Buffer
	if code := taskcli.Run(t.Context(), cmd, &log); code != 0 {
		t.Fatalf("exit code %d: %s", code, log.String())
	}
	got := map[string]string{}
	for _, name := range []string{"SOURCE_IMAGE_URL", "SOURCE_IMAGE_DIGEST", "IMAGE_REF", "BUILD_RESULT"} {
		raw, err := os.ReadFile(filepath.Join(results, name))
		if err != nil {
			t.Fatal(err)
		}
		got[name] = string(raw)
	}
	if got["IMAGE_REF"] != got["SOURCE_IMAGE_URL"]+"@"+got["SOURCE_IMAGE_DIGEST"] || !strings.Contains(got["BUILD_RESULT"], `"image_url":"`+got["SOURCE_IMAGE_URL"]+`"`) {
		t.Errorf("results are %v", got)
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	cases := map[string]struct {
		change func(*sourcebuild.Options)
		want   string
	}{
		"an image without digest":  {func(o *sourcebuild.Options) { o.BinaryImageDigest = "x" }, "--binary-image"},
		"a base that is no image":  {func(o *sourcebuild.Options) { o.BaseImages = "no tag" }, "--base-images"},
		"a base that is not there": {func(o *sourcebuild.Options) { o.BaseImages = w.base.Tag("none").String() }, "base image"},
		"a source that is missing": {func(o *sourcebuild.Options) { o.WorkDir = t.TempDir() }, "archiving the source"},
	}
	for what, tc := range cases {
		t.Run(what, func(t *testing.T) {
			opts := w.options()
			tc.change(&opts)
			if _, err := sourcebuild.Run(t.Context(), opts); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Run() = %v, want %q", err, tc.want)
			}
		})
	}
}

func TestHostileParams(t *testing.T) {
	w := newWorld(t)
	fixture.Hostile(t, sourcebuild.Command, "--binary-image="+w.repo.Tag("1").String(), "--binary-image-digest="+w.image.DigestStr(), "--work-dir="+w.dir)
}
