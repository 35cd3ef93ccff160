package gomod

import (
	"archive/zip"
	"bytes"
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

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/dirhash"

	"github.com/headrace-ci/headrace/pkg/prefetch/ecosystem"
	"github.com/headrace-ci/headrace/pkg/prefetch/fake"
	"github.com/headrace-ci/headrace/pkg/prefetch/fetch"
	"github.com/headrace-ci/headrace/pkg/run"
)

// origin is what a module proxy has of one module, and the go.sum lines that
// pin it.
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

var dep = module.Version{Path: "example.com/Dep", Version: "v1.2.3"}

const depSource = "package dep\n\n// Word is compiled in.\nconst Word = \"prefetched\"\n"

func project(sums string) map[string]string {
	return map[string]string{
		"go.mod":  "module example.com/app\n\ngo 1.21\n\nrequire example.com/Dep v1.2.3\n",
		"go.sum":  sums,
		"main.go": "package main\n\nimport \"example.com/Dep\"\n\nfunc main() { print(dep.Word) }\n",
	}
}

func TestFeedsAHermeticBuild(t *testing.T) {
	o := newOrigin(t, dep, depSource)
	mirror := fake.NewMirror(t, o.files)
	src := fake.Source(t, project(o.sums))
	job := fake.Job(t, src)
	job.Proxy = mirror.URL
	input := Input{Path: "."}

	result, err := input.Fetch(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	again, err := input.Fetch(t.Context(), job) // two inputs may share modules
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(result, again); diff != "" {
		t.Errorf("a second input differs (-first +second):\n%s", diff)
	}
	for path := range o.files {
		if n := mirror.Asked(path); n != 1 {
			t.Errorf("%s was asked for %d times", path, n)
		}
	}
	mirror.Close() // the build has no network

	env := []string{"GOMODCACHE=" + t.TempDir(), "GOFLAGS=-modcacherw", "GOWORK=off"}
	for _, v := range result.Env {
		env = append(env, v.Name+"="+v.Value)
	}
	for _, args := range [][]string{{"mod", "download"}, {"build", "-o", os.DevNull, "."}} {
		if err := (run.Command{Name: "go", Args: args, Dir: src, Env: env}).Run(t.Context()); err != nil {
			t.Errorf("go %v: %v", args, err)
		}
	}
	want := []string{"pkg:golang/example.com/app?type=module", "pkg:golang/example.com/Dep@v1.2.3?type=module"}
	if diff := cmp.Diff(want, fake.PURLs(append(result.Main, result.Components...))); diff != "" {
		t.Errorf("purls (-want +got):\n%s", diff)
	}
}

func TestFetchRefuses(t *testing.T) {
	o := newOrigin(t, dep, depSource)
	tampered := newOrigin(t, dep, "package dep\n\nconst Word = \"evil\"\n")
	cases := map[string]struct {
		files  map[string]string
		proxy  string // instead of the origin
		serve  map[string][]byte
		want   any    // error type
		text   string // in the error
		isHint string // in the hint
	}{
		"a module that is not what go.sum says": {
			files: project(o.sums), serve: tampered.files,
			want: new(*fetch.ChecksumError), text: "go.sum says", isHint: "compare with another",
		},
		"a requirement without a checksum": {
			files: project(""), want: new(*UnpinnedError), text: "example.com/Dep@v1.2.3", isHint: "go mod tidy",
		},
		"a module the proxy does not have": {
			files: project(o.sums), serve: map[string][]byte{}, want: new(*fetch.StatusError), text: "404 Not Found",
		},
		"a folder without go.mod": {
			files: map[string]string{"README": ""}, want: new(*ecosystem.InputError), text: "the source has no go.mod",
		},
		"a replacement outside the source": {
			files: map[string]string{"go.mod": "module m\n\nrequire example.com/Dep v1.2.3\n\nreplace example.com/Dep => ../../etc\n"},
			text:  "leaves the source",
		},
		"a vendored file that was changed": {
			files: vendor(project(o.sums), map[string]string{"example.com/Dep/dep.go": "package dep\n\nconst Word = \"evil\"\n"}),
			text:  "vendor/example.com/Dep/dep.go: differs from the file in module example.com/Dep@v1.2.3", isHint: "go mod vendor",
		},
		"a vendored file that was added": {
			files: vendor(project(o.sums), map[string]string{"example.com/Dep/evil.go": ""}),
			text:  "vendor/example.com/Dep/evil.go: is not in module", isHint: "go mod vendor",
		},
		"a vendored file of no module": {
			files: vendor(project(o.sums), map[string]string{"example.com/evil/evil.go": ""}), text: "is of no module",
		},
		"a vendored module that is not pinned": {
			files: vendor(project(o.sums), map[string]string{"modules.txt": "# example.com/Dep v1.2.3\n# example.com/evil v1.0.0\n", "example.com/evil/evil.go": ""}),
			want:  new(*UnpinnedError), text: "go.sum has no checksum of example.com/evil@v1.0.0",
		},
		"a vendored module from outside": {
			files: vendor(project(o.sums), map[string]string{"modules.txt": "# example.com/evil v1.0.0 => ../evil\n"}), text: "leaves the source",
		},
		"a go.mod that cannot be read": {
			files: map[string]string{"go.mod": "modul m\n"}, text: "unknown directive",
		},
		"no proxy": {
			files: project(o.sums), proxy: "direct,off", want: new(*ProxyError), isHint: "prefetch-config",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if tc.serve == nil {
				tc.serve = o.files
			}
			job := fake.Job(t, fake.Source(t, tc.files))
			job.Proxy = fake.NewMirror(t, tc.serve).URL
			if tc.proxy != "" {
				job.Proxy = tc.proxy
			}

			_, err := Input{Path: "."}.Fetch(t.Context(), job)

			if err == nil {
				t.Fatal("Fetch() = nil, want an error")
			}
			if tc.want != nil && !errors.As(err, tc.want) {
				t.Errorf("Fetch() = %T, want %T", err, tc.want)
			}
			if !strings.Contains(err.Error(), tc.text) {
				t.Errorf("Fetch() = %q, want it to contain %q", err, tc.text)
			}
			var hinted interface{ Hint() string }
			if tc.isHint != "" && (!errors.As(err, &hinted) || !strings.Contains(hinted.Hint(), tc.isHint)) {
				t.Errorf("Fetch() = %v, want the hint to contain %q", err, tc.isHint)
			}
		})
	}
}

// vendor adds a vendor folder to a project, with files besides what the module
// has.
func vendor(files, more map[string]string) map[string]string {
	files["vendor/modules.txt"] = "# example.com/Dep v1.2.3\n## explicit; go 1.21\nexample.com/Dep\n"
	files["vendor/example.com/Dep/dep.go"] = depSource
	for name, text := range more {
		files["vendor/"+name] = text
	}
	return files
}

func TestAVendorFolderIsHeldToGoSum(t *testing.T) {
	o := newOrigin(t, dep, depSource)
	files := vendor(project(o.sums), nil)
	files["go.mod"] += "\nrequire example.com/local v0.0.0\n\nreplace example.com/local => ./local\n"
	files["local/go.mod"], files["local/local.go"] = "module example.com/local\n", "package local\n"
	files["main.go"] += "\nvar _ = local.X\n"
	files["main.go"] = strings.Replace(files["main.go"], "import", "import \"example.com/local\"\n\nimport", 1)
	files["local/local.go"] += "\nconst X = 1\n"
	files["vendor/example.com/local/local.go"] = files["local/local.go"]
	files["vendor/modules.txt"] += "# example.com/local v0.0.0 => ./local\n## explicit\nexample.com/local\n# example.com/local => ./local\n"
	src := fake.Source(t, files)
	job := fake.Job(t, src)
	job.Proxy = fake.NewMirror(t, o.files).URL

	result, err := Input{Path: "."}.Fetch(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	cache, err := run.Output(t.Context(), "go", "env", "GOCACHE")
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"GOMODCACHE=" + t.TempDir(), "GOCACHE=" + strings.TrimSpace(string(cache)), "GOFLAGS=-modcacherw", "GOWORK=off"}
	fake.Build(t, src, ".", result, env, []string{"go", "build", "-o", os.DevNull, "."})

	files["vendor/example.com/Dep/dep.go"] += "// changed\n"
	job = fake.Job(t, fake.Source(t, files))
	job.Proxy, job.Permissive = fake.NewMirror(t, o.files).URL, true
	if _, err := (Input{Path: "."}).Fetch(t.Context(), job); err != nil {
		t.Errorf("in a permissive run: %v", err)
	}
}

func TestALineThatTidyWouldRemoveIsLeftOut(t *testing.T) {
	o := newOrigin(t, dep, depSource)
	zip, _, _ := strings.Cut(newOrigin(t, module.Version{Path: "example.com/left", Version: "v1.0.0"}, "").sums, "\n")
	job := fake.Job(t, fake.Source(t, project(o.sums+zip+"\n")))
	job.Proxy = fake.NewMirror(t, o.files).URL
	result, err := Input{Path: "."}.Fetch(t.Context(), job)
	if err != nil || len(result.Components) != 1 {
		t.Errorf("Fetch() = %v, %v, want the one module that can be used", result, err)
	}
}

func TestPermissiveLeavesOutWhatIsNotPinned(t *testing.T) {
	job := fake.Job(t, fake.Source(t, project("")))
	job.Permissive = true
	result, err := Input{Path: "."}.Fetch(t.Context(), job)
	if err != nil || len(result.Components) != 0 {
		t.Errorf("Fetch() = %v, %v, want nothing fetched", result, err)
	}
}

func TestProxiesInTurn(t *testing.T) {
	o := newOrigin(t, dep, depSource)
	good := fake.NewMirror(t, o.files)
	empty := fake.NewMirror(t, nil)
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "u" || password != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		good.ServeHTTP(w, r)
	}))
	defer refusing.Close()
	var asked atomic.Int32
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusForbidden)
	}))
	defer broken.Close()
	withLogin := strings.Replace(refusing.URL, "http://", "http://u:secret@", 1)
	cases := map[string]struct {
		proxies string
		fails   bool
	}{
		"the next has it":                         {proxies: empty.URL + "," + good.URL},
		"a refusal is final after a comma":        {proxies: broken.URL + "," + good.URL, fails: true},
		"any error leads on after a bar":          {proxies: broken.URL + "|" + good.URL},
		"a login in the URL":                      {proxies: withLogin},
		"off ends the list before one that helps": {proxies: empty.URL + ",off," + good.URL, fails: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			job := fake.Job(t, fake.Source(t, project(o.sums)))
			job.Proxy = tc.proxies

			result, err := Input{Path: "."}.Fetch(t.Context(), job)

			if (err != nil) != tc.fails {
				t.Fatalf("Fetch() = %v", err)
			}
			if err != nil {
				if strings.Contains(err.Error(), "secret") {
					t.Errorf("the error shows a password: %v", err)
				}
				return
			}
			for _, c := range result.Components {
				if strings.Contains(c.URL, "secret") {
					t.Errorf("the SBOM would show a password: %v", c.URL)
				}
			}
		})
	}
}
