package fetch

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const content = "what is pinned"

func pinned() []Checksum {
	sum := sha256.Sum256([]byte(content))
	return []Checksum{{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}}
}

// quick is a client that does not make a test wait.
func quick(t *testing.T, opts Options) *Client {
	t.Helper()
	if opts.Attempts == 0 {
		opts.Attempts = 3
	}
	if opts.Transport == nil {
		opts.Transport = http.DefaultTransport
	}
	c, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	c.pause, c.idle = time.Millisecond, 5*time.Second
	return c
}

func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL + "/dep.tgz"
}

func good(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, content) }

func TestFilesTriesAgainWhereItMayHelp(t *testing.T) {
	cases := map[string]struct {
		answer   http.HandlerFunc // to the first request
		attempts int32
		text     string // in the error; "" for none
	}{
		"a server that is busy":    {answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, attempts: 2},
		"a server that says later": {answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) }, attempts: 2},
		"a download that breaks off": {answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "wha")
		}, attempts: 2},
		"a connection that is cut": {answer: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, attempts: 2},
		"a file that is not there": {answer: http.NotFound, attempts: 1, text: "404 Not Found"},
		"a refusal":                {answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, attempts: 1, text: "403 Forbidden"},
		"another content":          {answer: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "evil") }, attempts: 1, text: "and dep.lock says sha256:"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			at := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1) == 1 {
					tc.answer(w, r)
					return
				}
				good(w, r)
			})
			dir := t.TempDir()

			_, err := quick(t, Options{}).Files(t.Context(), dir, []File{{Package: "dep@1", URL: at, Path: "d/dep.tgz", Checksums: pinned(), Lock: "dep.lock"}})

			if asked.Load() != tc.attempts {
				t.Errorf("asked %d times, want %d", asked.Load(), tc.attempts)
			}
			if tc.text == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.text) || !strings.Contains(err.Error(), "dep@1") {
				t.Errorf("Files() = %v, want an error with dep@1 and %q", err, tc.text)
			}
			entries, err := os.ReadDir(filepath.Join(dir, "d"))
			if err != nil || len(entries) != 0 {
				t.Errorf("left behind: %v, %v", entries, err)
			}
		})
	}
}

func TestFilesGivesUpAServerThatStalls(t *testing.T) {
	var asked atomic.Int32
	at := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) > 1 {
			good(w, r)
			return
		}
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-r.Context().Done() // until the client leaves
	})
	c := quick(t, Options{})
	c.idle = 50 * time.Millisecond
	if _, err := c.Files(t.Context(), t.TempDir(), []File{{URL: at, Path: "f", Checksums: pinned()}}); err != nil {
		t.Fatal(err)
	}
	if asked.Load() != 2 {
		t.Errorf("asked %d times, want 2", asked.Load())
	}
}

func TestFilesRefuses(t *testing.T) {
	at := serve(t, good)
	other := []Checksum{{Algorithm: "sha512", Hex: strings.Repeat("0", 128)}}
	cases := map[string]struct {
		files []File
		want  any
		text  string
	}{
		"what is not pinned": {
			files: []File{{Package: "dep@1", URL: at, Path: "f", Lock: "dep.lock", Fix: "pin it"}},
			want:  new(*UnpinnedError), text: "dep.lock has no checksum of dep@1",
		},
		"the weaker of two checksums alone": {
			files: []File{{URL: at, Path: "f", Checksums: append(pinned(), other...)}}, want: new(*ChecksumError), text: "says sha512:000",
		},
		"a path that leaves": {
			files: []File{{URL: at, Path: "../f", Checksums: pinned()}}, text: "leaves the folder",
		},
		"an absolute path": {
			files: []File{{URL: at, Path: "/f", Checksums: pinned()}}, text: "leaves the folder",
		},
		"two files under one name": {
			files: []File{{URL: at, Path: "f", Checksums: pinned()}, {Package: "dep@1", URL: at, Path: "f", Checksums: other}},
			want:  new(*ConflictError), text: "another file of the input is kept as f",
		},
		"a file of this machine":  {files: []File{{URL: "file:///etc/passwd", Path: "f", Checksums: pinned()}}, text: "is not an http or https URL"},
		"a URL that is none":      {files: []File{{URL: "http://u:secret@h:bad/%zz", Path: "f", Checksums: pinned()}}, text: "its URL cannot be read"},
		"a server that is not up": {files: []File{{URL: "http://u:secret@127.0.0.1:1/f?token=secret", Path: "f", Checksums: pinned()}}, text: "http://127.0.0.1:1/f: dial tcp"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := quick(t, Options{Concurrency: 1}).Files(t.Context(), t.TempDir(), tc.files)
			if err == nil || !strings.Contains(err.Error(), tc.text) {
				t.Fatalf("Files() = %v, want an error with %q", err, tc.text)
			}
			if tc.want != nil && !errors.As(err, tc.want) {
				t.Errorf("Files() = %T, want %T", err, tc.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

func TestPermissiveTakesWhatIsNotPinned(t *testing.T) {
	files := []File{{Package: "dep@1", URL: serve(t, good), Path: "f"}}
	got, err := quick(t, Options{Permissive: true}).Files(t.Context(), t.TempDir(), files)
	if err != nil {
		t.Fatal(err)
	}
	if got[0].Pinned || got[0].SHA256 != pinned()[0].Hex {
		t.Errorf("Files() = %+v, want it not pinned, with its checksum", got[0])
	}
}

func TestACertificateNobodyVouchesForIsFinal(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(good))
	defer server.Close()
	files := []File{{Package: "dep@1", URL: server.URL + "/f", Path: "f", Checksums: pinned()}}

	_, err := quick(t, Options{}).Files(t.Context(), t.TempDir(), files)
	if err == nil || !IsFinal(err) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("Files() = %v, want a final error about the certificate", err)
	}
	if _, err := quick(t, Options{Transport: server.Client().Transport}).Files(t.Context(), t.TempDir(), files); err != nil {
		t.Errorf("with the authority trusted: %v", err)
	}
}

func TestLogins(t *testing.T) {
	var leaked atomic.Bool
	// Another host, as the client sees it: a name beside the address.
	elsewhere := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			leaked.Store(true)
		}
		good(w, r)
	})
	elsewhere = strings.Replace(elsewhere, "127.0.0.1", "localhost", 1)
	private := serve(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		switch {
		case user != "u" || password != "secret":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.RawQuery == "redirect":
			http.Redirect(w, r, elsewhere+"?signature=secret", http.StatusFound)
		default:
			good(w, r)
		}
	})
	cases := map[string]struct {
		url, netrc string
		text       string
	}{
		"in .netrc":                  {url: private, netrc: "machine 127.0.0.1 login u password secret"},
		"in the URL":                 {url: strings.Replace(private, "://", "://u:secret@", 1)},
		"in .netrc for another host": {url: private, netrc: "machine example.com login u password secret", text: "401 Unauthorized"},
		"not handed on by redirects": {url: private + "?redirect", netrc: "machine 127.0.0.1 login u password secret"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			netrc := filepath.Join(t.TempDir(), ".netrc")
			if err := os.WriteFile(netrc, []byte(tc.netrc), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := quick(t, Options{Netrc: netrc}).Files(t.Context(), t.TempDir(), []File{{URL: tc.url, Path: "f", Checksums: pinned()}})
			if tc.text == "" && err != nil || tc.text != "" && (err == nil || !strings.Contains(err.Error(), tc.text)) {
				t.Fatalf("Files() = %v, want %q", err, tc.text)
			}
			if strings.Contains(fmt.Sprint(got, err), "secret") {
				t.Errorf("a secret is shown: %v, %v", got, err)
			}
		})
	}
	if leaked.Load() {
		t.Error("the login was sent to another host")
	}
}

func TestFilesAreReusedBetweenRuns(t *testing.T) {
	var asked atomic.Int32
	at := serve(t, func(w http.ResponseWriter, r *http.Request) { asked.Add(1); good(w, r) })
	cache := t.TempDir()
	files := []File{{URL: at, Path: "f", Checksums: pinned()}}
	var got [3][]Fetched
	for i := range got {
		var err error
		dir := t.TempDir()
		if got[i], err = quick(t, Options{Cache: cache}).Files(t.Context(), dir, files); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(filepath.Join(dir, "f")); err != nil || string(text) != content {
			t.Fatalf("run %d has %q, %v", i, text, err)
		}
		if i == 1 { // somebody tampers with what is kept
			err := filepath.WalkDir(cache, func(file string, d fs.DirEntry, err error) error {
				if err == nil && d.Type().IsRegular() {
					return os.WriteFile(file, []byte("evil"), 0o644)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if asked.Load() != 2 {
		t.Errorf("asked %d times, want 2: at first, and when the cache was not what it should be", asked.Load())
	}
	if diff := cmp.Diff(got[0], got[1]); diff != "" {
		t.Errorf("a run from the cache differs (-first +second):\n%s", diff)
	}
}

func TestFilesStopsWhenAsked(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	at := serve(t, func(http.ResponseWriter, *http.Request) { cancel(); panic(http.ErrAbortHandler) })
	c := quick(t, Options{Attempts: 1000})
	c.pause = time.Hour
	if _, err := c.Files(ctx, t.TempDir(), []File{{URL: at, Path: "f", Checksums: pinned()}}); err == nil {
		t.Error("Files() = nil, want an error")
	}
}

func TestParseIntegrity(t *testing.T) {
	sum := sha512.Sum512([]byte(content))
	strong := "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
	want := []Checksum{{Algorithm: "sha512", Hex: hex.EncodeToString(sum[:])}}
	cases := map[string]struct {
		text string
		want []Checksum
		err  string
	}{
		"one":                          {text: strong, want: want},
		"one with options":             {text: strong + "?ct=x", want: want},
		"the unknown is left out":      {text: "md4-AAAA " + strong, want: want},
		"none":                         {text: ""},
		"only unknown ones":            {text: "md5-AAAA", err: "no algorithm"},
		"the wrong length":             {text: "sha512-AAAA", err: "has 3 bytes"},
		"no base64":                    {text: "sha512-?", err: "has 0 bytes"},
		"not an algorithm and a value": {text: "sha512", err: "a dash"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := ParseIntegrity(tc.text)
			if tc.err == "" && err != nil || tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)) {
				t.Fatalf("ParseIntegrity() = %v, want %q", err, tc.err)
			}
			if diff := cmp.Diff(tc.want, Strongest(got)); diff != "" {
				t.Errorf("checksums (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzParseChecksum(f *testing.F) {
	f.Add("sha256:" + strings.Repeat("0", 64))
	f.Add("md5:00")
	f.Add("sha512-" + base64.StdEncoding.EncodeToString(make([]byte, 64)))
	f.Fuzz(func(t *testing.T, text string) {
		sum, err := ParseChecksum(text)
		if err == nil && strength(sum.Algorithm) < 0 {
			t.Errorf("ParseChecksum(%q) = %v, which nothing can be compared with", text, sum)
		}
		sums, err := ParseIntegrity(text)
		for _, sum := range sums {
			if err == nil && strength(sum.Algorithm) < 0 {
				t.Errorf("ParseIntegrity(%q) = %v, which nothing can be compared with", text, sum)
			}
		}
	})
}
