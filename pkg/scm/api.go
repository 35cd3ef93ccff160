package scm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

const (
	requestTimeout = 30 * time.Second
	maxAnswer      = 8 << 20 // bytes of an answer
	maxPages       = 100     // of a list
	maxMessage     = 300     // characters of a host's own words in an error
)

// api is a REST API that speaks JSON.
type api struct {
	Options
	base   *url.URL
	header func(context.Context, http.Header) error // adds what proves who we are
	secret func() []string                          // must not be in an error
	waited time.Duration
}

func newAPI(o Options, fallback, version string) (*api, error) {
	if o.URL == "" {
		o.URL = fallback
	}
	base, err := url.Parse(strings.TrimRight(o.URL, "/") + version)
	if err != nil || base.Host == "" || base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, fmt.Errorf("%q is no address of a git host's API: want https://host", o.URL)
	}
	if base.Scheme != "https" && (base.Scheme != "http" || !loopback(base.Hostname())) {
		return nil, fmt.Errorf("address %q of the git host's API does not begin with https://: a token would be readable on the way", o.URL)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	client := http.Client{Timeout: requestTimeout}
	if o.HTTP != nil {
		client = *o.HTTP
	}
	client.CheckRedirect = refuseRedirect
	o.HTTP = &client
	token := o.Token
	return &api{Options: o, base: base, secret: func() []string { return []string{token} }}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// refuseRedirect follows no redirect: the token must not go to another host,
// and a write that is redirected would become a read.
func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// do sends in as JSON, reads the answer into out, and returns the address of
// the next page of a list.
func (a *api) do(ctx context.Context, method, path string, in, out any) (next string, err error) {
	return a.send(ctx, method, a.base.String()+path, in, out)
}

func (a *api) send(ctx context.Context, method, address string, in, out any) (next string, err error) {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return "", err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return "", err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "headrace")
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if err := a.header(ctx, req.Header); err != nil {
		return "", err
	}
	resp, err := a.HTTP.Do(req)
	if err != nil {
		return "", &ResponseError{Method: method, Path: req.URL.Path, Host: a.base.Host, Message: a.redact(unwrapURL(err))}
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return "", &ResponseError{Method: method, Path: req.URL.Path, Host: a.base.Host, Message: a.redact(err.Error())}
	}
	if resp.StatusCode/100 != 2 {
		return "", a.refusal(req, resp, raw)
	}
	if len(raw) > maxAnswer {
		return "", fmt.Errorf("%s %s: the answer is larger than %d bytes", method, req.URL.Path, maxAnswer)
	}
	if out != nil {
		if err := json.Unmarshal(raw, out); err != nil {
			return "", &ResponseError{Method: method, Path: req.URL.Path, Host: a.base.Host, Code: resp.StatusCode,
				Message: "the answer is not what the API says: " + err.Error(), garbled: true}
		}
	}
	return nextPage(resp.Header), nil
}

// unwrapURL takes the address off an error: it is said once already.
func unwrapURL(err error) string {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err.Error()
	}
	return err.Error()
}

func (a *api) refusal(req *http.Request, resp *http.Response, raw []byte) error {
	e := &ResponseError{
		Method: req.Method, Path: req.URL.Path, Host: a.base.Host, Code: resp.StatusCode,
		Message: a.redact(message(raw)),
	}
	if to := resp.Header.Get("Location"); resp.StatusCode/100 == 3 && to != "" {
		e.Message = a.redact("it has moved to " + to + ": write the new address into the PaC Repository")
	}
	e.After, e.limited = limit(resp, e.Message, a.Now())
	return e
}

func (a *api) redact(text string) string {
	for _, secret := range a.secret() {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	return clip(text, maxMessage)
}

// message is what a host says in a refusal: GitHub and Forgejo a text, GitLab
// a text, a list, or lists by field.
func message(raw []byte) string {
	var answer struct {
		Message json.RawMessage `json:"message"`
		Error   json.RawMessage `json:"error"`
		Errors  json.RawMessage `json:"errors"`
	}
	if json.Unmarshal(raw, &answer) != nil {
		return strings.TrimSpace(strings.ToValidUTF8(string(raw[:min(len(raw), maxMessage)]), ""))
	}
	var parts []string
	for _, part := range []json.RawMessage{answer.Message, answer.Error, answer.Errors} {
		var text string
		switch {
		case len(part) == 0 || string(part) == "null":
		case json.Unmarshal(part, &text) == nil:
			parts = append(parts, text)
		default:
			parts = append(parts, string(part))
		}
	}
	return strings.Join(parts, ": ")
}

var linkNext = regexp.MustCompile(`<([^>]*)>\s*;[^,]*rel="?next"?`)

// nextPage reads the header Link of RFC 8288.
func nextPage(h http.Header) string {
	if m := linkNext.FindStringSubmatch(strings.Join(h.Values("Link"), ", ")); m != nil {
		return m[1]
	}
	return ""
}

// list reads all pages of a list.
func list[T any](ctx context.Context, a *api, path string) ([]T, error) {
	var all []T
	address := a.base.String() + path
	for range maxPages {
		var page []T
		next, err := a.send(ctx, http.MethodGet, address, nil, &page)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if next == "" {
			return all, nil
		}
		if address, err = a.same(next); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("GET %s: more than %d pages", path, maxPages)
}

// same is the address when it is of this API: the token goes nowhere else.
func (a *api) same(address string) (string, error) {
	u, err := a.base.Parse(address)
	if err != nil || u.Host != a.base.Host || u.Scheme != a.base.Scheme {
		return "", fmt.Errorf("the next page of a list is said to be at %q, not at %s", address, a.base.Host)
	}
	return u.String(), nil
}
