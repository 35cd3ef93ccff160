package artifact_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/headrace-ci/headrace/pkg/artifact"
	"github.com/headrace-ci/headrace/pkg/run"
	"github.com/headrace-ci/headrace/test/fixture"
)

func TestRoundTrip(t *testing.T) {
	host, source := fixture.Registry(t), t.TempDir()
	for file, mode := range map[string]fs.FileMode{"main.go": 0o644, "bin/run": 0o755, "a/b/c.txt": 0o640} {
		write(t, filepath.Join(source, file), file+"'s content", mode)
	}
	if err := os.Symlink("b/c.txt", filepath.Join(source, "a", "link")); err != nil {
		t.Fatal(err)
	}
	opts := artifact.CreateOptions{Store: host + "/app:1.git", Paths: map[string]string{"SOURCE_ARTIFACT": source, "NONE": source + "/missing"}, ExpiresAfter: "5d"}

	uris, err := artifact.Create(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	again, err := artifact.Create(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(uris, again); diff != "" {
		t.Errorf("the same files gave other URIs (-first +second):\n%s", diff)
	}
	if !strings.HasPrefix(uris["SOURCE_ARTIFACT"], "oci:"+host+"/app@sha256:") {
		t.Errorf("URI is %q, want oci:<repository>@sha256:<hex>", uris["SOURCE_ARTIFACT"])
	}
	dest := t.TempDir()
	for result, dir := range map[string]string{"SOURCE_ARTIFACT": "source", "NONE": "none"} {
		if err := artifact.Use(t.Context(), uris[result], filepath.Join(dest, dir)); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(tree(t, source), tree(t, filepath.Join(dest, "source"))); diff != "" {
		t.Errorf("files (-packed +unpacked):\n%s", diff)
	}
	manifest := image(t, opts.Store)
	if manifest.Annotations["quay.expires-after"] != "5d" || len(manifest.Layers) != 2 ||
		manifest.Layers[1].Annotations["org.opencontainers.image.title"] != "SOURCE_ARTIFACT" {
		t.Errorf("manifest is %+v", manifest)
	}
}

func TestUseRefuses(t *testing.T) {
	host := fixture.Registry(t)
	good := strings.Repeat("0", 64)
	cases := map[string]struct{ uri, dest, want string }{
		"another scheme":           {"https://x/y@sha256:" + good, "d", "want oci:<repository>@sha256:<digest>"},
		"a tag":                    {"oci:" + host + "/app:1", "d", "artifact"},
		"a digest that is not hex": {"oci:" + host + "/app@sha256:zz", "d", "artifact"},
		"the root as destination":  {"oci:" + host + "/app@sha256:" + good, "/", "root of the file system"},
		"what is not there":        {"oci:" + host + "/app@sha256:" + good, "d", "fetching artifact"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := artifact.Use(t.Context(), tc.uri, tc.dest); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Use() = %v, want %q", err, tc.want)
			}
		})
	}
	if err := artifact.Use(t.Context(), "", "d"); err != nil {
		t.Errorf("Use() of nothing = %v", err)
	}
}

func TestNothingIsUnpackedOutside(t *testing.T) {
	host := fixture.Registry(t)
	cases := map[string][]tar.Header{
		"a path that climbs":    {{Name: "../escaped", Typeflag: tar.TypeReg}},
		"an absolute path":      {{Name: "/tmp/escaped", Typeflag: tar.TypeReg}},
		"through a link":        {{Name: "link", Linkname: "..", Typeflag: tar.TypeSymlink}, {Name: "link/escaped", Typeflag: tar.TypeReg}},
		"a folder by a link":    {{Name: "link", Linkname: "..", Typeflag: tar.TypeSymlink}, {Name: "link/escaped", Typeflag: tar.TypeDir}},
		"an absolute link":      {{Name: "link", Linkname: "/tmp", Typeflag: tar.TypeSymlink}, {Name: "link/escaped", Typeflag: tar.TypeReg}},
		"a link two folders up": {{Name: "a/l", Linkname: "../..", Typeflag: tar.TypeSymlink}, {Name: "a/l/escaped", Typeflag: tar.TypeReg}},
		"a hard link":           {{Name: "link", Linkname: "/etc/passwd", Typeflag: tar.TypeLink}},
		"a device":              {{Name: "null", Typeflag: tar.TypeChar}},
	}
	for what, headers := range cases {
		t.Run(what, func(t *testing.T) {
			outer := t.TempDir()
			err := artifact.Use(t.Context(), push(t, host, headers), filepath.Join(outer, "dest"))
			if err == nil {
				t.Error("Use() took it")
			}
			if entries, _ := os.ReadDir(outer); len(entries) > 1 {
				t.Errorf("beside the destination there is now %v", entries)
			}
		})
	}
}

func TestLinksAreKeptAsTheyAre(t *testing.T) {
	host, source, dest := fixture.Registry(t), t.TempDir(), filepath.Join(t.TempDir(), "dest")
	links := map[string]string{"localtime": "/usr/share/zoneinfo/UTC", "up": "../../x", "dangling": "nothing"}
	for name, target := range links {
		if err := os.Symlink(target, filepath.Join(source, name)); err != nil {
			t.Fatal(err)
		}
	}
	uris, err := artifact.Create(t.Context(), artifact.CreateOptions{Store: host + "/app:1.git", Paths: map[string]string{"A": source}})
	if err != nil {
		t.Fatal(err)
	}
	if err := artifact.Use(t.Context(), uris["A"], dest); err != nil {
		t.Fatal(err)
	}
	for name, target := range links {
		if got, err := os.Readlink(filepath.Join(dest, name)); got != target {
			t.Errorf("%s leads to %q (%v), want %q", name, got, err, target)
		}
	}
}

// TestArchivesOfManyBlocks has archives of sizes around those that are
// compressed at once, and reads them with another program.
func TestArchivesOfManyBlocks(t *testing.T) {
	host := fixture.Registry(t)
	for _, size := range []int{0, 1, 1<<20 - 1024, 1 << 20, 1<<20 + 1, 5<<20 + 12345} {
		content := make([]byte, size)
		for i := range content {
			content[i] = byte(i * i >> 7)
		}
		source, dest := t.TempDir(), filepath.Join(t.TempDir(), "dest")
		write(t, filepath.Join(source, "file"), string(content), 0o644)
		uris, err := artifact.Create(t.Context(), artifact.CreateOptions{Store: host + "/app:1.git", Paths: map[string]string{"A": source}})
		if err != nil {
			t.Fatal(err)
		}
		if err := artifact.Use(t.Context(), uris["A"], dest); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(dest, "file")); !bytes.Equal(got, content) {
			t.Errorf("%d bytes came back as %d (%v)", size, len(got), err)
		}
		ref, err := artifact.Parse(uris["A"])
		if err != nil {
			t.Fatal(err)
		}
		layer, err := remote.Layer(ref)
		if err != nil {
			t.Fatal(err)
		}
		blob, err := layer.Compressed()
		if err != nil {
			t.Fatal(err)
		}
		out := t.TempDir()
		if err := (run.Command{Name: "tar", Args: []string{"-xzf", "-", "-C", out}, Stdin: blob}).Run(t.Context()); err != nil {
			t.Error(err)
		}
		if got, err := os.ReadFile(filepath.Join(out, "file")); !bytes.Equal(got, content) {
			t.Errorf("tar gets %d of %d bytes (%v)", len(got), size, err)
		}
	}
}

// FuzzUnpack feeds archives of any shape: whatever happens, nothing may be
// written beside the destination.
func FuzzUnpack(f *testing.F) {
	f.Add("a/b", "../..", byte(tar.TypeSymlink))
	f.Add("../x", "", byte(tar.TypeReg))
	f.Add("a", "b", byte(tar.TypeLink))
	host := fixture.Registry(f)
	f.Fuzz(func(t *testing.T, name, link string, kind byte) {
		outer := t.TempDir()
		dest := filepath.Join(outer, "dest")
		headers := []tar.Header{{Name: name, Linkname: link, Typeflag: kind}, {Name: name + "/x", Typeflag: tar.TypeReg}}
		raw, ok := archiveOf(headers)
		if !ok {
			t.Skip("not an archive that can be written")
		}
		_ = artifact.Use(t.Context(), pushRaw(t, host, raw), dest)
		if entries, _ := os.ReadDir(outer); len(entries) > 1 {
			t.Errorf("beside the destination there is now %v", entries)
		}
	})
}

func push(t *testing.T, host string, headers []tar.Header) string {
	t.Helper()
	raw, ok := archiveOf(headers)
	if !ok {
		t.Fatal("the archive cannot be written")
	}
	return pushRaw(t, host, raw)
}

func archiveOf(headers []tar.Header) ([]byte, bool) {
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	tw := tar.NewWriter(zw)
	for _, h := range headers {
		h.Mode = 0o644
		if err := tw.WriteHeader(&h); err != nil {
			return nil, false
		}
	}
	if tw.Close() != nil || zw.Close() != nil {
		return nil, false
	}
	return buf.Bytes(), true
}

func pushRaw(t *testing.T, host string, raw []byte) string {
	t.Helper()
	repo, err := name.NewRepository(host + "/app")
	if err != nil {
		t.Fatal(err)
	}
	layer := static.NewLayer(raw, types.OCILayer)
	if err := remote.WriteLayer(repo, layer); err != nil {
		t.Fatal(err)
	}
	digest, err := layer.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return "oci:" + repo.Digest(digest.String()).String()
}
