// Package git clones repositories, and keeps what it clones where it belongs.
//
// It talks to git hosts itself and starts no program, so a URL, a revision or
// a repository's own configuration runs nothing here. What a repository holds
// is written below one folder and nowhere else, whatever its trees, links and
// submodules are called.
package git

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// target is the local name of the commit that was asked for.
const target = plumbing.ReferenceName("refs/remotes/origin/headrace-target")

// largeObject is the size in bytes from which an object is streamed instead of
// held in memory.
const largeObject = 16 << 20

// CloneOptions say what to clone where.
type CloneOptions struct {
	URL      string
	Revision string   // branch, tag, commit or full ref; "" for the default branch
	Refspecs []string // fetched besides, before Revision is looked up
	Depth    int      // of history; 0 for all
	Tags     bool
	Dir      string // made; must be empty
	// Sparse names the folders to write, with what is in them; files of the
	// folders above are written too, as git's cone mode does. All when empty.
	Sparse     []string
	Submodules bool
	// SubmodulePaths picks submodules: those at or below a path. All when
	// empty.
	SubmodulePaths []string
	Merge          *Merge // nil for none
	Auth           Auth   // nil for no login
	CAFile         string // trusted besides the system's certificates, if there
	SkipTLSVerify  bool
	Attempts       int           // in all, when the network fails; 1 when 0
	Backoff        time.Duration // before the second attempt; doubled after; 1s when 0

	level int // of submodules
}

// Merge says what to merge into the revision.
type Merge struct {
	URL    string // repository of Branch; "" for the one that is cloned
	Branch string
}

// Cloned is what was cloned.
type Cloned struct {
	Commit *object.Commit // that was asked for
	Merged *object.Commit // that was checked out instead, with a merge in it; nil without one
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

// LoginError says that the host did not take the login.
type LoginError struct{ URL string }

func (e *LoginError) Error() string {
	return fmt.Sprintf("cloning %q: the host refused the login", e.URL)
}

// Hint says what to check.
func (e *LoginError) Hint() string {
	return "check that the Secret bound to workspace basic-auth or ssh-directory is for this host, has not expired and may read the repository"
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

// Clone clones and checks out.
func Clone(ctx context.Context, opts CloneOptions) (*Cloned, error) {
	c, err := newCloner(opts)
	if err != nil {
		return nil, err
	}
	defer c.close()
	if err := c.fetchRevision(ctx); err != nil {
		return nil, err
	}
	commit, err := c.commit(target)
	if err != nil {
		return nil, fmt.Errorf("resolving %q: %w", opts.Revision, err)
	}
	cloned, head := &Cloned{Commit: commit}, commit
	if opts.Merge != nil {
		if cloned.Merged, err = c.merge(ctx, commit); err != nil {
			return nil, err
		}
		head = cloned.Merged
	}
	return cloned, c.populate(ctx, head)
}

// cloner is one repository on its way.
type cloner struct {
	opts    CloneOptions
	depth   int // of history to fetch
	root    *os.Root
	storage *filesystem.Storage
	repo    *gogit.Repository
	remote  *gogit.Remote
	auth    transport.AuthMethod
	ca      []byte
}

func newCloner(opts CloneOptions) (*cloner, error) {
	if err := os.MkdirAll(opts.Dir, 0o755); err != nil {
		return nil, err
	}
	if left, err := os.ReadDir(opts.Dir); err != nil || len(left) > 0 {
		return nil, errors.Join(err, fmt.Errorf("folder %q is not empty", opts.Dir))
	}
	c := &cloner{opts: opts, depth: opts.Depth}
	if opts.Merge != nil {
		// Where two branches parted is not to be seen in half a history.
		c.depth = 0
	}
	var err error
	if opts.CAFile != "" {
		if c.ca, err = os.ReadFile(opts.CAFile); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	if c.auth, err = opts.Auth.method(opts.URL); err != nil {
		return nil, err
	}
	if c.root, err = os.OpenRoot(opts.Dir); err != nil {
		return nil, err
	}
	git := osfs.New(opts.Dir+"/.git", osfs.WithBoundOS())
	c.storage = filesystem.NewStorageWithOptions(git, cache.NewObjectLRUDefault(),
		filesystem.Options{ExclusiveAccess: true, KeepDescriptors: true, LargeObjectThreshold: largeObject})
	if c.repo, err = gogit.Init(c.storage, osfs.New(opts.Dir, osfs.WithBoundOS())); err != nil {
		return nil, fmt.Errorf("making %q: %w", opts.Dir, err)
	}
	c.remote, err = c.addRemote("origin", opts.URL)
	return c, err
}

// addRemote names a repository. Its URL is kept without a login: whoever gets
// the clone is not to get that.
func (c *cloner) addRemote(name, url string) (*gogit.Remote, error) {
	return c.repo.CreateRemote(&config.RemoteConfig{Name: name, URLs: []string{Redact(url)}})
}

func (c *cloner) close() {
	// Read-only by now: nothing that could be lost.
	_ = c.storage.Close()
	_ = c.root.Close()
}

// fetchRevision brings the revision here, as the ref target.
func (c *cloner) fetchRevision(ctx context.Context) error {
	refs, err := c.list(ctx, c.remote, c.auth)
	if err != nil {
		return err
	}
	if err := c.fetchRefspecs(ctx); err != nil {
		return err
	}
	source, found := find(refs, c.opts.Revision)
	switch {
	case found:
		return c.fetch(ctx, c.depth, to(source, target))
	case c.local(c.opts.Revision):
		return nil
	case !plumbing.IsHash(c.opts.Revision):
		return &RevisionError{URL: Redact(c.opts.URL), Revision: c.opts.Revision}
	}
	// No ref names the commit. Many hosts give it all the same; for those that
	// do not, it is in the history of something.
	if err := c.fetch(ctx, c.depth, to(c.opts.Revision, target)); err == nil {
		return nil
	}
	if err := c.fetch(ctx, 0, "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"); err != nil {
		return err
	}
	if !c.local(c.opts.Revision) {
		return &RevisionError{URL: Redact(c.opts.URL), Revision: c.opts.Revision}
	}
	return nil
}

// fetchRefspecs fetches what was asked for besides the revision. What has no
// local name of its own can be asked for as FETCH_HEAD.
func (c *cloner) fetchRefspecs(ctx context.Context) error {
	for _, text := range c.opts.Refspecs {
		spec := config.RefSpec(text)
		if !strings.Contains(text, ":") {
			spec = to(strings.TrimPrefix(text, "+"), "FETCH_HEAD")
		}
		err := c.fetch(ctx, c.depth, spec)
		if errors.Is(err, gogit.NoMatchingRefSpecError{}) {
			return &RevisionError{URL: Redact(c.opts.URL), Revision: text}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func to(source string, local plumbing.ReferenceName) config.RefSpec {
	return config.RefSpec("+" + source + ":" + local.String())
}

// find picks the remote's ref for a revision, a branch before a tag.
func find(refs []*plumbing.Reference, revision string) (string, bool) {
	names := map[string]*plumbing.Reference{}
	for _, ref := range refs {
		names[ref.Name().String()] = ref
	}
	if revision == "" || revision == "HEAD" {
		head, ok := names["HEAD"]
		if ok && head.Type() == plumbing.SymbolicReference {
			return head.Target().String(), true
		}
		return "HEAD", ok
	}
	for _, name := range []string{revision, "refs/heads/" + revision, "refs/tags/" + revision, "refs/" + revision} {
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

// local makes a revision that a refspec already brought here the target, and
// reports whether there is one.
func (c *cloner) local(revision string) bool {
	for _, name := range []string{revision, "refs/heads/" + revision, "refs/tags/" + revision, "refs/remotes/" + revision, "refs/remotes/origin/" + revision} {
		if ref, err := c.storage.Reference(plumbing.ReferenceName(name)); err == nil && ref.Type() == plumbing.HashReference {
			return c.pin(ref.Hash()) == nil
		}
	}
	if !plumbing.IsHash(revision) {
		return false
	}
	hash := plumbing.NewHash(revision)
	if _, err := c.repo.CommitObject(hash); err != nil {
		return false
	}
	return c.pin(hash) == nil
}

func (c *cloner) pin(hash plumbing.Hash) error {
	return c.storage.SetReference(plumbing.NewHashReference(target, hash))
}

// commit is what a ref names: a tag may be an object of its own.
func (c *cloner) commit(ref plumbing.ReferenceName) (*object.Commit, error) {
	hash, err := c.repo.ResolveRevision(plumbing.Revision(ref))
	if err != nil {
		return nil, err
	}
	return c.repo.CommitObject(*hash)
}

// populate writes the commit's files, and its submodules'.
func (c *cloner) populate(ctx context.Context, commit *object.Commit) error {
	written, err := c.checkout(ctx, commit)
	if err != nil {
		return fmt.Errorf("checking out %s: %w", commit.Hash, err)
	}
	if err := c.fetchLFS(ctx, written.pointers); err != nil {
		return err
	}
	if c.opts.Submodules {
		return c.submodules(ctx, written.submodules)
	}
	return nil
}
