package snapshotparam_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/headrace-ci/headrace/pkg/tekton/snapshotparam"
)

// cluster is an API server that has Snapshot shop-1 in namespace dev, and a pod
// whose account may read it.
func cluster(t *testing.T, answer http.HandlerFunc) snapshotparam.Cluster {
	t.Helper()
	server := httptest.NewTLSServer(answer)
	t.Cleanup(server.Close)
	c := snapshotparam.Cluster{URL: server.URL, Dir: t.TempDir()}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for name, content := range map[string]string{"token": "s3cret\n", "namespace": "dev", "ca.crt": string(certificate)} {
		if err := os.WriteFile(filepath.Join(c.Dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func apiServer(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Header.Get("Authorization") != "Bearer s3cret":
		http.Error(w, "no", http.StatusUnauthorized)
	case r.Method != http.MethodGet || r.URL.Path != "/apis/appstudio.redhat.com/v1alpha1/namespaces/dev/snapshots/shop-1":
		http.NotFound(w, r)
	default:
		fmt.Fprint(w, `{"kind":"Snapshot","spec":{"application":"shop"},"status":{}}`)
	}
}

func TestSpec(t *testing.T) {
	c := cluster(t, apiServer)
	for param, want := range map[string]string{
		"shop-1":                              `{"application":"shop"}`,
		" shop-1\n":                           `{"application":"shop"}`,
		`{"application":"bank"}`:              `{"application":"bank"}`,
		" \n{\"application\":\"bank\"}":       `{"application":"bank"}`,
		"shop-2":                              `there is no Snapshot "shop-2" in namespace dev`,
		"":                                    "neither a Snapshot's spec as JSON nor a Snapshot's name",
		"../secrets/x":                        "neither a Snapshot's spec as JSON nor a Snapshot's name",
		"other/shop-1":                        "neither a Snapshot's spec as JSON nor a Snapshot's name",
		"{":                                   "no valid JSON",
		strings.Repeat("a", 300):              "neither a Snapshot's spec as JSON nor a Snapshot's name",
		"shop-1?fieldSelector=metadata.name=": "neither a Snapshot's spec as JSON nor a Snapshot's name",
	} {
		got, err := c.Spec(t.Context(), param)
		if err != nil {
			got = []byte(err.Error())
		}
		if !strings.Contains(string(got), want) {
			t.Errorf("Spec(%q) = %s, want %s", param, got, want)
		}
	}
}

// TestSpecTriesAgain where that may help, and nowhere else.
func TestSpecTriesAgain(t *testing.T) {
	for name, tc := range map[string]struct {
		code  int
		tries int32
		says  string
	}{
		"overloaded":    {http.StatusTooManyRequests, 3, ""},
		"away":          {http.StatusServiceUnavailable, 3, ""},
		"forbidden":     {http.StatusForbidden, 1, "may not read Snapshot shop-1 in namespace dev"},
		"sent away":     {http.StatusFound, 1, "the API server says 302 Found"},
		"a bad request": {http.StatusBadRequest, 1, "the API server says 400"},
	} {
		t.Run(name, func(t *testing.T) {
			var tries atomic.Int32
			c := cluster(t, func(w http.ResponseWriter, r *http.Request) {
				if tries.Add(1) == 3 {
					apiServer(w, r)
					return
				}
				w.Header().Set("Location", "https://elsewhere.test/")
				w.WriteHeader(tc.code)
			})
			_, err := c.Spec(t.Context(), "shop-1")
			if tries.Load() != tc.tries || (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) {
				t.Errorf("after %d tries: %v", tries.Load(), err)
			}
		})
	}
	gone := cluster(t, apiServer)
	gone.URL = "https://127.0.0.1:1"
	if _, err := gone.Spec(t.Context(), "shop-1"); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("of a server that is not there: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := gone.Spec(ctx, "shop-1"); err == nil {
		t.Error("it goes on when it is stopped")
	}
}

// TestAccount says what a pod lacks.
func TestAccount(t *testing.T) {
	for file, content := range map[string]string{"token": "", "ca.crt": "none", "namespace": "a/b"} {
		c := cluster(t, apiServer)
		path := filepath.Join(c.Dir, file)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if content != "" {
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := c.Spec(t.Context(), "shop-1")
		var failure *snapshotparam.Error
		if !errors.As(err, &failure) {
			t.Errorf("without %s: %v", file, err)
		}
	}
	stranger := cluster(t, apiServer)
	other := cluster(t, apiServer)
	stranger.URL = strings.Replace(other.URL, "127.0.0.1", "localhost", 1)
	if _, err := stranger.Spec(t.Context(), "shop-1"); err == nil {
		t.Error("it trusts a server with another's name")
	}
}

func FuzzSpec(f *testing.F) {
	for _, param := range []string{"shop-1", `{"a":1}`, "../x", "{", "a%2fb", "\x00"} {
		f.Add(param)
	}
	f.Fuzz(func(t *testing.T, param string) {
		asked := ""
		c := cluster(t, func(w http.ResponseWriter, r *http.Request) {
			asked = r.URL.EscapedPath()
			http.NotFound(w, r)
		})
		_, err := c.Spec(t.Context(), param)
		prefix := "/apis/appstudio.redhat.com/v1alpha1/namespaces/dev/snapshots/"
		if asked != "" && (!strings.HasPrefix(asked, prefix) || strings.Contains(asked[len(prefix):], "/") || err == nil) {
			t.Errorf("%q asks for %s, %v", param, asked, err)
		}
	})
}
