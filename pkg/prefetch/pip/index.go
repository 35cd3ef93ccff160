package pip

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/url"
	"path"
	"strings"

	"golang.org/x/net/html"

	"github.com/headrace-ci/headrace/pkg/prefetch/fetch"
)

// publicIndex is asked when nobody names another.
const publicIndex = "https://pypi.org/simple/"

// maxPage is how large an index's page of one project may be, in bytes.
const maxPage = 64 << 20

// acceptPage prefers the form that is easier to read.
const acceptPage = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"

// distribution is a file that an index has of a project.
type distribution struct {
	Filename string
	URL      *url.URL
	Hashes   []fetch.Checksum // that the index tells; may be none
	Yanked   bool
}

// project reads an index's page of a project.
// Format: https://packaging.python.org/specifications/simple-repository-api/
func project(ctx context.Context, client *fetch.Client, index *url.URL, name string) ([]distribution, error) {
	at := index.JoinPath(name, "/")
	raw, res, err := client.Bytes(ctx, fetch.Request{URL: at, Accept: acceptPage, Limit: maxPage})
	var status *fetch.StatusError
	if errors.As(err, &status) && status.Absent() {
		return nil, nil // the index has no such project
	}
	if err != nil {
		return nil, fmt.Errorf("asking the index for %s: %w", name, err)
	}
	files, err := parsePage(raw, res.ContentType, res.URL)
	if err != nil {
		return nil, fmt.Errorf("asking the index for %s: %s: %w", name, fetch.Show(at), err)
	}
	for i := range files {
		if files[i].URL.Host == at.Host && files[i].URL.User == nil {
			files[i].URL.User = at.User // a proxy's login, if any
		}
	}
	return files, nil
}

func parsePage(raw []byte, contentType string, base *url.URL) ([]distribution, error) {
	if kind, _, err := mime.ParseMediaType(contentType); err == nil && strings.HasSuffix(kind, "json") {
		return parseJSON(raw, base)
	}
	return parseHTML(raw, base)
}

func parseJSON(raw []byte, base *url.URL) ([]distribution, error) {
	var page struct {
		Files []struct {
			Filename string            `json:"filename"`
			URL      string            `json:"url"`
			Hashes   map[string]string `json:"hashes"`
			Yanked   any               `json:"yanked"` // true, or the reason
		} `json:"files"`
	}
	if err := json.Unmarshal(raw, &page); err != nil {
		return nil, fmt.Errorf("its answer is not JSON as announced: %w", err)
	}
	var files []distribution
	for _, f := range page.Files {
		at, err := base.Parse(f.URL)
		if err != nil || !plainName(f.Filename) {
			continue // nothing pip could use
		}
		d := distribution{Filename: f.Filename, URL: at, Yanked: f.Yanked != nil && f.Yanked != false}
		for algorithm, digest := range f.Hashes {
			if sum, err := fetch.ParseChecksum(algorithm + ":" + digest); err == nil {
				d.Hashes = append(d.Hashes, sum)
			}
		}
		files = append(files, d)
	}
	return files, nil
}

func parseHTML(raw []byte, base *url.URL) ([]distribution, error) {
	var files []distribution
	tokens := html.NewTokenizer(bytes.NewReader(raw))
	for {
		switch tokens.Next() {
		case html.ErrorToken:
			if err := tokens.Err(); !errors.Is(err, io.EOF) {
				return nil, fmt.Errorf("its answer is not HTML: %w", err)
			}
			return files, nil
		case html.StartTagToken, html.SelfClosingTagToken:
			token := tokens.Token()
			href, yanked := "", false
			for _, a := range token.Attr {
				switch a.Key {
				case "href":
					href = a.Val
				case "data-yanked":
					yanked = true
				}
			}
			at, err := base.Parse(href)
			if err != nil || href == "" {
				continue
			}
			switch token.Data {
			case "base":
				base = at
			case "a":
				if d, ok := link(at, yanked); ok {
					files = append(files, d)
				}
			}
		}
	}
}

// link is a file by its URL, whose fragment tells a hash.
func link(at *url.URL, yanked bool) (distribution, bool) {
	d := distribution{Filename: path.Base(at.Path), Yanked: yanked}
	if algorithm, digest, ok := strings.Cut(at.Fragment, "="); ok {
		if sum, err := fetch.ParseChecksum(algorithm + ":" + digest); err == nil {
			d.Hashes = []fetch.Checksum{sum}
		}
	}
	clean := *at
	clean.Fragment = ""
	d.URL = &clean
	return d, plainName(d.Filename)
}

// plainName tells whether a name can be that of a file in the output folder.
func plainName(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, "/\\\x00")
}
