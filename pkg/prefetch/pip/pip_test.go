package pip

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/pkg/prefetch/ecosystem"
	"github.com/headrace-ci/headrace/pkg/prefetch/fake"
	"github.com/headrace-ci/headrace/pkg/prefetch/fetch"
)

// pack makes a wheel with one module that holds a word.
func pack(t testing.TB, name, word string) []byte {
	t.Helper()
	var out bytes.Buffer
	archive := zip.NewWriter(&out)
	info := name + "-1.0.dist-info/"
	for _, file := range [][2]string{
		{name + ".py", fmt.Sprintf("WORD = %q\n", word)},
		{info + "METADATA", "Metadata-Version: 2.1\nName: " + name + "\nVersion: 1.0\n"},
		{info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{info + "RECORD", name + ".py,,\n" + info + "METADATA,,\n" + info + "WHEEL,,\n" + info + "RECORD,,\n"},
	} {
		w, err := archive.Create(file[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, file[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// backend builds a source archive with nothing but Python: it packs the wheel
// that stands in the archive.
const backend = `
import shutil
def build_wheel(directory, config_settings=None, metadata_directory=None):
    shutil.copy("built.whl", directory + "/sourced-1.0-py3-none-any.whl")
    return "sourced-1.0-py3-none-any.whl"
`

func sdist(t testing.TB) []byte {
	return fake.Archive(t, map[string]string{
		"sourced-1.0/PKG-INFO":       "Metadata-Version: 2.1\nName: sourced\nVersion: 1.0\n",
		"sourced-1.0/pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n",
		"sourced-1.0/backend.py":     backend,
		"sourced-1.0/built.whl":      string(pack(t, "sourced", "from source")),
	})
}

func hash(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }

// index serves a simple index, in JSON or in HTML, of files by project.
type index struct {
	files    map[string][]byte // by project/filename
	asJSON   bool
	noHashes bool
	login    bool // u and secret are asked for
}

func (x *index) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if user, password, _ := r.BasicAuth(); x.login && (user != "u" || password != "secret") {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if content, ok := x.files[strings.TrimPrefix(r.URL.Path, "/files/")]; ok {
		_, _ = w.Write(content)
		return
	}
	project := strings.Trim(strings.TrimPrefix(r.URL.Path, "/simple"), "/")
	page := struct {
		Files []map[string]any `json:"files"`
	}{}
	var anchors strings.Builder
	for name, content := range x.files {
		if path.Dir(name) != project {
			continue
		}
		hashes, fragment := map[string]string{"sha256": hash(content)[7:]}, "#sha256="+hash(content)[7:]
		if x.noHashes {
			hashes, fragment = nil, ""
		}
		page.Files = append(page.Files, map[string]any{"filename": path.Base(name), "url": "../../files/" + name, "hashes": hashes, "yanked": false})
		fmt.Fprintf(&anchors, "<a href=\"../../files/%s%s\" data-requires-python=\"&gt;=3\">%s</a><br>\n", name, fragment, path.Base(name))
	}
	switch {
	case len(page.Files) == 0:
		http.NotFound(w, r)
	case x.asJSON:
		w.Header().Set("Content-Type", "application/vnd.pypi.simple.v1+json")
		_ = json.NewEncoder(w).Encode(page)
	default:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, "<!DOCTYPE html><html><body>%s</body></html>", anchors.String())
	}
}

func serve(t testing.TB, x *index) string {
	t.Helper()
	server := httptest.NewServer(x)
	t.Cleanup(server.Close)
	return server.URL
}

func parse(t testing.TB, text string) Input {
	t.Helper()
	input, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return input.(Input)
}

func TestFeedsAHermeticBuild(t *testing.T) {
	source, binary, direct := sdist(t), pack(t, "wheeled", "from a wheel"), pack(t, "direct", "by URL")
	for _, asJSON := range []bool{true, false} {
		t.Run(fmt.Sprintf("JSON=%t", asJSON), func(t *testing.T) {
			at := serve(t, &index{asJSON: asJSON, files: map[string][]byte{
				"sourced/sourced-1.0.tar.gz": source, "sourced/sourced-1.1.tar.gz": []byte("another version"),
				"wheeled/wheeled-1.0-py3-none-any.whl":                binary,
				"wheeled/wheeled-1.0-cp39-cp39-win_amd64.whl":         []byte("for another system"),
				"direct/direct-1.0-py3-none-any.whl":                  direct,
				"wheeled/wheeled-1.0.post1-py3-none-any.whl.metadata": []byte("no package"),
			}})
			src := fake.Source(t, map[string]string{
				"app/pyproject.toml": "[project]\nname = \"My.App\"\nversion = \"3\"\n",
				"app/requirements.txt": "# comment\n--require-hashes\nSourced[extra] == 1.0 ; python_version > '2' \\\n    --hash=" + hash(source) + "  # comment\n" +
					"-r more/wheels.txt\n" +
					"direct @ " + at + "/files/direct/direct-1.0-py3-none-any.whl --hash=" + hash(direct) + "\n",
				"app/more/wheels.txt":        "wheeled==1.0 --hash=" + hash([]byte("no such file")) + " --hash=" + hash(binary) + "\n",
				"app/requirements-build.txt": "wheeled==1.0 --hash=" + hash(binary) + "\n",
			})
			job := fake.Job(t, src)
			job.Proxy = at + "/simple"

			result, err := parse(t, `{"type": "pip", "path": "app", "binary": {}}`).Fetch(t.Context(), job)
			if err != nil {
				t.Fatal(err)
			}
			got := fake.PURLs(append(result.Main, result.Components...))
			for i := range got {
				got[i], _, _ = strings.Cut(got[i], "?")
			}
			want := []string{"pkg:pypi/my-app@3#app", "pkg:pypi/sourced@1.0", "pkg:pypi/direct", "pkg:pypi/wheeled@1.0", "pkg:pypi/wheeled@1.0"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("purls (-want +got):\n%s", diff)
			}
			properties := []ecosystem.Property{{Name: ecosystem.PipBinary, Value: "true"}, {Name: ecosystem.PipBuild, Value: "true"}}
			if diff := cmp.Diff(properties, result.Components[3].Properties); diff != "" {
				t.Errorf("properties of the build's wheel (-want +got):\n%s", diff)
			}

			if asJSON {
				return // what is fetched is the same, and pip is slow
			}
			fake.Tool(t, "pip")
			venv := t.TempDir()
			script := "import sourced, wheeled, direct; print(sourced.WORD, wheeled.WORD, direct.WORD)"
			env := []string{"PIP_CONFIG_FILE=" + os.DevNull, "PYTHONPATH=" + venv, "PIP_DISABLE_PIP_VERSION_CHECK=1"}
			out := fake.Build(t, src, "app", result, env,
				[]string{"pip", "install", "--no-cache-dir", "--target=" + venv, "-r", "requirements.txt"},
				[]string{"python3", "-c", script})
			if out != "from source from a wheel by URL\n" {
				t.Errorf("the program says %q", out)
			}
		})
	}
}

func TestFetchRefuses(t *testing.T) {
	good := hash([]byte("good"))
	cases := map[string]struct {
		files map[string]string // %s is the mirror
		input string
		serve *index
		want  any
		text  string
		hint  string
	}{
		"another content than is pinned": {
			files: map[string]string{run: "dep==1.0 --hash=" + good}, serve: &index{noHashes: true},
			want: new(*fetch.ChecksumError), text: "dep 1.0", hint: "before you touch requirements.txt",
		},
		"a hash the index does not have": {
			files: map[string]string{run: "dep==1.0 --hash=" + good}, text: "no source archive of dep 1.0 has a hash that is pinned", hint: "binary",
		},
		"no hash":              {files: map[string]string{run: "dep==1.0"}, want: new(*fetch.UnpinnedError), text: "requirements.txt has no checksum of dep 1.0", hint: "--generate-hashes"},
		"a hash that is weak":  {files: map[string]string{run: "dep==1.0 --hash=md5:00"}, text: `checksum "md5:00"`, hint: "--generate-hashes"},
		"no version":           {files: map[string]string{run: "dep --hash=" + good}, text: "dep is not pinned to one version", hint: "=="},
		"a range":              {files: map[string]string{run: "dep>=1.0,<2 --hash=" + good}, text: "dep is not pinned to one version"},
		"a pattern":            {files: map[string]string{run: "dep==1.* --hash=" + good}, text: "dep is not pinned to one version"},
		"a version not there":  {files: map[string]string{run: "dep==2.0 --hash=" + good}, text: "the index has no dep 2.0", hint: "check name"},
		"a project not there":  {files: map[string]string{run: "deb==1.0 --hash=" + good}, text: "the index has no deb 1.0"},
		"a git repository":     {files: map[string]string{run: "dep @ git+https://h.test/x@0000 --hash=" + good}, text: "dep does not come as an archive", hint: "http"},
		"a folder":             {files: map[string]string{run: "./dep"}, text: `"./dep" is not a requirement`, hint: "name==version"},
		"a URL alone":          {files: map[string]string{run: "https://h.test/dep.whl"}, text: "is not a requirement", hint: "name @ URL"},
		"an editable project":  {files: map[string]string{run: "-e ."}, text: "option -e is not supported", hint: "Containerfile"},
		"a second index":       {files: map[string]string{run: "--extra-index-url https://h.test"}, text: "option --extra-index-url is not supported", hint: "one index"},
		"an index with login":  {files: map[string]string{run: "-i https://u:secret@h.test/simple"}, text: "holds a login", hint: "workspace netrc"},
		"a URL with login":     {files: map[string]string{run: "dep @ https://u:secret@h.test/x.whl --hash=" + good}, text: "the URL of dep has a login"},
		"an unknown option":    {files: map[string]string{run: "--what"}, text: `option "--what" is not known`},
		"an option alone":      {files: map[string]string{run: "--index-url"}, text: "has no value"},
		"a file that leaves":   {files: map[string]string{run: "-r ../x.txt"}, text: `"../x.txt" leaves the source`},
		"a file not there":     {files: map[string]string{run: "-r x.txt"}, want: new(*ecosystem.InputError), text: "the source has no x.txt"},
		"no file":              {files: map[string]string{"setup.py": ""}, want: new(*ecosystem.InputError), text: "the source has no requirements.txt", hint: "requirements_files"},
		"wheels alone, and no": {files: map[string]string{run: "dep==1.0 --hash=" + good}, input: `{"binary": {"packages": "dep"}}`, text: "no file of dep 1.0 that binary asks for"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if tc.serve == nil {
				tc.serve = &index{asJSON: true}
			}
			tc.serve.files = map[string][]byte{"dep/dep-1.0.tar.gz": []byte("evil")}
			job := fake.Job(t, fake.Source(t, tc.files))
			job.Proxy = serve(t, tc.serve) + "/simple/"
			if tc.input == "" {
				tc.input = "{}"
			}

			_, err := parse(t, tc.input).Fetch(t.Context(), job)

			if err == nil || !strings.Contains(err.Error(), tc.text) || strings.Contains(err.Error(), "secret") {
				t.Fatalf("Fetch() = %v, want an error with %q", err, tc.text)
			}
			if tc.want != nil && !errors.As(err, tc.want) {
				t.Errorf("Fetch() = %T, want %T", err, tc.want)
			}
			var hinted interface{ Hint() string }
			if !errors.As(err, &hinted) || !strings.Contains(hinted.Hint(), tc.hint) {
				t.Errorf("Fetch() = %v, want the hint to contain %q", err, tc.hint)
			}
		})
	}
}

func TestAPrivateIndexWithLogin(t *testing.T) {
	content := sdist(t)
	at := serve(t, &index{asJSON: true, login: true, files: map[string][]byte{"sourced/sourced-1.0.tar.gz": content}})
	netrc := filepath.Join(t.TempDir(), ".netrc")
	if err := os.WriteFile(netrc, []byte("machine 127.0.0.1 login u password secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	lines := "sourced==1 --hash=" + hash(content)
	withLogin := strings.Replace(at, "://", "://u:secret@", 1)
	for name, set := range map[string]func(*ecosystem.Job) string{
		"in the file":     func(*ecosystem.Job) string { return "--index-url " + at + "/simple\n" + lines },
		"in the param":    func(job *ecosystem.Job) string { job.Index = at + "/simple"; return lines },
		"as a proxy":      func(job *ecosystem.Job) string { job.Proxy = at + "/simple"; return lines },
		"login in proxy":  func(job *ecosystem.Job) string { job.Proxy = withLogin + "/simple"; return lines },
		"public by param": func(job *ecosystem.Job) string { job.Index, job.Proxy = publicIndex, at+"/simple"; return lines },
	} {
		t.Run(name, func(t *testing.T) {
			job := fake.Job(t, t.TempDir())
			client, err := fetch.New(fetch.Options{Transport: http.DefaultTransport, Attempts: 1, Netrc: netrc})
			if err != nil {
				t.Fatal(err)
			}
			job.Client = client
			text := set(&job)
			job.Source = fake.Job(t, fake.Source(t, map[string]string{run: text})).Source

			result, err := Input{Path: "."}.Fetch(t.Context(), job)
			if err != nil {
				t.Fatal(err)
			}
			if shown := fmt.Sprint(result); strings.Contains(shown, "secret") {
				t.Errorf("a secret is shown: %s", shown)
			}
			private := !strings.Contains(name, "proxy") && !strings.Contains(name, "public")
			if purl := result.Components[0].PURL; private != strings.Contains(purl, "repository_url=") {
				t.Errorf("purl = %s, want a repository_url where the index is private", purl)
			}
		})
	}
}

func TestPermissiveTakesWhatTheIndexSays(t *testing.T) {
	at := serve(t, &index{asJSON: true, files: map[string][]byte{"sourced/sourced-1.0.tar.gz": sdist(t)}})
	job := fake.Job(t, fake.Source(t, map[string]string{run: "sourced==1.0"}))
	job.Permissive, job.Proxy = true, at+"/simple"
	result, err := Input{Path: "."}.Fetch(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	if p := result.Components[0].Properties; !slices.Contains(p, ecosystem.Property{Name: ecosystem.MissingHash, Value: run}) {
		t.Errorf("properties = %v, want that the hash is missing", p)
	}
}

func TestParseRefuses(t *testing.T) {
	for raw, text := range map[string]string{
		`{"requirements_files": ["../x"]}`:                   `"../x" leaves the source`,
		`{"path": "/"}`:                                      "leaves the source",
		`{"binary": {"platform": "("}}`:                      "not a regular expression",
		`{"binary": {"platform": "a", "arch": "b"}}`:         "cannot be set together",
		`{"binary": {"py_version": 1}}`:                      "not a number such as 312",
		`{"binary": {"what": 1}}`:                            `key "what"`,
		`{"index": "https://example.com"}`:                   `key "index"`,
		`{"requirements_build_files": ["a", "/etc/passwd"]}`: "leaves the source",
	} {
		if _, err := Parse([]byte(raw)); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("Parse(%s) = %v, want an error with %q", raw, err, text)
		}
	}
}

func FuzzParseRequirements(f *testing.F) {
	f.Add([]byte("# c\n-i https://h.test/simple\na[b]==1.0 ; c > 'd' \\\n --hash=sha256:00\n-r x.txt\n"))
	f.Add([]byte("a @ https://h.test/a.whl#sha256=00 --hash\n\\\n--\n-"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := parseRequirements("sub/"+run, raw)
		if err != nil {
			return
		}
		for _, nested := range r.Nested {
			if !filepath.IsLocal(nested) {
				t.Errorf("takes in %q", nested)
			}
		}
		for _, req := range r.Packages {
			if req.URL != "" && !bytes.HasPrefix(raw[req.at:], []byte(req.URL)) {
				t.Errorf("the URL %q is not at %d", req.URL, req.at)
			}
			if req.Name != normalize(req.Name) || strings.ContainsAny(req.Name, "/ ") || !filepath.IsLocal(req.kept()) {
				t.Errorf("%+v was read", req)
			}
		}
	})
}

func FuzzParsePage(f *testing.F) {
	f.Add([]byte(`<a href="../a-1.0.tar.gz#sha256=00" data-yanked="x">a</a><base href="https://h.test/">`), false)
	f.Add([]byte(`{"files": [{"filename": "a-1.0.tar.gz", "url": "x", "hashes": {"sha256": "00"}, "yanked": "why"}]}`), true)
	f.Fuzz(func(t *testing.T, raw []byte, asJSON bool) {
		kind := "text/html"
		if asJSON {
			kind = "application/json"
		}
		at, err := indexURL(publicIndex)
		if err != nil {
			t.Fatal(err)
		}
		files, err := parsePage(raw, kind, at)
		for _, d := range files {
			if err == nil && !filepath.IsLocal(path.Join(deps, d.Filename)) || path.Base(d.Filename) != d.Filename {
				t.Errorf("would be kept at %q", d.Filename)
			}
		}
	})
}
