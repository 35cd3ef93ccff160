package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/config"
)

// maxSubmoduleDepth bounds submodules of submodules.
const maxSubmoduleDepth = 10

// submodules clones the submodules that the commit names. Where they go is
// what the commit's tree says; .gitmodules says only where they come from.
func (c *cloner) submodules(ctx context.Context, links []gitlink) error {
	links = slices.DeleteFunc(links, func(l gitlink) bool { return !c.picked(l.path) })
	if len(links) == 0 {
		return nil
	}
	urls, err := c.modules()
	if err != nil {
		return err
	}
	for _, link := range links {
		raw, ok := urls[link.path]
		if !ok {
			return fmt.Errorf("submodule %q: .gitmodules does not say where it comes from", link.path)
		}
		if err := c.submodule(ctx, link, raw); err != nil {
			return fmt.Errorf("submodule %q: %w", link.path, err)
		}
	}
	return nil
}

// picked reports whether a submodule is among those that were asked for.
func (c *cloner) picked(name string) bool {
	return len(c.opts.SubmodulePaths) == 0 || slices.ContainsFunc(c.opts.SubmodulePaths, func(p string) bool {
		return below(name, strings.TrimPrefix(path.Clean(p), "./"))
	})
}

// modules reads where submodules come from, by path.
func (c *cloner) modules() (map[string]string, error) {
	raw, err := c.root.ReadFile(".gitmodules")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading .gitmodules: %w", err)
	}
	modules := config.NewModules()
	if err := modules.Unmarshal(raw); err != nil {
		return nil, fmt.Errorf("reading .gitmodules: %w", err)
	}
	urls := map[string]string{}
	for _, m := range modules.Submodules {
		urls[path.Clean(m.Path)] = m.URL
	}
	return urls, nil
}

func (c *cloner) submodule(ctx context.Context, link gitlink, raw string) error {
	from, err := resolve(c.opts.URL, raw)
	if err != nil {
		return fmt.Errorf("its URL in .gitmodules %w", err)
	}
	if c.opts.level >= maxSubmoduleDepth {
		return fmt.Errorf("submodules are nested more than %d deep", maxSubmoduleDepth)
	}
	opts := c.opts
	opts.URL, opts.Revision, opts.Dir = from, link.commit.String(), filepath.Join(opts.Dir, filepath.FromSlash(link.path))
	opts.Refspecs, opts.Sparse, opts.SubmodulePaths, opts.Merge, opts.Tags = nil, nil, nil, nil, false
	opts.level++
	_, err = Clone(ctx, opts)
	return err
}

// resolve makes a submodule's URL absolute: it may be relative to the URL of
// the repository that has it.
func resolve(parent, raw string) (string, error) {
	if !strings.HasPrefix(raw, "./") && !strings.HasPrefix(raw, "../") {
		return raw, CheckURL(raw)
	}
	base, rest := "", parent
	if u, err := url.Parse(parent); err == nil && u.Host != "" {
		base, rest = u.Scheme+"://"+u.Host, u.Path
		if u.User != nil {
			base = u.Scheme + "://" + u.User.String() + "@" + u.Host
		}
	} else if host, p, ok := strings.Cut(parent, ":"); ok {
		base, rest = host+":", p
	}
	// git takes a step up from the repository itself, as from a folder.
	joined := path.Join(strings.TrimSuffix(rest, "/"), raw)
	if strings.HasPrefix(joined, "..") || joined == "/" || joined == "." {
		return "", fmt.Errorf("%q leads above the host", raw)
	}
	full := base + joined
	return full, CheckURL(full)
}
