package rpmssignaturescan_test

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/headrace-ci/headrace/pkg/run"
	"github.com/headrace-ci/headrace/pkg/task/rpmssignaturescan"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/testoutput"
	"github.com/headrace-ci/headrace/test/fixture"
)

// file is an entry of a layer: a link when it has a target, else a file.
type file struct{ name, content, target string }

func image(t *testing.T, layers ...[]file) v1.Image {
	t.Helper()
	img := empty.Image
	for _, files := range layers {
		var raw bytes.Buffer
		tw := tar.NewWriter(&raw)
		for _, f := range files {
			header := &tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.content)), Typeflag: tar.TypeReg}
			if f.target != "" {
				header.Typeflag, header.Linkname = tar.TypeSymlink, f.target
			}
			if err := tw.WriteHeader(header); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(tw, f.content); err != nil {
				t.Fatal(err)
			}
		}
		if err := tw.Close(); err != nil {
			t.Fatal(err)
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(raw.Bytes())), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			t.Fatal(err)
		}
	}
	return img
}

// database is one of a distribution, with packages of one key.
func database(t *testing.T, name string) string {
	t.Helper()
	dir, err := run.Output(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/knqyf263/go-rpmdb")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "pkg", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func scan(t *testing.T, args ...string) (code int, stderr string, verdict testoutput.Output, results map[string]string) {
	t.Helper()
	dir, work := t.TempDir(), t.TempDir()
	cmd := rpmssignaturescan.Command()
	cmd.SetArgs(append([]string{"--results-dir=" + dir, "--workdir=" + work}, args...))
	var out bytes.Buffer
	code = taskcli.Run(t.Context(), cmd, &out)
	results = map[string]string{}
	for _, name := range []string{"RPMS_DATA", "IMAGES_PROCESSED", testoutput.Name} {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		results[name] = string(raw)
	}
	verdict, err := testoutput.Parse(results[testoutput.Name])
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(work); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	return code, out.String(), verdict, results
}

func TestScanImage(t *testing.T) {
	fedora, suse := database(t, "fedora35/rpmdb.sqlite"), database(t, "sle15-bci/Packages.db")
	const fedoraKeys, suseKeys = `{"keys":{"db4639719867c58f":137}}`, `{"keys":{"70af9e8139db7c82":35}}`
	const sqlite, ndb = "var/lib/rpm/rpmdb.sqlite", "usr/lib/sysimage/rpm/Packages.db"
	cases := map[string]struct {
		layers [][]file
		keys   string
		result string
		note   string
	}{
		"an image without packages": {
			layers: [][]file{{{name: "etc/passwd", content: "x"}}}, keys: `{"keys":{}}`, result: testoutput.Success, note: "No RPM packages",
		},
		"a database": {
			layers: [][]file{{{name: "./" + sqlite, content: fedora}}, {{name: "app"}}}, keys: fedoraKeys, result: testoutput.Success, note: "137 packages",
		},
		"the upper layer's database counts": {
			layers: [][]file{{{name: ndb, content: "old"}}, {{name: ndb, content: suse}}}, keys: suseKeys, result: testoutput.Success,
		},
		"a database that a layer removes": {
			layers: [][]file{{{name: sqlite, content: fedora}}, {{name: "var/lib/rpm/.wh.rpmdb.sqlite"}}}, keys: `{"keys":{}}`, result: testoutput.Success,
		},
		"a folder that a layer removes": {
			layers: [][]file{{{name: sqlite, content: fedora}}, {{name: "var/.wh.lib"}}}, keys: `{"keys":{}}`, result: testoutput.Success,
		},
		"a folder that a layer makes anew": {
			layers: [][]file{{{name: sqlite, content: fedora}, {name: ndb, content: suse}}, {{name: "var/lib/rpm/.wh..wh..opq"}}}, keys: suseKeys, result: testoutput.Success,
		},
		"a link over the folder": {
			layers: [][]file{{{name: sqlite, content: "old"}}, {{name: "var/lib/rpm", target: "../../usr/lib/sysimage/rpm"}, {name: ndb, content: suse}}},
			keys:   suseKeys, result: testoutput.Success,
		},
		"a database that is broken": {
			layers: [][]file{{{name: sqlite, content: fedora[:20000]}}}, keys: `{"keys":{}}`, result: testoutput.Error, note: "SQLite",
		},
		"a database of no format": {
			layers: [][]file{{{name: sqlite, content: strings.Repeat("x", 4096)}}}, keys: `{"keys":{}}`, result: testoutput.Error,
		},
		"a journal that is not written back": {
			layers: [][]file{{{name: sqlite, content: fedora}, {name: sqlite + "-wal", content: "x"}}}, keys: `{"keys":{}}`, result: testoutput.Error, note: "journal",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			url, digest := push(t, image(t, tc.layers...))

			code, stderr, verdict, results := scan(t, "--image-url="+url, "--image-digest="+digest)

			if code != 0 || verdict.Result != tc.result || !strings.Contains(verdict.Note, tc.note) {
				t.Errorf("exit code = %d, verdict = %v, want %s with %q: %s", code, verdict, tc.result, tc.note, stderr)
			}
			if results["RPMS_DATA"] != tc.keys {
				t.Errorf("RPMS_DATA = %s, want %s", results["RPMS_DATA"], tc.keys)
			}
			want := `{"image":{"pullspec":"` + url + `","digests":["` + digest + `"]}}`
			if tc.result == testoutput.Error {
				want = `{"image":{"pullspec":"` + url + `","digests":[]}}`
			}
			if diff := cmp.Diff(want, results["IMAGES_PROCESSED"]); diff != "" {
				t.Errorf("IMAGES_PROCESSED (-want +got):\n%s", diff)
			}
		})
	}
}

func push(t *testing.T, img v1.Image) (url, digest string) {
	t.Helper()
	tag, err := name.NewTag(fixture.Registry(t) + "/app:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, img); err != nil {
		t.Fatal(err)
	}
	hash, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return tag.Name(), hash.String()
}

func TestScanIndex(t *testing.T) {
	suse := image(t, []file{{name: "usr/lib/sysimage/rpm/Packages.db", content: database(t, "sle15-bci/Packages.db")}})
	plain := image(t, []file{{name: "app", content: "x"}})
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: suse}, mutate.IndexAddendum{Add: plain})
	tag, err := name.NewTag(fixture.Registry(t) + "/app:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(tag, index); err != nil {
		t.Fatal(err)
	}
	var digests []string
	for _, part := range []interface{ Digest() (v1.Hash, error) }{suse, plain, index} {
		digest, err := part.Digest()
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, digest.String())
	}

	code, stderr, verdict, results := scan(t, "--image-url="+tag.Name(), "--image-digest="+digests[2])

	if code != 0 || verdict.Result != testoutput.Success || verdict.Successes != 2 {
		t.Errorf("exit code = %d, verdict = %v: %s", code, verdict, stderr)
	}
	want := `{"image":{"pullspec":"` + tag.Name() + `","digests":["` + strings.Join(digests, `","`) + `"]}}`
	if diff := cmp.Diff(want, results["IMAGES_PROCESSED"]); diff != "" {
		t.Errorf("IMAGES_PROCESSED (-want +got):\n%s", diff)
	}
}

func TestThereIsAlwaysAVerdict(t *testing.T) {
	url, digest := push(t, image(t))
	cases := map[string]struct {
		args []string
		code int
		text string
	}{
		"the image is gone": {args: []string{"--image-url=" + url, "--image-digest=sha256:" + strings.Repeat("0", 64)}, text: "fetching"},
		"no digest":         {args: []string{"--image-url=" + url}, code: 2, text: "image digest"},
		"no image":          {args: []string{"--image-digest=" + digest}, code: 2, text: "--image-url"},
		"no folder":         {args: []string{"--image-url=" + url, "--image-digest=" + digest, "--workdir=/nowhere"}, code: 2, text: "--workdir"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			code, stderr, verdict, _ := scan(t, tc.args...)
			if code != tc.code || verdict.Result != testoutput.Error || !strings.Contains(verdict.Note, tc.text) {
				t.Errorf("exit code = %d, verdict = %v, want %d and a note with %q: %s", code, verdict, tc.code, tc.text, stderr)
			}
		})
	}
}
