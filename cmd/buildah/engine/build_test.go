package engine_test

import (
	"archive/tar"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sys/unix"

	"github.com/headrace-ci/headrace/cmd/buildah/engine"
	"github.com/headrace-ci/headrace/pkg/oci"
	task "github.com/headrace-ci/headrace/pkg/task/buildah"
	"github.com/headrace-ci/headrace/test/fixture/image"
)

// server is a registry, and a file for ADD; it refuses to be written to below
// /v2/closed.
var server = sync.OnceValue(func() *httptest.Server {
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/file":
			_, _ = io.WriteString(w, "fetched")
		case strings.HasPrefix(r.URL.Path, "/v2/closed/") && r.Method != http.MethodGet:
			w.WriteHeader(http.StatusForbidden)
		default:
			images.ServeHTTP(w, r)
		}
	}))
	return s
})

// setUp starts the registry with a base image in it, and returns its host.
func setUp(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, which is what may map users into a namespace")
	}
	s := server()
	dir := t.TempDir()
	roots := filepath.Join(dir, "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}
	if err := os.WriteFile(roots, pem.EncodeToMemory(block), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"SSL_CERT_FILE": roots, "DOCKER_CONFIG": dir} {
		if err := os.Setenv(name, value); err != nil {
			t.Fatal(err)
		}
	}
	host := strings.TrimPrefix(s.URL, "https://")
	files := image.Files{}
	for _, program := range []string{"/bin/sh", "/bin/cat"} {
		needed, err := image.Program(program)
		if err != nil {
			t.Skipf("making a base image: %v", err)
		}
		maps.Copy(files, needed)
		if files[program], err = filepath.EvalSymlinks(program); err != nil {
			t.Fatal(err)
		}
	}
	layer, err := image.Layer(dir, files, nil)
	if err != nil {
		t.Fatal(err)
	}
	start := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	base, err := mutate.AppendLayers(start, layer)
	if err != nil {
		t.Fatal(err)
	}
	if base, err = mutate.ConfigFile(base, &v1.ConfigFile{OS: "linux", Architecture: runtime.GOARCH, RootFS: rootFS(t, base), Config: v1.Config{Env: []string{"PATH=/bin"}}}); err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(host + "/base/shell:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, base, oci.Options(t.Context())...); err != nil {
		t.Fatal(err)
	}
	return host
}

func rootFS(t *testing.T, img v1.Image) v1.RootFS {
	t.Helper()
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return config.RootFS
}

// build builds a Containerfile in a folder with the given files.
func build(t *testing.T, host string, files map[string]string, change func(*task.Plan)) (task.Built, error) {
	t.Helper()
	source := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(source, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	storage, err := os.MkdirTemp("", "storage-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.Unmount(filepath.Join(storage, "storage", "overlay"), unix.MNT_DETACH) // if the driver is that
		if err := os.RemoveAll(storage); err != nil {
			t.Error(err)
		}
	})
	plan := task.Plan{
		Image: host + "/team/app:1", ExtraTag: "run-1", Context: source, Containerfile: filepath.Join(source, "Containerfile"),
		Format: "oci", Driver: "overlay", SkipUnusedStages: true, InheritLabels: true, Args: map[string]string{"BASE": host + "/base/shell:1"},
	}
	if change != nil {
		change(&plan)
	}
	return engine.Engine{Storage: storage}.Build(t.Context(), plan)
}

func TestBuildWithoutNetwork(t *testing.T) {
	host := setUp(t)
	prefetched := t.TempDir()
	if err := os.WriteFile(filepath.Join(prefetched, "dep"), []byte("dependency"), 0o644); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(secret, []byte("hush"), 0o600); err != nil {
		t.Fatal(err)
	}
	built, err := build(t, host, map[string]string{
		"Containerfile": `ARG BASE
FROM ${BASE} AS unused
RUN exit 1
FROM ${BASE} AS builder
RUN test "$FROM_PREFETCH" = yes && cat /cachi2/dep > /out
RUN --mount=type=secret,id=s/token test "$(cat /run/secrets/s/token)" = hush
FROM ${BASE}
COPY --from=builder /out /app/out
COPY data /app/data
RUN cat /proc/net/dev > /app/net; echo ran > /app/ran
LABEL own=file
`, "data": "copied",
	}, func(p *task.Plan) {
		p.Hermetic = true
		p.RunEnv, p.Volumes = []string{"FROM_PREFETCH=yes"}, []string{prefetched + ":/cachi2:ro"}
		p.Secrets = map[string]string{"s/token": secret}
		p.Labels, p.Annotations, p.Env = []string{"own=param", "vcs-ref=abc"}, []string{"note=x"}, []string{"SET=1"}
	})
	if err != nil {
		t.Fatal(err)
	}
	img := pushed(t, host+"/team/app:1", built.Digest)
	pushed(t, host+"/team/app:run-1", built.Digest)
	content := contents(t, img)
	for file, want := range map[string]string{"app/out": "dependency", "app/data": "copied", "app/ran": "ran\n"} {
		if content[file] != want {
			t.Errorf("%s is %q, want %q", file, content[file], want)
		}
	}
	if devices := content["app/net"]; strings.Count(devices, ":") != 1 || !strings.Contains(devices, "lo:") {
		t.Errorf("RUN had these network devices, want loopback alone:\n%s", devices)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if l := config.Config.Labels; l["own"] != "param" || l["vcs-ref"] != "abc" {
		t.Errorf("labels are %v", l)
	}
	if env := strings.Join(config.Config.Env, " "); strings.Contains(env, "FROM_PREFETCH") || !strings.Contains(env, "SET=1") {
		t.Errorf("environment is %q", env)
	}
	manifest, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if manifest.Annotations["note"] != "x" {
		t.Errorf("annotations are %v", manifest.Annotations)
	}
	if len(built.Bases) != 1 || !built.Bases[0].Final || built.Bases[0].Name != host+"/base/shell:1" || !strings.HasPrefix(built.Bases[0].Digest, "sha256:") {
		t.Errorf("bases are %+v", built.Bases)
	}
}

func TestOnlyHermeticBuildsHaveNoNetwork(t *testing.T) {
	host := setUp(t)
	// The program that fetches is this one, and knows the registry's certificate.
	files := map[string]string{"Containerfile": "ARG BASE\nFROM ${BASE}\nADD https://" + host + "/file /fetched\n"}
	built, err := build(t, host, files, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := contents(t, pushed(t, host+"/team/app:1", built.Digest))["fetched"]; got != "fetched" {
		t.Errorf("fetched %q", got)
	}
	_, err = build(t, host, files, func(p *task.Plan) { p.Hermetic = true })
	var hinter interface{ Hint() string }
	if !errors.As(err, &hinter) || !strings.Contains(hinter.Hint(), "no network") {
		t.Errorf("error is %v, want one that tells of the network", err)
	}
}

// What a Containerfile runs may see the image and what it was given, and not
// what else is there: the push's login, say.
func TestRunSeesNothingElse(t *testing.T) {
	host := setUp(t)
	login := filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json")
	if err := os.WriteFile(login, []byte(`{}`), 0o644); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"Containerfile": `ARG BASE
FROM ${BASE}
RUN for p in "" /proc/*/root /proc/*/cwd /proc/*/fd/*; do if test -e "$p` + login + `"; then exit 1; fi; done
`}
	if _, err := build(t, host, files, nil); err != nil {
		t.Error(err)
	}
	// The same, where there is something to see.
	dir := filepath.Dir(login)
	if _, err := build(t, host, files, func(p *task.Plan) { p.Volumes = []string{dir + ":" + dir + ":ro"} }); err == nil {
		t.Error("the search does not find what is there")
	}
}

func TestBuildErrors(t *testing.T) {
	host := setUp(t)
	cases := map[string]struct {
		containerfile string
		change        func(*task.Plan)
		want          string
	}{
		"an instruction fails":       {containerfile: "FROM ${BASE}\nRUN exit 3\n", want: `building "Containerfile": at step "RUN exit 3": exit status 3`},
		"the base is not there":      {containerfile: "FROM " + host + "/base/none:1\n", want: `pulling base image "` + host + `/base/none:1"`},
		"the base has a short name":  {containerfile: "FROM shell\n", want: `pulling base image "shell"`},
		"there is no such stage":     {containerfile: "FROM ${BASE}\n", change: func(p *task.Plan) { p.Target = "x" }, want: `no stage "x"`},
		"the registry refuses":       {containerfile: "FROM ${BASE}\n", change: func(p *task.Plan) { p.Image = host + "/closed/app:1" }, want: "asking to push to"},
		"it is no Containerfile":     {containerfile: "FROM\n", want: "reading the Containerfile"},
		"nothing is read out of /..": {containerfile: "FROM ${BASE}\nCOPY ../../etc/hostname /x\n", want: `at step "COPY ../../etc/hostname /x"`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := build(t, host, map[string]string{"Containerfile": "ARG BASE\n" + tc.containerfile}, tc.change)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error is %v, want %q", err, tc.want)
			}
		})
	}
}

// pushed is the image under a tag, which has to be that of the digest.
func pushed(t *testing.T, tag, digest string) v1.Image {
	t.Helper()
	ref, err := name.ParseReference(tag)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(ref, oci.Options(t.Context())...)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := img.Digest(); err != nil || got.String() != digest {
		t.Fatalf("%s is %s, %v; want %s", tag, got, err, digest)
	}
	return img
}

func contents(t *testing.T, img v1.Image) map[string]string {
	t.Helper()
	stream := mutate.Extract(img)
	defer stream.Close()
	files := map[string]string{}
	for r := tar.NewReader(stream); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.FileInfo().Mode()&fs.ModeType == 0 && header.Size < 1<<16 {
			raw, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			files[header.Name] = string(raw)
		}
	}
}
