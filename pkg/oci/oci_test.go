package oci_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/headrace-ci/headrace/pkg/oci"
)

func TestKeychainTakesTheLongestPath(t *testing.T) {
	const config = `{"auths": {
		"reg.example": {"username": "host", "password": "h"},
		"reg.example/team": {"auth": "dGVhbTp0OnQ="},
		"reg.example/team/app": {"username": "app", "password": "a"}
	}}`
	cases := map[string]struct{ repo, user, password string }{
		"the repository's own":         {"reg.example/team/app", "app", "a"},
		"the team's":                   {"reg.example/team/other", "team", "t:t"},
		"the host's":                   {"reg.example/else/app", "host", "h"},
		"a name that only begins same": {"reg.example/team-b/app", "host", "h"},
		"another host's":               {"other.example/team/app", "", ""},
	}
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	write(t, filepath.Join(dir, "config.json"), config)
	for what, tc := range cases {
		t.Run(what, func(t *testing.T) {
			repo, err := name.NewRepository(tc.repo)
			if err != nil {
				t.Fatal(err)
			}
			auth, err := oci.Keychain().Resolve(repo)
			if err != nil {
				t.Fatal(err)
			}
			got, err := auth.Authorization()
			if err != nil || got.Username != tc.user || got.Password != tc.password {
				t.Errorf("login %q:%q (%v), want %q:%q", got.Username, got.Password, err, tc.user, tc.password)
			}
		})
	}
}

func TestKeychainDoesNotQuoteSecrets(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	for _, config := range []string{`{"auths": {"reg.example": {"auth": "hunter2!"}}}`, `{"auths": {"reg.example": "hunter2!"`} {
		write(t, filepath.Join(dir, "config.json"), config)
		repo, _ := name.NewRepository("reg.example/app")
		_, err := oci.Keychain().Resolve(repo)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Resolve() = %v, want an error without the secret", err)
		}
	}
}

func TestReferenceNeedsATagOrDigest(t *testing.T) {
	for ref, ok := range map[string]bool{
		"reg.example:5000/a/b:1": true, "reg.example/a@sha256:" + strings.Repeat("0", 64): true,
		"reg.example:5000/a/b:1@sha256:" + strings.Repeat("0", 64): true,
		"reg.example/a": false, "": false, "--flag": false,
	} {
		if _, err := oci.Reference(ref); (err == nil) != ok {
			t.Errorf("Reference(%q) = %v, want ok %v", ref, err, ok)
		}
	}
}

func TestDigest(t *testing.T) {
	server := httptest.NewServer(registry.New())
	defer server.Close()
	repo := strings.TrimPrefix(server.URL, "http://") + "/app"
	img, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	ref, _ := name.ParseReference(repo + ":1")
	if err := remote.Write(ref, img); err != nil {
		t.Fatal(err)
	}
	want, _ := img.Digest()

	got, err := oci.Digest(t.Context(), repo+":1")
	if err != nil || got.DigestStr() != want.String() {
		t.Errorf("Digest() = %v, %v, want %v", got, err, want)
	}
	if _, err := oci.Digest(t.Context(), repo+":2"); !oci.NotFound(err) {
		t.Errorf("Digest() of a missing tag = %v, want not found", err)
	}
}

func TestRefusalSaysWhereALoginComesFrom(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="r"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer server.Close()
	_, err := oci.Digest(t.Context(), strings.TrimPrefix(server.URL, "http://")+"/app:1")
	var hinter interface{ Hint() string }
	errors.As(err, &hinter)
	if hinter == nil || !strings.Contains(hinter.Hint(), "ServiceAccount") {
		t.Errorf("Digest() = %v without a hint, want where the login comes from", err)
	}
}

func TestRootsNamesAFileWithoutCertificates(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.crt")
	write(t, file, "not a certificate")
	if _, err := oci.Roots(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("Roots() = %v, want the file named", err)
	}
	if _, err := oci.Roots(file + ".absent"); err != nil {
		t.Errorf("Roots() of an absent file = %v, want the system's", err)
	}
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
