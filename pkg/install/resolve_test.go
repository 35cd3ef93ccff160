package install

import (
	"bytes"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func newRegistry(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(registry.New())
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func TestWhatTheRegistryLostIsPushedAgain(t *testing.T) {
	// Two registries stand for one before and after it lost everything; only
	// the host differs.
	before, after := newRegistry(t), newRegistry(t)
	img, err := random.Image(100, 1)
	if err != nil {
		t.Fatal(err)
	}
	index, err := random.Index(100, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	imgDigest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	indexDigest, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	refs := func(host string) []string {
		return []string{host + "/platform/a@" + imgDigest.String(), host + "/platform/b@" + indexDigest.String()}
	}
	if err := remote.Write(digest(t, refs(before)[0]), img); err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(digest(t, refs(before)[1]), index); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "kept")
	if err := keep(t.Context(), refs(before), dir); err != nil {
		t.Fatal(err)
	}

	var out bytes.Buffer
	in := New(Options{Registry: after}, nil, &out)
	for range 2 {
		if err := in.restore(t.Context(), tekton, []byte(strings.Join(refs(after), "\n")), dir); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Count(out.String(), "pushed 2 images"); got != 1 {
		t.Errorf("want one push, the second time nothing:\n%s", &out)
	}
	for _, ref := range refs(after) {
		if ok, err := present(t.Context(), digest(t, ref)); err != nil || !ok {
			t.Errorf("%s is there: %v, %v", ref, ok, err)
		}
	}
	err = in.restore(t.Context(), tekton, []byte(refs(newRegistry(t))[0]), filepath.Join(dir, "elsewhere"))
	if err != nil {
		t.Errorf("an image of another registry is not ours to push: %v", err)
	}
}

func digest(t *testing.T, s string) name.Digest {
	t.Helper()
	d, err := name.NewDigest(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTheBaseImageIsMadeOnce(t *testing.T) {
	host := newRegistry(t)
	var out bytes.Buffer
	in := New(Options{Registry: host + "/team", Arch: "amd64"}, nil, &out)
	first, err := in.ensureBase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second, err := in.ensureBase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if first != second || !strings.HasPrefix(first, host+"/team/platform/base@sha256:") {
		t.Errorf("first %s, then %s", first, second)
	}
	if got := strings.Count(out.String(), "made the base image"); got != 1 {
		t.Errorf("made %d times:\n%s", got, &out)
	}
}

func TestABuildIsKeptByItsInputs(t *testing.T) {
	source := t.TempDir()
	dir := filepath.Join(source, "bundles", "platform", "tekton")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(sum string) {
		for file, content := range map[string]string{"go.mod": "module m\n", "go.sum": sum} {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	seen := map[string]string{}
	for _, test := range []struct{ name, sum, base, registry string }{
		{"as it is", "a", "base@1", "r"},
		{"another go.sum", "b", "base@1", "r"},
		{"another base", "a", "base@2", "r"},
		{"another registry", "a", "base@1", "s"},
	} {
		write(test.sum)
		in := New(Options{Source: source, Registry: test.registry, Cache: "cache"}, nil, nil)
		key, err := in.cacheDir(t.Context(), tekton, test.base)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[key]; ok {
			t.Errorf("%q and %q have the same key", test.name, other)
		}
		seen[key] = test.name
	}
}

func TestTheOldestBuildsGo(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	for i, name := range []string{"tekton-old", "tekton-before", "tekton-now", "chains-old"} {
		path := filepath.Join(dir, name)
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		when := now.Add(time.Duration(i) * time.Hour)
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	if err := prune(dir, "tekton-"); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, entry := range entries {
		left = append(left, entry.Name())
	}
	if diff := cmp.Diff([]string{"chains-old", "tekton-before", "tekton-now"}, left); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOnlyWhatIsBuiltAndPushedIsPassedOn(t *testing.T) {
	var out bytes.Buffer
	log := &koLog{progress: newProgress(&out)}
	for _, part := range []string{"2026/01/02 03:04:05 Buil", "ding example.com/a for linux/amd64\n?? dirty\n", "2026/01/02 03:04:05 existing blob: x\n2026/01/02 03:04:05 Published r/a@sha256:1\n"} {
		if _, err := log.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff("   0s    building example.com/a\n   0s    published r/a@sha256:1\n", out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
