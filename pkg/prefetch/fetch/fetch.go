// Package fetch downloads files that somebody pinned: each is compared with its
// checksum before it gets its name, and what differs is not kept.
//
// A request is tried again where that may help: after a network error, and when
// the server says that it is busy or broken. Logins come from a .netrc file or
// stand in the URL, and appear in no error and no log; nor do queries, which
// may hold a token.
//
// A Client may be used by several goroutines.
package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// idleTimeout is how long a server may send nothing. A registry's proxy that
// has to fetch a large file itself takes its time before the first byte.
const idleTimeout = 3 * time.Minute

// Options say how to download.
type Options struct {
	Transport   http.RoundTripper
	Netrc       string // file with logins; "" for none
	Cache       string // folder with files of earlier runs, by checksum; "" for none
	Permissive  bool   // take what has no checksum, with a warning
	Concurrency int    // downloads at a time; 0 for 8
	Attempts    int    // how often to try a request; 0 for 5
}

// Client downloads.
type Client struct {
	Permissive  bool
	Concurrency int

	http     *http.Client
	logins   []login
	cache    string
	attempts int
	pause    time.Duration // before the second attempt; twice as long before each further one
	idle     time.Duration // without a byte before a server is given up

	mu   sync.Mutex
	kept map[string]*kept // by file
}

// New returns a client. It fails when the logins cannot be read.
func New(opts Options) (*Client, error) {
	c := &Client{
		Permissive: opts.Permissive, Concurrency: opts.Concurrency,
		http: &http.Client{Transport: opts.Transport}, cache: opts.Cache,
		attempts: opts.Attempts, pause: time.Second, idle: idleTimeout,
		kept: map[string]*kept{},
	}
	if c.attempts == 0 {
		c.attempts = 5
	}
	if c.Concurrency == 0 {
		c.Concurrency = 8
	}
	logins, err := readNetrc(opts.Netrc)
	c.logins = logins
	return c, err
}

// Request is one file to ask for.
type Request struct {
	URL    *url.URL
	Accept string // media types; "" for any
	Limit  int64  // bytes at most
}

// Response is what a server sent.
type Response struct {
	io.Reader
	URL         *url.URL // after redirects
	ContentType string
}

// StatusError is a server's refusal.
type StatusError struct {
	URL    string // without login
	Status int
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%s: %d %s", e.URL, e.Status, http.StatusText(e.Status))
}

// Hint says what a refusal usually means.
func (e *StatusError) Hint() string {
	switch e.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return "put a login for the server into a Secret with key .netrc and bind it to workspace netrc"
	case http.StatusNotFound, http.StatusGone:
		return "the server does not have this version: is it published, or private to a host the server cannot reach?"
	}
	return ""
}

// Absent tells whether the server has no such file.
func (e *StatusError) Absent() bool {
	return e.Status == http.StatusNotFound || e.Status == http.StatusGone
}

func (e *StatusError) temporary() bool {
	return e.Status >= 500 || e.Status == http.StatusTooManyRequests || e.Status == http.StatusRequestTimeout
}

// finalError is not worth another attempt.
type finalError struct{ error }

func (e *finalError) Unwrap() error { return e.error }

// Final marks an error that another attempt would not help against. Nil stays
// nil.
func Final(err error) error {
	if err == nil {
		return nil
	}
	return &finalError{err}
}

// IsFinal tells whether Final marked the error.
func IsFinal(err error) bool {
	var final *finalError
	return errors.As(err, &final)
}

// Get hands what the server sends to accept. A download that breaks off is
// tried again from its start, so accept may be called more than once; an error
// that [Final] marks ends it.
func (c *Client) Get(ctx context.Context, req Request, accept func(Response) error) error {
	for attempt := 1; ; attempt++ {
		err := c.try(ctx, req, accept)
		var status *StatusError
		switch {
		case err == nil, ctx.Err() != nil, attempt >= c.attempts:
			return err
		case IsFinal(err), errors.As(err, &status) && !status.temporary():
			return err
		}
		pause := c.pause << (attempt - 1)
		pause += rand.N(pause/2 + 1)
		slog.WarnContext(ctx, "download failed and is tried again", "attempt", attempt, "pause", pause, "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Bytes returns what the server sends, which must be small.
func (c *Client) Bytes(ctx context.Context, req Request) ([]byte, Response, error) {
	var content []byte
	var last Response
	err := c.Get(ctx, req, func(res Response) (err error) {
		last = res
		content, err = io.ReadAll(res)
		return err
	})
	return content, last, err
}

func (c *Client) try(ctx context.Context, req Request, accept func(Response) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(c.idle, func() { cancel(fmt.Errorf("no byte for %s", c.idle)) })
	defer stalled.Stop()
	asked, err := c.request(ctx, req)
	if err != nil {
		return err
	}
	res, err := c.http.Do(asked)
	if err != nil {
		return explain(ctx, req.URL, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // only to reuse the connection
		return &StatusError{URL: Show(req.URL), Status: res.StatusCode}
	}
	if res.ContentLength > req.Limit {
		return Final(fmt.Errorf("%s is larger than %d bytes", Show(req.URL), req.Limit))
	}
	body := &watched{r: res.Body, left: req.Limit, name: Show(req.URL), read: func() { stalled.Reset(c.idle) }}
	err = accept(Response{Reader: body, URL: res.Request.URL, ContentType: res.Header.Get("Content-Type")})
	if cause := context.Cause(ctx); err != nil && cause != nil && !IsFinal(err) {
		return fmt.Errorf("%s: %w", Show(req.URL), cause)
	}
	return err
}

func (c *Client) request(ctx context.Context, req Request) (*http.Request, error) {
	if req.URL.Scheme != "http" && req.URL.Scheme != "https" || req.URL.Host == "" {
		return nil, Final(fmt.Errorf("%s is not an http or https URL", Show(req.URL)))
	}
	asked, err := http.NewRequestWithContext(ctx, http.MethodGet, req.URL.String(), nil)
	if err != nil {
		return nil, Final(fmt.Errorf("%s: cannot be requested", Show(req.URL)))
	}
	asked.Header.Set("User-Agent", "headrace")
	// Some servers unpack an archive that has a Content-Encoding of its own; the
	// checksum is that of the archive.
	asked.Header.Set("Accept-Encoding", "identity")
	if req.Accept != "" {
		asked.Header.Set("Accept", req.Accept)
	}
	if login, ok := findLogin(c.logins, req.URL.Hostname()); ok && req.URL.User == nil {
		asked.SetBasicAuth(login.user, login.password)
	}
	return asked, nil
}

// explain takes the URL out of a client's error: it may be that of a redirect,
// with a token in its query.
func explain(ctx context.Context, at *url.URL, err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	err = fmt.Errorf("%s: %w", Show(at), err)
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) {
		return Final(err)
	}
	return err
}

// Show is a URL for people: without login, query and fragment.
func Show(at *url.URL) string {
	shown := *at
	shown.User, shown.RawQuery, shown.Fragment = nil, "", ""
	return shown.String()
}

// watched fails once more than left bytes were read, and tells of every read.
type watched struct {
	r    io.Reader
	left int64
	name string
	read func()
}

func (w *watched) Read(buf []byte) (int, error) {
	n, err := w.r.Read(buf)
	w.read()
	if w.left -= int64(n); w.left < 0 {
		return 0, Final(fmt.Errorf("%s is larger than it may be", w.name))
	}
	return n, err
}
