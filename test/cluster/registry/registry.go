// Package registry serves an OCI registry that keeps what it is given: blobs
// and manifests on disk, referrers, TLS, and a login for every write.
//
// Reading needs no login. GET /v2/ asks for one nevertheless, because that is
// where clients learn which scheme to send with their next request; a client
// without a login goes on without, and may read.
package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

// maxManifest bounds a manifest, in bytes, as registries commonly do.
const maxManifest = 4 << 20

var (
	manifestPath   = regexp.MustCompile(`^/v2/(.+)/manifests/[^/]+$`)
	repositoryPath = regexp.MustCompile(`^/v2/(.+?)/(?:manifests|blobs|tags|referrers)/`)
)

// Server is a registry with its storage in Dir.
type Server struct {
	users   *Users
	inner   http.Handler
	journal *journal
}

// Open opens the registry in dir, and makes it when there is none.
func Open(dir string, users *Users) (*Server, error) {
	blobs := filepath.Join(dir, "blobs")
	if err := os.MkdirAll(blobs, 0o700); err != nil {
		return nil, err
	}
	inner := registry.New(
		registry.WithBlobHandler(registry.NewDiskBlobHandler(blobs)),
		registry.WithReferrersSupport(true),
		registry.Logger(log.New(io.Discard, "", 0)),
	)
	j, err := openJournal(dir, inner)
	if err != nil {
		return nil, fmt.Errorf("opening the registry in %q: %w", dir, err)
	}
	return &Server{users: users, inner: inner, journal: j}, nil
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	login, err := s.users.login(r)
	if err != nil {
		challenge(w, "the login is wrong")
		return
	}
	if r.URL.Path == "/v2/" && login == nil {
		challenge(w, "a login is needed to write")
		return
	}
	if writes(r) {
		repository := repositoryOf(r.URL.Path)
		switch {
		case login == nil:
			challenge(w, "a login is needed to write")
			return
		case !login.mayWrite(repository):
			fail(w, http.StatusForbidden, "DENIED", fmt.Sprintf("%s may not write to %s", login.Name, repository))
			return
		}
	}
	if manifestPath.MatchString(r.URL.Path) && (r.Method == http.MethodPut || r.Method == http.MethodDelete) {
		s.change(w, r)
		return
	}
	s.inner.ServeHTTP(w, r)
}

// change passes a manifest on and, once it is accepted, writes it down before
// the client hears so.
func (s *Server) change(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxManifest))
	if err != nil {
		fail(w, http.StatusRequestEntityTooLarge, "MANIFEST_INVALID", err.Error())
		return
	}
	target := path.Base(r.URL.Path)
	switch {
	case r.Method == http.MethodDelete:
		body = nil
	case len(body) == 0:
		fail(w, http.StatusBadRequest, "MANIFEST_INVALID", "the manifest is empty")
		return
	case strings.Contains(target, ":") && target != fmt.Sprintf("sha256:%x", sha256.Sum256(body)):
		fail(w, http.StatusBadRequest, "DIGEST_INVALID", "the manifest has another digest than "+target)
		return
	}
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer := &held{header: http.Header{}}
	s.inner.ServeHTTP(answer, r)
	if answer.code < 300 {
		e := entry{Path: r.URL.Path}
		if r.Method == http.MethodPut {
			e.Type, e.Body = r.Header.Get("Content-Type"), body
		}
		if err := s.journal.add(e); err != nil {
			fail(w, http.StatusInternalServerError, "UNKNOWN", "writing the manifest down: "+err.Error())
			return
		}
	}
	answer.send(w)
}

// held is an answer that waits.
type held struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (h *held) Header() http.Header { return h.header }
func (h *held) WriteHeader(code int) {
	if h.code == 0 {
		h.code = code
	}
}
func (h *held) Write(p []byte) (int, error) {
	h.WriteHeader(http.StatusOK)
	return h.body.Write(p)
}

func (h *held) send(w http.ResponseWriter) {
	for name, values := range h.header {
		w.Header()[name] = values
	}
	w.WriteHeader(max(h.code, http.StatusOK))
	_, _ = w.Write(h.body.Bytes()) // the client is gone; there is nobody to tell
}

func writes(r *http.Request) bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead
}

func repositoryOf(path string) string {
	if m := repositoryPath.FindStringSubmatch(path); m != nil {
		return m[1]
	}
	return ""
}

func challenge(w http.ResponseWriter, text string) {
	w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
	fail(w, http.StatusUnauthorized, "UNAUTHORIZED", text)
}

func fail(w http.ResponseWriter, status int, code, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q}]}`, code, text)
}

// Serve answers on address with the certificate until ctx ends.
func Serve(ctx context.Context, address string, certificate tls.Certificate, handler http.Handler) error {
	// The handler holds a lock while it reads an upload. With HTTP/2 the uploads
	// that wait for it use up the flow control window of the connection they
	// share with the one it reads, and none of them ever ends.
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	server := &http.Server{
		Addr: address, Handler: handler, ReadHeaderTimeout: 10 * time.Second, Protocols: &protocols,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
		ErrorLog:  log.New(io.Discard, "", 0), // a client that hangs up is no news
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.ListenAndServeTLS("", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
