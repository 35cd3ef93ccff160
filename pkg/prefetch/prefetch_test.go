package prefetch

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/dirhash"

	"github.com/headrace-ci/headrace/pkg/run"
)

// origin is a module proxy with one module, and the go.sum lines that pin it.
type origin struct {
	files map[string][]byte // by path
	sums  string
}

func newOrigin(t testing.TB, mod module.Version, content string) *origin {
	t.Helper()
	goModFile := "module " + mod.Path + "\n\ngo 1.21\n"
	var archive bytes.Buffer
	zw := zip.NewWriter(&archive)
	for name, text := range map[string]string{"go.mod": goModFile, "dep.go": content} {
		w, err := zw.Create(mod.String() + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "m.zip")
	if err := os.WriteFile(file, archive.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	zipSum, err := dirhash.HashZip(file, dirhash.Hash1)
	if err != nil {
		t.Fatal(err)
	}
	modSum, err := dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(goModFile)), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	at, err := location(mod)
	if err != nil {
		t.Fatal(err)
	}
	return &origin{
		files: map[string][]byte{"/" + at + ".zip": archive.Bytes(), "/" + at + ".mod": []byte(goModFile)},
		sums:  fmt.Sprintf("%s %s %s\n%s %s/go.mod %s\n", mod.Path, mod.Version, zipSum, mod.Path, mod.Version, modSum),
	}
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	content, ok := o.files[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write(content)
}

var dep = module.Version{Path: "example.com/Dep", Version: "v1.2.3"}

const depSource = "package dep\n\n// Word is compiled in.\nconst Word = \"prefetched\"\n"

func source(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func project(sums string) map[string]string {
	return map[string]string{
		"go.mod":  "module example.com/app\n\ngo 1.21\n\nrequire example.com/Dep v1.2.3\n",
		"go.sum":  sums,
		"main.go": "package main\n\nimport \"example.com/Dep\"\n\nfunc main() { print(dep.Word) }\n",
	}
}

func options(t testing.TB, source, proxies string) Options {
	return Options{
		Source: source, Output: t.TempDir(), Packages: []Package{{Type: "gomod", Path: "."}},
		Proxies: proxies, Transport: http.DefaultTransport, Attempts: 1,
	}
}

func TestRunFeedsAHermeticBuild(t *testing.T) {
	o := newOrigin(t, dep, depSource)
	server := httptest.NewServer(o)
	defer server.Close()
	src := source(t, project(o.sums))
	opts := options(t, src, server.URL)
	t.Setenv("SOURCE_DATE_EPOCH", "0")

	if err := Run(context.Background(), opts); err != nil {
		t.Fatal(err)
	}
	server.Close() // the build has no network

	env := []string{"GOMODCACHE=" + t.TempDir(), "GOFLAGS=-modcacherw", "GOWORK=off"}
	for _, v := range Env(opts.Output) {
		env = append(env, v.Name+"="+v.Value)
	}
	for _, args := range [][]string{{"mod", "download"}, {"build", "-o", os.DevNull, "."}} {
		if err := (run.Command{Name: "go", Args: args, Dir: src, Env: env}).Run(context.Background()); err != nil {
			t.Errorf("go %v: %v", args, err)
		}
	}
	var sbom struct {
		Packages []struct {
			Name, VersionInfo string
			ExternalRefs      []struct{ ReferenceLocator string }
		}
	}
	raw, err := os.ReadFile(filepath.Join(opts.Output, "bom.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &sbom); err != nil {
		t.Fatal(err)
	}
	var purls []string
	for _, pkg := range sbom.Packages {
		purls = append(purls, pkg.ExternalRefs[0].ReferenceLocator)
	}
	want := []string{"pkg:golang/example.com/app?type=module", "pkg:golang/example.com/Dep@v1.2.3?type=module"}
	if diff := cmp.Diff(want, purls); diff != "" {
		t.Errorf("purls (-want +got):\n%s", diff)
	}
	again := opts
	again.Output = t.TempDir()
	server = httptest.NewServer(o)
	defer server.Close()
	again.Proxies = server.URL
	if err := Run(context.Background(), again); err != nil {
		t.Fatal(err)
	}
	raw2, err := os.ReadFile(filepath.Join(again.Output, "bom.json"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(raw), strings.ReplaceAll(string(raw2), again.Proxies, opts.Proxies)); diff != "" {
		t.Errorf("a second run differs:\n%s", diff)
	}
}

func TestRunRefuses(t *testing.T) {
	o := newOrigin(t, dep, depSource)
	cases := map[string]struct {
		files  map[string]string
		change func(*Options)
		serve  func(http.Handler) http.Handler
		want   any    // error type
		text   string // in the error
	}{
		"a module that is not what go.sum says": {
			files: project(corrupt(o.sums)),
			want:  new(*ChecksumError), text: "go.sum says",
		},
		"a requirement without a checksum": {
			files: project(""), want: new(*UnpinnedError), text: "example.com/Dep@v1.2.3",
		},
		"a module the proxy does not have": {
			files: project(o.sums), serve: func(http.Handler) http.Handler { return http.NotFoundHandler() },
			want: new(*StatusError), text: "404 Not Found",
		},
		"a folder without go.mod": {
			files: map[string]string{"README": ""}, want: new(*InputError), text: "the source has no go.mod",
		},
		"a replacement outside the source": {
			files: map[string]string{"go.mod": "module m\n\nrequire example.com/Dep v1.2.3\n\nreplace example.com/Dep => ../../etc\n"},
			text:  "leaves the source",
		},
		"a vendor folder": {
			files: map[string]string{"go.mod": "module m\n", "vendor/modules.txt": ""}, want: new(*InputError), text: "vendored",
		},
		"a go.mod that cannot be read": {
			files: map[string]string{"go.mod": "modul m\n"}, text: "unknown directive",
		},
		"no proxy": {
			files: project(o.sums), change: func(opts *Options) { opts.Proxies = "direct,off" }, want: new(*ProxyError),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var handler http.Handler = o
			if tc.serve != nil {
				handler = tc.serve(o)
			}
			server := httptest.NewServer(handler)
			defer server.Close()
			opts := options(t, source(t, tc.files), server.URL)
			if tc.change != nil {
				tc.change(&opts)
			}

			err := Run(context.Background(), opts)

			if err == nil {
				t.Fatal("Run() = nil, want an error")
			}
			if tc.want != nil && !errors.As(err, tc.want) {
				t.Errorf("Run() = %T, want %T", err, tc.want)
			}
			if !strings.Contains(err.Error(), tc.text) {
				t.Errorf("Run() = %q, want it to contain %q", err, tc.text)
			}
		})
	}
}

// corrupt changes the first checksum and leaves it well formed.
func corrupt(sums string) string {
	at := strings.Index(sums, "h1:") + 3
	other := "A"
	if sums[at:at+1] == other {
		other = "B"
	}
	return sums[:at] + other + sums[at+1:]
}

func TestProxiesInTurn(t *testing.T) {
	o := newOrigin(t, dep, depSource)
	good := httptest.NewServer(o)
	defer good.Close()
	empty := httptest.NewServer(http.NotFoundHandler())
	defer empty.Close()
	var asked atomic.Int32
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) <= 2 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		o.ServeHTTP(w, r)
	}))
	defer busy.Close()
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "u" || password != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		o.ServeHTTP(w, r)
	}))
	defer refusing.Close()
	withLogin := strings.Replace(refusing.URL, "http://", "http://u:secret@", 1)
	cases := map[string]struct {
		proxies string
		netrc   string
		fails   bool
	}{
		"the next has it":                         {proxies: empty.URL + "," + good.URL},
		"a refusal is final after a comma":        {proxies: refusing.URL + "," + good.URL, fails: true},
		"any error leads on after a bar":          {proxies: refusing.URL + "|" + good.URL},
		"what is busy is asked again":             {proxies: busy.URL},
		"a login in the URL":                      {proxies: withLogin},
		"a login for the host in .netrc":          {proxies: refusing.URL, netrc: "machine 127.0.0.1 login u password secret"},
		"a login for another host is not given":   {proxies: refusing.URL, netrc: "machine example.com login u password secret", fails: true},
		"off ends the list before one that helps": {proxies: empty.URL + ",off," + good.URL, fails: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			opts := options(t, source(t, project(o.sums)), tc.proxies)
			opts.Attempts = 3
			opts.Netrc = filepath.Join(t.TempDir(), ".netrc")
			if err := os.WriteFile(opts.Netrc, []byte(tc.netrc), 0o600); err != nil {
				t.Fatal(err)
			}
			p, err := newProxies(opts)
			if err != nil {
				t.Fatal(err)
			}
			p.pause = time.Millisecond
			sums, err := parseSums([]byte(o.sums))
			if err != nil {
				t.Fatal(err)
			}

			fetched, err := p.fetchAll(context.Background(), sums, opts.Output)

			if (err != nil) != tc.fails {
				t.Fatalf("fetchAll() = %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows a password: %v", err)
			}
			for _, mod := range fetched {
				if strings.Contains(mod.URL, "secret") {
					t.Errorf("the SBOM would show a password: %v", mod.URL)
				}
			}
		})
	}
}
