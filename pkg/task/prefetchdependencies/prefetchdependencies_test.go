package prefetchdependencies_test

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/pkg/artifact"
	"github.com/headrace-ci/headrace/pkg/prefetch/fake"
	"github.com/headrace-ci/headrace/pkg/task/prefetchdependencies"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/test/fixture"
)

func runTask(t *testing.T, args ...string) (code int, stderr string, results map[string]string) {
	t.Helper()
	dir := t.TempDir()
	cmd := prefetchdependencies.Command()
	cmd.SetArgs(append(args, "--results-dir="+dir))
	var out bytes.Buffer
	code = taskcli.Run(context.Background(), cmd, &out)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	results = map[string]string{}
	for _, entry := range entries {
		raw, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		results[entry.Name()] = string(raw)
	}
	return code, out.String(), results
}

func TestNothingToFetchMovesNothing(t *testing.T) {
	uri := "oci:nowhere.invalid/x@sha256:" + strings.Repeat("0", 64)
	code, stderr, results := runTask(t, "--input=", "--source-artifact="+uri, "--oci-storage=nowhere.invalid/x:y")
	if code != 0 {
		t.Fatalf("exit code = %d: %s", code, stderr)
	}
	want := map[string]string{"SOURCE_ARTIFACT": uri, "CACHI2_ARTIFACT": ""}
	if diff := cmp.Diff(want, results); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

func TestFetchedFilesAreKeptAsAnArtifact(t *testing.T) {
	store := fixture.Registry(t) + "/app"
	src := t.TempDir()
	if err := os.WriteFile(filepath.Join(src, "go.mod"), []byte("module example.com/app\n\ngo 1.21\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	uris, err := artifact.Create(t.Context(), artifact.CreateOptions{Store: store + ":git", Paths: map[string]string{"S": src}})
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(nil)
	defer proxy.Close()
	t.Setenv("HERMETO_GOMOD__PROXY_URL", proxy.URL)

	code, stderr, results := runTask(t, "--input=gomod", "--source-artifact="+uris["S"], "--oci-storage="+store+":prefetch", "--work-dir="+t.TempDir())

	if code != 0 {
		t.Fatalf("exit code = %d: %s", code, stderr)
	}
	if results["SOURCE_ARTIFACT"] != uris["S"] {
		t.Errorf("SOURCE_ARTIFACT = %q, want the source handed on", results["SOURCE_ARTIFACT"])
	}
	kept := t.TempDir()
	if err := artifact.Use(t.Context(), results["CACHI2_ARTIFACT"], kept); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"cachi2.env":        "export GOPROXY=file:///cachi2/output/deps/gomod/pkg/mod/cache/download\n",
		"prefetch.env":      "export GOTOOLCHAIN=local\n",
		"prefetch-env.json": `{"name":"GOSUMDB","value":"off"}`,
		"output/bom.json":   `"pkg:golang/example.com/app?type=module"`,
	} {
		raw, err := os.ReadFile(filepath.Join(kept, name))
		if err != nil {
			t.Error(err)
			continue
		}
		if !strings.Contains(string(raw), want) {
			t.Errorf("%s = %s, want it to contain %q", name, raw, want)
		}
	}
}

// project depends on one npm package of a registry.
func project(t *testing.T, registry *fake.Mirror) string {
	dep := fake.Archive(t, map[string]string{"package/package.json": `{"name": "dep", "version": "1.0.0"}`})
	registry.Set("/dep/-/dep-1.0.0.tgz", dep)
	sum := sha512.Sum512(dep)
	return fake.Source(t, map[string]string{
		"package.json": `{"name": "app"}`,
		"package-lock.json": `{"name": "app", "lockfileVersion": 3, "packages": {"": {"name": "app"}, "node_modules/dep": {"version": "1.0.0",
			"resolved": "https://registry.npmjs.org/dep/-/dep-1.0.0.tgz", "integrity": "sha512-` + base64.StdEncoding.EncodeToString(sum[:]) + `"}}}`,
	})
}

const changed = `"resolved": "file:///cachi2/output/deps/npm/dep-1.0.0.tgz"`

func TestAChangedSourceIsHandedOn(t *testing.T) {
	registry := fake.NewMirror(t, map[string][]byte{})
	store := fixture.Registry(t) + "/app"
	uris, err := artifact.Create(t.Context(), artifact.CreateOptions{Store: store + ":git", Paths: map[string]string{"S": project(t, registry)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HERMETO_NPM__PROXY_URL", registry.URL)

	code, stderr, results := runTask(t, "--input=npm", "--source-artifact="+uris["S"], "--oci-storage="+store+":prefetch", "--work-dir="+t.TempDir())

	if code != 0 {
		t.Fatalf("exit code = %d: %s", code, stderr)
	}
	for name, want := range map[string]string{"SOURCE_ARTIFACT": "package-lock.json", "CACHI2_ARTIFACT": "output/deps/npm/dep-1.0.0.tgz"} {
		kept := t.TempDir()
		if err := artifact.Use(t.Context(), results[name], kept); err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(filepath.Join(kept, want))
		if err != nil || name == "SOURCE_ARTIFACT" && !strings.Contains(string(raw), changed) {
			t.Errorf("%s has %s, %v", name, raw, err)
		}
	}
}

func TestInAWorkspace(t *testing.T) {
	registry := fake.NewMirror(t, map[string][]byte{})
	source, fetched := project(t, registry), t.TempDir()
	left := filepath.Join(fetched, "output", "left.partial")
	if err := os.MkdirAll(filepath.Dir(left), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(left, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HERMETO_NPM__PROXY_URL", registry.URL)

	code, stderr, results := runTask(t, "--input=npm", "--source-dir="+source, "--prefetch-dir="+fetched)

	if code != 0 || len(results) != 0 {
		t.Fatalf("exit code = %d, results = %v: %s", code, results, stderr)
	}
	raw, err := os.ReadFile(filepath.Join(source, "package-lock.json"))
	if err != nil || !strings.Contains(string(raw), changed) {
		t.Errorf("package-lock.json = %s, %v", raw, err)
	}
	for _, name := range []string{"cachi2.env", "prefetch-env.json", "output/bom.json", "output/deps/npm/dep-1.0.0.tgz"} {
		if _, err := os.Stat(filepath.Join(fetched, name)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(left); err == nil {
		t.Error("what an earlier attempt left is still there")
	}

	if code, stderr, _ := runTask(t, "--input=", "--source-dir="+source, "--prefetch-dir="+fetched); code != 0 {
		t.Fatalf("exit code = %d: %s", code, stderr)
	}
	if _, err := os.Stat(fetched); err == nil {
		t.Error("with nothing to fetch, what an earlier run fetched is still there")
	}
}

func TestTheRegistryProxyIsAskedOnlyWhenItMayBe(t *testing.T) {
	registry := fake.NewMirror(t, map[string][]byte{})
	t.Setenv("HERMETO_NPM__PROXY_URL", registry.URL)
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	code, stderr, _ := runTask(t, "--input=npm", "--source-dir="+project(t, registry), "--prefetch-dir="+t.TempDir(),
		"--enable-package-registry-proxy=false", "--attempts=1")
	if code != 1 || registry.Asked("/dep/-/dep-1.0.0.tgz") != 0 {
		t.Errorf("exit code = %d, want 1 and the registry itself asked: %s", code, stderr)
	}
}

func TestLoginsAreNotLogged(t *testing.T) {
	registry := fake.NewMirror(t, map[string][]byte{})
	source := project(t, registry)
	netrc := fake.Source(t, map[string]string{".netrc": "machine 127.0.0.1 login u password hunter2"})
	t.Setenv("HERMETO_NPM__PROXY_URL", strings.Replace(registry.URL, "://", "://u:hunter3@", 1)+"/nothing-here")
	code, stderr, _ := runTask(t, "--input=npm", "--source-dir="+source, "--prefetch-dir="+t.TempDir(), "--netrc-dir="+netrc)
	if code != 1 || strings.Contains(stderr, "hunter") || !strings.Contains(stderr, "404") {
		t.Errorf("exit code = %d, want 1 and no password: %s", code, stderr)
	}
}

func TestCalledWrongly(t *testing.T) {
	cases := map[string]struct {
		args []string
		text string
	}{
		"a type that is refused":   {args: []string{"--input=x-maven"}, text: `--input: dependencies of type "x-maven" cannot be prefetched`},
		"a mode there is not":      {args: []string{"--mode=lax"}, text: "--mode:"},
		"an SBOM format to come":   {args: []string{"--sbom-type=cyclonedx"}, text: "--sbom-type:"},
		"settings to come":         {args: []string{"--config-file-content=gomod_strict_vendors: true"}, text: "gomod_strict_vendors"},
		"settings that are broken": {args: []string{"--config-file-content={"}, text: "not YAML"},
		"no place to keep it":      {args: []string{"--input=gomod"}, text: "--oci-storage: is empty"},
		"no folder to fill":        {args: []string{"--input=npm", "--source-dir=."}, text: "--prefetch-dir: is empty"},
		"no source":                {args: []string{"--input=gomod", "--oci-storage=r.test/x:y"}, text: "--source-artifact: is empty"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			code, stderr, results := runTask(t, tc.args...)
			if code != 2 || !strings.Contains(stderr, tc.text) {
				t.Errorf("exit code = %d, want 2, with %q: %s", code, tc.text, stderr)
			}
			if len(results) != 0 {
				t.Errorf("results = %v, want none", results)
			}
		})
	}
}

// TestHostileValues gives every param what would do harm if anything but this
// program read it.
func TestHostileValues(t *testing.T) {
	store := fixture.Registry(t) + "/app"
	uris, err := artifact.Create(t.Context(), artifact.CreateOptions{Store: store + ":git", Paths: map[string]string{
		"S": fake.Source(t, map[string]string{"go.mod": "module example.com/app\n\ngo 1.21\n"}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	proxy := fake.NewMirror(t, nil)
	t.Setenv("HERMETO_GOMOD__PROXY_URL", proxy.URL)
	t.Chdir(t.TempDir())
	params := map[string]string{
		"activation-key": "", "config-file-content": "", "input": "gomod", "log-level": "debug", "mode": "strict", "oci-artifact-expires-after": "",
		"oci-storage": store + ":prefetch", "pip-index-url": "", "sbom-type": "spdx", "source-artifact": uris["S"], "enable-package-registry-proxy": "true",
	}
	for param := range params {
		for _, hostile := range []string{"$(touch ran)", "`touch ran`", "'; touch ran; '", "--help", "-x", "a\nb: c", "../../etc/passwd", "\x00", strings.Repeat("x", 100<<10)} {
			args := []string{"--work-dir=" + t.TempDir()}
			for name, value := range params {
				if name == param {
					value = hostile
				}
				args = append(args, "--"+name+"="+value)
			}
			code, stderr, results := runTask(t, args...)
			if code != 0 && len(results) != 0 || code == 0 && len(results) != 2 || strings.Contains(stderr, "panic") {
				t.Errorf("--%s=%.20q: exit code = %d, results = %v: %.500s", param, hostile, code, results, stderr)
			}
			if _, err := os.Stat("ran"); err == nil {
				t.Fatalf("--%s=%.20q was run", param, hostile)
			}
		}
	}
}

func TestTheProjectDoesNotChooseTheProxy(t *testing.T) {
	code, stderr, _ := runTask(t, "--config-file-content=goproxy_url: https://evil.test")
	if code != 0 || !strings.Contains(stderr, "setting=goproxy_url") {
		t.Errorf("exit code = %d: %s", code, stderr)
	}
}
