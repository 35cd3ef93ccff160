package git

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/gitattributes"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"github.com/headrace-ci/headrace/pkg/oci"
)

// Git LFS keeps large files beside the repository: what is committed is a
// pointer of three lines. The form is that of git-lfs's spec.md, and its
// server that of docs/api/batch.md, with the "basic" transfer.
const (
	maxPointer = 1024 // bytes
	lfsMedia   = "application/vnd.git-lfs+json"
	lfsBatch   = 100 // files a request
)

var pointerForm = regexp.MustCompile(`^version https://git-lfs\.github\.com/spec/v1\n(?:[a-z0-9.-]+ .*\n)*oid sha256:([0-9a-f]{64})\nsize ([0-9]{1,18})\n$`)

// pointer is a file that stands for another.
type pointer struct {
	path string
	mode os.FileMode
	oid  string // hex of sha256
	size int64  // bytes
}

func parsePointer(name string, content []byte) (pointer, bool) {
	if len(content) > maxPointer {
		return pointer{}, false
	}
	m := pointerForm.FindSubmatch(content)
	if m == nil {
		return pointer{}, false
	}
	size, err := strconv.ParseInt(string(m[2]), 10, 64)
	return pointer{path: name, oid: string(m[1]), size: size}, err == nil
}

// tracked are the pointers that .gitattributes gives to LFS; a file that only
// looks like one stays as it is.
func tracked(pointers []pointer, attributes []gitattributes.MatchAttribute) []pointer {
	matcher := gitattributes.NewMatcher(attributes)
	return slices.DeleteFunc(pointers, func(p pointer) bool {
		found, _ := matcher.Match(strings.Split(p.path, "/"), []string{"filter"})
		filter, ok := found["filter"]
		return !ok || filter.Value() != "lfs"
	})
}

// LFSError says that large files cannot be fetched.
type LFSError struct {
	URL     string
	Problem string
}

func (e *LFSError) Error() string {
	return fmt.Sprintf("fetching large files (Git LFS) of %q: %s", e.URL, e.Problem)
}

// Hint says what to do about it.
func (e *LFSError) Hint() string {
	return "give the task's param url in https:// form, with a login in workspace basic-auth if the host wants one"
}

// fetchLFS puts the large files in the place of their pointers.
func (c *cloner) fetchLFS(ctx context.Context, pointers []pointer) error {
	if len(pointers) == 0 {
		return nil
	}
	u, err := url.Parse(c.opts.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return &LFSError{URL: Redact(c.opts.URL), Problem: "the repository is cloned by ssh"}
	}
	client, err := c.httpClient()
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(pointers, lfsBatch) {
		var objects []lfsObject
		err := c.retry(ctx, "asking for large files", Redact(c.opts.URL), c.auth != nil, func() (err error) {
			objects, err = c.lfsLookup(ctx, client, chunk)
			return err
		})
		if err != nil {
			return err
		}
		for _, p := range chunk {
			if err := c.lfsFile(ctx, client, p, objects); err != nil {
				return fmt.Errorf("large file %q: %w", p.path, err)
			}
		}
	}
	return nil
}

// lfsObject is where a large file is, as the batch API answers.
type lfsObject struct {
	OID     string `json:"oid"`
	Size    int64  `json:"size"`
	Actions struct {
		Download *struct {
			Href   string            `json:"href"`
			Header map[string]string `json:"header"`
		} `json:"download"`
	} `json:"actions"`
	Error *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

func (c *cloner) lfsLookup(ctx context.Context, client *http.Client, pointers []pointer) ([]lfsObject, error) {
	type wanted struct {
		OID  string `json:"oid"`
		Size int64  `json:"size"`
	}
	request := struct {
		Operation string   `json:"operation"`
		Transfers []string `json:"transfers"`
		HashAlgo  string   `json:"hash_algo"`
		Objects   []wanted `json:"objects"`
	}{Operation: "download", Transfers: []string{"basic"}, HashAlgo: "sha256"}
	for _, p := range pointers {
		request.Objects = append(request.Objects, wanted{OID: p.oid, Size: p.size})
	}
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	server := strings.TrimSuffix(strings.TrimSuffix(c.opts.URL, "/"), ".git") + ".git/info/lfs/objects/batch"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", lfsMedia)
	req.Header.Set("Content-Type", lfsMedia)
	if login, ok := c.auth.(*githttp.BasicAuth); ok && login != nil {
		login.SetAuth(req)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, c.lfsStatus(resp)
	}
	var answer struct {
		Objects []lfsObject `json:"objects"`
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, 8<<20)).Decode(&answer)
	return answer.Objects, err
}

// lfsStatus is the error for an answer: one to try again, or one to show.
func (c *cloner) lfsStatus(resp *http.Response) error {
	if resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests {
		return &githttp.Err{Response: resp}
	}
	return &LFSError{URL: Redact(c.opts.URL), Problem: "the host answered " + resp.Status}
}

func (c *cloner) lfsFile(ctx context.Context, client *http.Client, p pointer, objects []lfsObject) error {
	i := slices.IndexFunc(objects, func(o lfsObject) bool { return o.OID == p.oid })
	switch {
	case i < 0:
		return &LFSError{URL: Redact(c.opts.URL), Problem: "the host did not answer for it"}
	case objects[i].Error != nil:
		return &LFSError{URL: Redact(c.opts.URL), Problem: fmt.Sprintf("the host answered %d: %s", objects[i].Error.Code, objects[i].Error.Message)}
	case objects[i].Actions.Download == nil:
		return &LFSError{URL: Redact(c.opts.URL), Problem: "the host does not say where it is"}
	}
	download := objects[i].Actions.Download
	if u, err := url.Parse(download.Href); err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return &LFSError{URL: Redact(c.opts.URL), Problem: "the host names no http URL for it"}
	}
	return c.retry(ctx, "fetching large file "+p.path, Redact(c.opts.URL), c.auth != nil, func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, download.Href, nil)
		if err != nil {
			return err
		}
		for name, value := range download.Header {
			req.Header.Set(name, value)
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return c.lfsStatus(resp)
		}
		return c.lfsWrite(p, resp.Body)
	})
}

// lfsWrite replaces a pointer by what it stands for, once that is whole.
func (c *cloner) lfsWrite(p pointer, content io.Reader) error {
	const partial = ".git/headrace-large-file"
	out, err := c.root.OpenFile(partial, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, p.mode)
	if err != nil {
		return err
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(out, sum), io.LimitReader(content, p.size+1))
	if err := errors.Join(err, out.Close()); err != nil {
		return err
	}
	if n != p.size || hex.EncodeToString(sum.Sum(nil)) != p.oid {
		return &LFSError{URL: Redact(c.opts.URL), Problem: "what the host sent is not what the pointer says"}
	}
	return c.root.Rename(partial, p.path)
}

// httpClient trusts whom the fetches trust.
func (c *cloner) httpClient() (*http.Client, error) {
	pool, err := oci.Roots(c.opts.CAFile)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.opts.SkipTLSVerify} //nolint:gosec // the user's choice
	return &http.Client{Transport: transport}, nil
}
