package prefetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// What the go command refuses for its size, in bytes.
const (
	maxZip = 500 << 20
	maxMod = 16 << 20
)

// attemptTimeout bounds one download, so that a stalled proxy is left.
const attemptTimeout = 10 * time.Minute

// proxies are module proxies, asked in turn.
type proxies struct {
	list        []proxy
	client      *http.Client
	logins      []login
	attempts    int
	concurrency int
	pause       time.Duration // before the second attempt
}

type proxy struct {
	url      *url.URL
	anyError bool // whether any error leads to the next, and not only "not there"
}

// newProxies reads the syntax of GOPROXY.
func newProxies(opts Options) (*proxies, error) {
	p := &proxies{
		client:   &http.Client{Transport: opts.Transport},
		attempts: opts.Attempts, concurrency: opts.Concurrency, pause: time.Second,
	}
	if p.attempts == 0 {
		p.attempts = 5
	}
	if p.concurrency == 0 {
		p.concurrency = 8
	}
	for rest := opts.Proxies; rest != ""; {
		text, anyError := rest, false
		if cut := strings.IndexAny(rest, ",|"); cut >= 0 {
			text, anyError, rest = rest[:cut], rest[cut] == '|', rest[cut+1:]
		} else {
			rest = ""
		}
		switch text = strings.TrimSpace(text); text {
		case "":
			continue
		case "off":
			rest = ""
			continue
		case "direct":
			slog.Warn("modules are only fetched from proxies: direct is skipped")
			continue
		}
		// The parser's own error would quote a password.
		at, err := url.Parse(text)
		if err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Host == "" {
			return nil, &ProxyError{Problem: "a Go module proxy is not an http or https URL"}
		}
		p.list = append(p.list, proxy{url: at, anyError: anyError})
	}
	if len(p.list) == 0 {
		return nil, &ProxyError{Problem: "there is no Go module proxy to fetch from"}
	}
	logins, err := readNetrc(opts.Netrc)
	p.logins = logins
	return p, err
}

// ProxyError says that the list of proxies cannot be worked with. It does not
// quote the list, which may hold a login.
type ProxyError struct{ Problem string }

func (e *ProxyError) Error() string { return e.Problem }

// Hint says where the list comes from.
func (e *ProxyError) Hint() string {
	return "set key goproxy of ConfigMap prefetch-config, in the run's namespace, to the proxy's URL"
}

// StatusError is a proxy's refusal.
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
		return "put a login for the proxy into a Secret with key .netrc and bind it to workspace netrc"
	case http.StatusNotFound, http.StatusGone:
		return "the proxy does not have this version: is it published, or private to a host the proxy cannot reach?"
	}
	return ""
}

func (e *StatusError) absent() bool {
	return e.Status == http.StatusNotFound || e.Status == http.StatusGone
}

func (e *StatusError) temporary() bool {
	return e.Status >= 500 || e.Status == http.StatusTooManyRequests || e.Status == http.StatusRequestTimeout
}

// get hands the file at path below the first proxy that has it to accept. A
// download that breaks off is tried again from its start, so accept may be
// called more than once; an error that accept marks final ends it. The URL it
// came from is returned without login.
func (p *proxies) get(ctx context.Context, path string, limit int64, accept func(io.Reader) error) (string, error) {
	var last error
	for _, proxy := range p.list {
		at := proxy.url.JoinPath(path)
		last = p.retry(ctx, at, limit, accept)
		if last == nil {
			at.User = nil
			return at.String(), nil
		}
		var status *StatusError
		var fatal *finalError
		if errors.As(last, &fatal) || ctx.Err() != nil {
			break
		}
		if !proxy.anyError && (!errors.As(last, &status) || !status.absent()) {
			break
		}
	}
	return "", last
}

// finalError is not worth another attempt.
type finalError struct{ error }

func (e *finalError) Unwrap() error { return e.error }

func (p *proxies) retry(ctx context.Context, at *url.URL, limit int64, accept func(io.Reader) error) error {
	for attempt := 1; ; attempt++ {
		err := p.try(ctx, at, limit, accept)
		var status *StatusError
		var fatal *finalError
		switch {
		case err == nil, ctx.Err() != nil, attempt >= p.attempts:
			return err
		case errors.As(err, &fatal), errors.As(err, &status) && !status.temporary():
			return err
		}
		pause := p.pause << (attempt - 1)
		pause += rand.N(pause/2 + 1)
		slog.WarnContext(ctx, "download failed and is tried again", "attempt", attempt, "pause", pause, "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p *proxies) try(ctx context.Context, at *url.URL, limit int64, accept func(io.Reader) error) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return &finalError{fmt.Errorf("%s: cannot be requested", at.Redacted())}
	}
	req.Header.Set("User-Agent", "headrace")
	if login, ok := findLogin(p.logins, at.Hostname()); ok && at.User == nil {
		req.SetBasicAuth(login.user, login.password)
	}
	res, err := p.client.Do(req)
	if err != nil {
		return err // a *url.Error, which hides the password
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // only to reuse the connection
		return &StatusError{URL: at.Redacted(), Status: res.StatusCode}
	}
	if res.ContentLength > limit {
		return &finalError{fmt.Errorf("%s is larger than %d bytes", at.Redacted(), limit)}
	}
	body := &limited{r: res.Body, left: limit, name: at.Redacted()}
	return accept(body)
}

// limited fails once more than left bytes were read.
type limited struct {
	r    io.Reader
	left int64
	name string
}

func (l *limited) Read(buf []byte) (int, error) {
	n, err := l.r.Read(buf)
	if l.left -= int64(n); l.left < 0 {
		return 0, &finalError{fmt.Errorf("%s is larger than it may be", l.name)}
	}
	return n, err
}
