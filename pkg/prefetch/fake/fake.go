// Package fake serves and holds what tests of package managers need: a mirror
// of packages, and a source to fetch for.
package fake

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/headrace-ci/headrace/pkg/prefetch/ecosystem"
	"github.com/headrace-ci/headrace/pkg/prefetch/fetch"
)

// Mirror serves files by their path.
type Mirror struct {
	*httptest.Server
	mu    sync.Mutex
	files map[string][]byte
	asked map[string]int
}

// NewMirror serves files, by path with a leading slash, until the test ends.
func NewMirror(t testing.TB, files map[string][]byte) *Mirror {
	t.Helper()
	m := &Mirror{files: files, asked: map[string]int{}}
	m.Server = httptest.NewServer(m)
	t.Cleanup(m.Close)
	return m
}

// Set adds or changes a file.
func (m *Mirror) Set(path string, content []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[path] = content
}

// Asked tells how often a path was asked for.
func (m *Mirror) Asked(path string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked[path]
}

// ServeHTTP implements [http.Handler].
func (m *Mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	content, ok := m.files[r.URL.Path]
	m.asked[r.URL.Path]++
	m.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write(content)
}

// Source writes files into a new folder.
func Source(t testing.TB, files map[string]string) string {
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

// Job is one to fetch for the source with. What it fetches is mounted where it
// is, so that a package manager on this machine can use it.
func Job(t testing.TB, source string) ecosystem.Job {
	t.Helper()
	root, err := os.OpenRoot(source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	client, err := fetch.New(fetch.Options{Transport: http.DefaultTransport, Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	output := t.TempDir()
	return ecosystem.Job{Source: root, Output: output, Mount: output, Client: client}
}

// PURLs are the package URLs of components.
func PURLs(components []ecosystem.Component) []string {
	var purls []string
	for _, c := range components {
		purls = append(purls, c.PURL)
	}
	return purls
}

// Archive is a gzipped tar of files, by name. The same files make the same
// bytes.
func Archive(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	archive := tar.NewWriter(zipped)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		header := &tar.Header{
			Name: name, Mode: 0o644, Size: int64(len(files[name])), Typeflag: tar.TypeReg,
			ModTime: time.Unix(1, 0), Format: tar.FormatPAX,
		}
		if err := archive.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(archive, files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
