// Package git clones repositories, and keeps what it clones where it belongs.
//
// It talks to git hosts itself and starts no program, so a URL, a revision or
// a repository's own configuration runs nothing here.
package git

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/transport"
)

// target is the local name of the commit that was asked for.
const target = plumbing.ReferenceName("refs/remotes/origin/headrace-target")

// CloneOptions say what to clone where.
type CloneOptions struct {
	URL        string
	Revision   string // branch, tag, commit or full ref; "" for the default branch
	Refspec    string // fetched besides, before Revision is looked up
	Depth      int    // of history; 0 for all
	Tags       bool
	Dir        string // made; must be empty
	Sparse     []string
	Submodules bool
	// SubmodulePaths picks submodules; all when empty.
	SubmodulePaths []string
	Auth           transport.AuthMethod
	CAFile         string // trusted besides the system's certificates, if there
	SkipTLSVerify  bool
	Attempts       int // in all, when the network fails
}

// NotFoundError says that the host has no such repository, or hides it.
type NotFoundError struct{ URL string }

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("cloning %q: the repository does not exist, or needs a login", e.URL)
}

// Hint says what to check.
func (e *NotFoundError) Hint() string {
	return "check the task's param url; for a private repository bind a Secret with a login to workspace basic-auth or ssh-directory"
}

// RevisionError says that a repository has no such revision.
type RevisionError struct{ URL, Revision string }

func (e *RevisionError) Error() string {
	return fmt.Sprintf("cloning %q: there is no branch, tag or commit %q", e.URL, e.Revision)
}

// Hint says what to check.
func (e *RevisionError) Hint() string {
	return "check the task's param revision; a commit that no branch or tag holds needs param refspec"
}

// Clone clones and checks out, and returns the commit.
func Clone(ctx context.Context, opts CloneOptions) (*object.Commit, error) {
	repo, err := gogit.PlainInit(opts.Dir, false)
	if err != nil {
		return nil, fmt.Errorf("making %q: %w", opts.Dir, err)
	}
	c := &cloner{opts: opts, repo: repo}
	if opts.CAFile != "" {
		if c.ca, err = os.ReadFile(opts.CAFile); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	c.remote, err = repo.CreateRemote(&config.RemoteConfig{Name: "origin", URLs: []string{Redact(opts.URL)}})
	if err != nil {
		return nil, err
	}
	if err := c.fetchRevision(ctx); err != nil {
		return nil, err
	}
	return c.checkout(ctx)
}

type cloner struct {
	opts   CloneOptions
	repo   *gogit.Repository
	remote *gogit.Remote
	ca     []byte
}

// fetchRevision brings the revision here, as the ref target.
func (c *cloner) fetchRevision(ctx context.Context) error {
	var refs []*plumbing.Reference
	err := c.retry(ctx, "listing refs", func() (err error) {
		refs, err = c.remote.ListContext(ctx, &gogit.ListOptions{
			Auth: c.opts.Auth, CABundle: c.ca, InsecureSkipTLS: c.opts.SkipTLSVerify,
		})
		return err
	})
	if err != nil {
		return err
	}
	if c.opts.Refspec != "" {
		spec := config.RefSpec(c.opts.Refspec)
		if !strings.Contains(c.opts.Refspec, ":") {
			spec = config.RefSpec(c.opts.Refspec + ":" + target.String())
		}
		if err := c.fetch(ctx, spec, c.opts.Depth); err != nil {
			return err
		}
	}
	source, found := find(refs, c.opts.Revision)
	switch {
	case found:
		return c.fetch(ctx, spec(source), c.opts.Depth)
	case !plumbing.IsHash(c.opts.Revision):
		return &RevisionError{URL: Redact(c.opts.URL), Revision: c.opts.Revision}
	case c.has(c.opts.Revision):
		return c.pin(c.opts.Revision)
	}
	// No ref names the commit. Many hosts give it all the same; for those that
	// do not, it is in the history of something.
	if err := c.fetch(ctx, spec(c.opts.Revision), c.opts.Depth); err == nil {
		return nil
	}
	if err := c.fetch(ctx, "+refs/heads/*:refs/remotes/origin/*", 0); err != nil {
		return err
	}
	if !c.has(c.opts.Revision) {
		return &RevisionError{URL: Redact(c.opts.URL), Revision: c.opts.Revision}
	}
	return c.pin(c.opts.Revision)
}

func spec(source string) config.RefSpec { return config.RefSpec("+" + source + ":" + target.String()) }

// find picks the remote's ref for a revision, a branch before a tag.
func find(refs []*plumbing.Reference, revision string) (string, bool) {
	names := map[string]*plumbing.Reference{}
	for _, ref := range refs {
		names[ref.Name().String()] = ref
	}
	if revision == "" {
		head, ok := names["HEAD"]
		if ok && head.Type() == plumbing.SymbolicReference {
			return head.Target().String(), true
		}
		return "HEAD", ok
	}
	for _, name := range []string{revision, "refs/heads/" + revision, "refs/tags/" + revision} {
		if _, ok := names[name]; ok && strings.HasPrefix(name, "refs/") {
			return name, true
		}
	}
	for _, ref := range refs {
		if ref.Hash().String() == revision && ref.Name().IsBranch() {
			return ref.Name().String(), true
		}
	}
	return "", false
}

func (c *cloner) fetch(ctx context.Context, spec config.RefSpec, depth int) error {
	if err := spec.Validate(); err != nil {
		return fmt.Errorf("refspec %q: %w", spec, err)
	}
	tags := gogit.NoTags
	if c.opts.Tags {
		tags = gogit.AllTags
	}
	return c.retry(ctx, "fetching", func() error {
		err := c.remote.FetchContext(ctx, &gogit.FetchOptions{
			RemoteName: "origin", RefSpecs: []config.RefSpec{spec}, Depth: depth, Tags: tags, Force: true,
			Auth: c.opts.Auth, CABundle: c.ca, InsecureSkipTLS: c.opts.SkipTLSVerify,
		})
		if errors.Is(err, gogit.NoErrAlreadyUpToDate) {
			return nil
		}
		return err
	})
}

func (c *cloner) has(commit string) bool {
	_, err := c.repo.CommitObject(plumbing.NewHash(commit))
	return err == nil
}

func (c *cloner) pin(commit string) error {
	return c.repo.Storer.SetReference(plumbing.NewHashReference(target, plumbing.NewHash(commit)))
}

// checkout writes the commit's files, and its submodules'.
func (c *cloner) checkout(ctx context.Context) (*object.Commit, error) {
	// A tag may be an object of its own, which names the commit.
	hash, err := c.repo.ResolveRevision(plumbing.Revision(target))
	if err != nil {
		return nil, fmt.Errorf("resolving %q: %w", c.opts.Revision, err)
	}
	tree, err := c.repo.Worktree()
	if err != nil {
		return nil, err
	}
	err = tree.Checkout(&gogit.CheckoutOptions{Hash: *hash, Force: true, SparseCheckoutDirectories: c.opts.Sparse})
	if err != nil {
		return nil, fmt.Errorf("checking out %s: %w", hash, err)
	}
	if c.opts.Submodules {
		if err := c.submodules(ctx, tree); err != nil {
			return nil, err
		}
	}
	return c.repo.CommitObject(*hash)
}

func (c *cloner) submodules(ctx context.Context, tree *gogit.Worktree) error {
	modules, err := tree.Submodules()
	if err != nil {
		return fmt.Errorf("reading .gitmodules: %w", err)
	}
	for _, module := range modules {
		cfg := module.Config()
		if len(c.opts.SubmodulePaths) > 0 && !slices.Contains(c.opts.SubmodulePaths, cfg.Path) {
			continue
		}
		if err := CheckURL(cfg.URL); err != nil && !strings.HasPrefix(cfg.URL, "./") && !strings.HasPrefix(cfg.URL, "../") {
			return fmt.Errorf("submodule %q: its URL %w", cfg.Name, err)
		}
		err := c.retry(ctx, "fetching submodule "+cfg.Name, func() error {
			return module.UpdateContext(ctx, &gogit.SubmoduleUpdateOptions{
				Init: true, RecurseSubmodules: gogit.DefaultSubmoduleRecursionDepth, Auth: c.opts.Auth,
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// retry tries again, waiting longer each time, while it is the network that
// fails. What the host answered is final.
func (c *cloner) retry(ctx context.Context, what string, do func() error) error {
	delay := time.Second
	for attempt := 1; ; attempt++ {
		err := do()
		switch {
		case err == nil:
			return nil
		case errors.Is(err, transport.ErrRepositoryNotFound), errors.Is(err, transport.ErrAuthenticationRequired),
			errors.Is(err, transport.ErrAuthorizationFailed):
			return &NotFoundError{URL: Redact(c.opts.URL)}
		case attempt >= c.opts.Attempts || !passing(err):
			return fmt.Errorf("%s of %q: %w", what, Redact(c.opts.URL), err)
		}
		slog.WarnContext(ctx, "the network failed; trying again", "what", what, "attempt", attempt, "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(delay):
		}
		delay = min(2*delay, 30*time.Second)
	}
}

// passing reports whether time may mend an error: the connection, or a host
// that says it is busy.
func passing(err error) bool {
	var network net.Error
	if errors.As(err, &network) {
		return true
	}
	text := err.Error()
	for _, sign := range []string{"unexpected EOF", "connection reset", "status code: 5", "status code: 429", "error: 5"} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}
