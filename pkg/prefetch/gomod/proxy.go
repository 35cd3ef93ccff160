package gomod

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/url"
	"strings"

	"github.com/headrace-ci/headrace/pkg/prefetch/ecosystem"
	"github.com/headrace-ci/headrace/pkg/prefetch/fetch"
)

// What the go command refuses for its size, in bytes.
const (
	maxZip = 500 << 20
	maxMod = 16 << 20
)

// proxies are module proxies, asked in turn.
type proxies struct {
	list   []proxy
	client *fetch.Client
}

type proxy struct {
	url      *url.URL
	anyError bool // whether any error leads to the next, and not only "not there"
}

// newProxies reads the syntax of GOPROXY.
func newProxies(job ecosystem.Job) (*proxies, error) {
	p := &proxies{client: job.Client}
	list := job.Proxy
	if list == "" {
		list = publicProxy
	}
	for rest := list; rest != ""; {
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
	return p, nil
}

// ProxyError says that the list of proxies cannot be worked with. It does not
// quote the list, which may hold a login.
type ProxyError struct{ Problem string }

func (e *ProxyError) Error() string { return e.Problem }

// Hint says where the list comes from.
func (e *ProxyError) Hint() string {
	return "set key goproxy of ConfigMap prefetch-config, in the run's namespace, to the proxy's URL"
}

// get hands the file at path below the first proxy that has it to accept, as
// [fetch.Client.Get] does. The URL it came from is returned without login.
func (p *proxies) get(ctx context.Context, path string, limit int64, accept func(io.Reader) error) (string, error) {
	var last error
	for _, proxy := range p.list {
		at := proxy.url.JoinPath(path)
		last = p.client.Get(ctx, fetch.Request{URL: at, Limit: limit}, func(res fetch.Response) error { return accept(res) })
		if last == nil {
			return fetch.Show(at), nil
		}
		if fetch.IsFinal(last) || ctx.Err() != nil {
			break
		}
		var status *fetch.StatusError
		if !proxy.anyError && (!errors.As(last, &status) || !status.Absent()) {
			break
		}
	}
	return "", last
}
