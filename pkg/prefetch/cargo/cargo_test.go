package cargo

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/pkg/prefetch/ecosystem"
	"github.com/headrace-ci/headrace/pkg/prefetch/fake"
	"github.com/headrace-ci/headrace/pkg/prefetch/fetch"
)

// pack makes a crate whose one function returns a word.
func pack(t testing.TB, name, word string) []byte {
	return fake.Archive(t, map[string]string{
		name + "-1.0.0/Cargo.toml":      "[package]\nname = \"" + name + "\"\nversion = \"1.0.0\"\nedition = \"2018\"\n",
		name + "-1.0.0/src/lib.rs":      "pub fn word() -> &'static str { include_str!(\"../word.txt\") }\n",
		name + "-1.0.0/word.txt":        word,
		name + "-1.0.0/.cargo-ok":       "",
		name + "-1.0.0/sub/deep/a.json": "{}",
	})
}

func sum(content []byte) string { return fmt.Sprintf("%x", sha256.Sum256(content)) }

// entry is one of a lockfile.
func entry(name, source, checksum string) string {
	return fmt.Sprintf("[[package]]\nname = %q\nversion = \"1.0.0\"\nsource = %q\nchecksum = %q\n\n", name, source, checksum)
}

// project depends on a crate of the public registry and on one of another.
func project(t testing.TB, mirror *fake.Mirror) map[string]string {
	public, private := pack(t, "public", "from the public registry"), pack(t, "private", "from another")
	mirror.Set("/index/config.json", []byte(`{"dl": "`+mirror.URL+`/dl"}`))
	mirror.Set("/dl/public/1.0.0/download", public)
	mirror.Set("/other/config.json", []byte(`{"dl": "`+mirror.URL+`/crates/{prefix}/{crate}-{version}.crate"}`))
	mirror.Set("/crates/pr/iv/private-1.0.0.crate", private)
	other := "sparse+" + mirror.URL + "/other/"
	return map[string]string{
		"app/.cargo/config.toml": "[registries.other]\nindex = \"" + other + "\"",
		"app/Cargo.toml": "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2018\"\n\n[dependencies]\npublic = \"1\"\n" +
			"private = { version = \"1\", registry = \"other\" }\n",
		"app/src/main.rs": "fn main() { println!(\"{} {}\", public::word(), private::word()) }\n",
		"app/Cargo.lock": "version = 3\n\n[[package]]\nname = \"app\"\nversion = \"0.1.0\"\ndependencies = [\n \"private\",\n \"public\",\n]\n\n" +
			entry("private", other, sum(private)) + entry("public", cratesIO, sum(public)),
	}
}

func TestFeedsAHermeticBuild(t *testing.T) {
	mirror := fake.NewMirror(t, map[string][]byte{})
	src := fake.Source(t, project(t, mirror))
	job := fake.Job(t, src)
	job.Proxy = "sparse+" + mirror.URL + "/index/"
	input, err := Parse([]byte(`{"type": "cargo", "path": "app"}`))
	if err != nil {
		t.Fatal(err)
	}

	result, err := input.Fetch(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	again, err := input.Fetch(t.Context(), job) // two inputs may share crates
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(result, again); diff != "" {
		t.Errorf("a second input differs (-first +second):\n%s", diff)
	}
	if n := mirror.Asked("/dl/public/1.0.0/download"); n != 1 {
		t.Errorf("a crate was asked for %d times", n)
	}
	mirror.Close() // the build has no network
	var got []string
	for _, purl := range fake.PURLs(append(result.Main, result.Components...)) {
		plain, qualifiers, _ := strings.Cut(purl, "?")
		if strings.Contains(plain, "private") != strings.Contains(qualifiers, "repository_url=") {
			t.Errorf("%s: repository_url belongs to what is not public", purl)
		}
		got = append(got, plain)
	}
	if diff := cmp.Diff([]string{"pkg:cargo/app@0.1.0#app", "pkg:cargo/private@1.0.0", "pkg:cargo/public@1.0.0"}, got); diff != "" {
		t.Errorf("purls (-want +got):\n%s", diff)
	}

	fake.Tool(t, "cargo")
	env := []string{"CARGO_HOME=" + t.TempDir(), "CARGO_TARGET_DIR=" + t.TempDir()}
	if home, err := os.UserHomeDir(); err == nil && os.Getenv("RUSTUP_HOME") == "" {
		env = append(env, "RUSTUP_HOME="+filepath.Join(home, ".rustup")) // as the build's HOME is another
	}
	out := fake.Build(t, src, "app", result, env, []string{"cargo", "run", "--locked", "--quiet"})
	if out != "from the public registry from another\n" {
		t.Errorf("the program says %q", out)
	}
}

func TestFetchRefuses(t *testing.T) {
	good := sum([]byte("good"))
	cases := map[string]struct {
		files map[string]string
		crate []byte
		want  any
		text  string
		hint  string
	}{
		"another content than is pinned": {
			files: map[string]string{lockfile: entry("dep", cratesIO, good)},
			want:  new(*fetch.ChecksumError), text: "dep 1.0.0", hint: "before you touch Cargo.lock",
		},
		"no checksum": {
			files: map[string]string{lockfile: entry("dep", cratesIO, "")},
			want:  new(*fetch.UnpinnedError), text: "Cargo.lock has no checksum of dep 1.0.0", hint: "cargo generate-lockfile",
		},
		"a checksum that is none": {files: map[string]string{lockfile: entry("dep", cratesIO, "00")}, text: "dep 1.0.0: checksum", hint: "cargo generate-lockfile"},
		"a git repository":        {files: map[string]string{lockfile: entry("dep", "git+https://h.test/x#00", "")}, text: "dep 1.0.0 does not come from a registry", hint: "depend on a version"},
		"a registry by git":       {files: map[string]string{lockfile: entry("dep", "registry+https://h.test/index", good)}, text: "index is a git repository", hint: "sparse+"},
		"a registry of this host": {files: map[string]string{lockfile: entry("dep", "sparse+file:///etc", good)}, text: "not an http or https URL"},
		"a name to climb":         {files: map[string]string{lockfile: entry("../dep", cratesIO, good)}, text: "has a name or version"},
		"a later lockfile":        {files: map[string]string{lockfile: "version = 5\n"}, text: "version 5 is not supported", hint: "version 4"},
		"broken TOML":             {files: map[string]string{lockfile: "["}, text: "Cargo.lock: toml:", hint: "cargo generate-lockfile"},
		"no lockfile":             {files: map[string]string{"Cargo.toml": ""}, want: new(*ecosystem.InputError), text: "the source has no Cargo.lock", hint: "commit it"},
		"a source of its own": {
			files: map[string]string{lockfile: "version = 4\n", ".cargo/config.toml": "[source.crates-io]\nreplace-with = \"x\"\n"},
			text:  ".cargo/config.toml: has a table source", hint: "remove it",
		},
		"broken configuration": {files: map[string]string{lockfile: "version = 4\n", ".cargo/config": "["}, text: ".cargo/config: toml:", hint: "correct"},
		"no archive":           {crate: []byte("no archive"), text: "unpacking crate dep 1.0.0: gzip"},
		"an archive that leaves": {
			crate: fake.Archive(t, map[string]string{"dep-1.0.0/../../x": ""}), text: `holds "dep-1.0.0/../../x", which is not inside`,
		},
		"an archive of another folder": {crate: fake.Archive(t, map[string]string{"dep-1.0.0x/a": ""}), text: "which is not inside"},
		"an archive with a link":       {crate: withLink(t), text: "neither a file nor a folder"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if tc.crate == nil {
				tc.crate = []byte("evil")
			} else {
				tc.files = map[string]string{lockfile: entry("dep", cratesIO, sum(tc.crate))}
			}
			mirror := fake.NewMirror(t, map[string][]byte{"/dl/dep/1.0.0/download": tc.crate})
			mirror.Set("/config.json", []byte(`{"dl": "`+mirror.URL+`/dl"}`))
			job := fake.Job(t, fake.Source(t, tc.files))
			job.Proxy = mirror.URL

			_, err := Input{Path: "."}.Fetch(t.Context(), job)

			if err == nil || !strings.Contains(err.Error(), tc.text) {
				t.Fatalf("Fetch() = %v, want an error with %q", err, tc.text)
			}
			if tc.want != nil && !errors.As(err, tc.want) {
				t.Errorf("Fetch() = %T, want %T", err, tc.want)
			}
			var hinted interface{ Hint() string }
			if tc.hint != "" && (!errors.As(err, &hinted) || !strings.Contains(hinted.Hint(), tc.hint)) {
				t.Errorf("Fetch() = %v, want the hint to contain %q", err, tc.hint)
			}
			if _, err := os.Stat(filepath.Join(job.Output, "deps", "x")); err == nil {
				t.Error("a file was written outside of its folder")
			}
		})
	}
}

func withLink(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	archive := tar.NewWriter(zipped)
	if err := archive.WriteHeader(&tar.Header{Name: "dep-1.0.0/a", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(archive.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestPermissiveTakesWhatIsNotPinned(t *testing.T) {
	crate := pack(t, "dep", "")
	mirror := fake.NewMirror(t, map[string][]byte{"/dl/dep/1.0.0/download": crate})
	mirror.Set("/config.json", []byte(`{"dl": "`+mirror.URL+`/dl"}`))
	job := fake.Job(t, fake.Source(t, map[string]string{lockfile: entry("dep", cratesIO, "")}))
	job.Proxy, job.Permissive, job.Client.Permissive = mirror.URL, true, true
	result, err := Input{Path: "."}.Fetch(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	if p := result.Components[0].Properties; len(p) != 1 || p[0] != (ecosystem.Property{Name: ecosystem.MissingHash, Value: lockfile}) {
		t.Errorf("properties = %v, want that the hash is missing", p)
	}
}

func TestURL(t *testing.T) {
	for name, want := range map[string]string{"a": "1/a", "ab": "2/ab", "abc": "3/a/abc", "ABcde": "AB/cd/ABcde"} {
		if got := (crate{Name: name, Version: "1.0.0"}).url("{prefix}/{crate}"); got != want {
			t.Errorf("url(%q) = %q, want %q", name, got, want)
		}
	}
}

func FuzzParseLock(f *testing.F) {
	f.Add([]byte("version = 3\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n"))
	f.Add([]byte(entry("a", cratesIO, strings.Repeat("0", 64)) + entry("../b", "sparse+https://h.test/", "")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, others, err := parseLock(lockfile, raw)
		for _, c := range others {
			if name := c.Name + "-" + c.Version; err == nil && (!filepath.IsLocal(name) || strings.ContainsAny(name, "/\\")) {
				t.Errorf("would be unpacked at %q", name)
			}
		}
	})
}

func FuzzUnpack(f *testing.F) {
	f.Add(fake.Archive(f, map[string]string{"dep-1.0.0/a": "b"}))
	f.Add(fake.Archive(f, map[string]string{"dep-1.0.0/../a": "b"}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		dir := t.TempDir()
		inner := filepath.Join(dir, "inner")
		if err := os.Mkdir(inner, 0o755); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(inner)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		_, _ = unpack(root, bytes.NewReader(raw), "dep-1.0.0")
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 1 {
			t.Errorf("written outside: %v, %v", entries, err)
		}
	})
}
