package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"sort"
	"strings"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// mergeRef is the local name of the branch to merge.
const mergeRef = plumbing.ReferenceName("refs/remotes/merge-source/headrace-target")

// maxMergedFile bounds a file that both sides changed, in bytes.
const maxMergedFile = 8 << 20

// Who made the merges.
const (
	mergerName  = "Konflux CI Git Clone"
	mergerEmail = "git-clone@konflux-ci.dev"
)

// ConflictError says that two branches do not merge by themselves.
type ConflictError struct {
	Branch string
	Files  []string // with a reason each
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("merging branch %q: conflicts in %s", e.Branch, strings.Join(e.Files, ", "))
}

// Hint says what to do about it.
func (e *ConflictError) Hint() string {
	return "merge the target branch into the source branch, resolve the conflicts and push; renames are not followed here"
}

// merge merges a branch into a commit, and returns the merge: a commit whose
// time is that of the newer parent, so that the same two branches give the
// same merge. It is the commit itself when the branch is in it already.
func (c *cloner) merge(ctx context.Context, ours *object.Commit) (*object.Commit, error) {
	theirs, from, err := c.fetchMerge(ctx)
	if err != nil {
		return nil, err
	}
	bases, err := ours.MergeBase(theirs)
	if err != nil {
		return nil, fmt.Errorf("merging branch %q: %w", c.opts.Merge.Branch, err)
	}
	base := &object.Tree{}
	switch {
	case len(bases) > 1:
		return nil, fmt.Errorf("merging branch %q: the branches were merged into each other before, so that no one commit is where they parted; merge them on the git host", c.opts.Merge.Branch)
	case len(bases) == 1 && bases[0].Hash == theirs.Hash:
		return ours, nil
	case len(bases) == 1:
		if base, err = bases[0].Tree(); err != nil {
			return nil, err
		}
	}
	m := merger{cloner: c}
	tree, err := m.commits(base, ours, theirs)
	if err != nil {
		return nil, fmt.Errorf("merging branch %q: %w", c.opts.Merge.Branch, err)
	}
	if len(m.conflicts) > 0 {
		return nil, &ConflictError{Branch: c.opts.Merge.Branch, Files: m.conflicts}
	}
	when := ours.Committer.When
	if theirs.Committer.When.After(when) {
		when = theirs.Committer.When
	}
	by := object.Signature{Name: mergerName, Email: mergerEmail, When: when.UTC()}
	hash, err := c.store(&object.Commit{
		Author: by, Committer: by, TreeHash: tree, ParentHashes: []plumbing.Hash{ours.Hash, theirs.Hash},
		Message: fmt.Sprintf("Merge branch '%s' from %s into %s\n", c.opts.Merge.Branch, from, ours.Hash),
	})
	if err != nil {
		return nil, err
	}
	return c.repo.CommitObject(hash)
}

// fetchMerge brings the branch to merge here, and says from where.
func (c *cloner) fetchMerge(ctx context.Context) (*object.Commit, string, error) {
	remote, auth, from := c.remote, c.auth, "origin"
	if url := c.opts.Merge.URL; url != "" && !same(url, c.opts.URL) {
		var err error
		from = "merge-source"
		if remote, err = c.addRemote(from, url); err != nil {
			return nil, "", err
		}
		if auth, err = c.opts.Auth.method(url); err != nil {
			return nil, "", err
		}
	}
	err := c.fetchFrom(ctx, remote, auth, 0, to("refs/heads/"+c.opts.Merge.Branch, mergeRef))
	if errors.Is(err, gogit.NoMatchingRefSpecError{}) {
		return nil, "", &RevisionError{URL: remote.Config().URLs[0], Revision: c.opts.Merge.Branch}
	}
	if err != nil {
		return nil, "", err
	}
	commit, err := c.commit(mergeRef)
	return commit, from, err
}

// same reports whether two URLs are of one repository.
func same(a, b string) bool {
	trim := func(s string) string { return strings.TrimSuffix(strings.TrimSuffix(s, "/"), ".git") }
	return trim(a) == trim(b)
}

// store writes an object.
func (c *cloner) store(o interface {
	Encode(plumbing.EncodedObject) error
}) (plumbing.Hash, error) {
	encoded := c.storage.NewEncodedObject()
	if err := o.Encode(encoded); err != nil {
		return plumbing.ZeroHash, err
	}
	return c.storage.SetEncodedObject(encoded)
}

// merger merges trees, and gathers what does not merge.
type merger struct {
	*cloner
	conflicts []string
}

func (m *merger) commits(base *object.Tree, ours, theirs *object.Commit) (plumbing.Hash, error) {
	a, err := ours.Tree()
	if err != nil {
		return plumbing.ZeroHash, err
	}
	b, err := theirs.Tree()
	if err != nil {
		return plumbing.ZeroHash, err
	}
	return m.trees("", base, a, b)
}

// entry is what a tree has under a name; the zero value for nothing.
type entry struct {
	mode filemode.FileMode
	hash plumbing.Hash
}

func (m *merger) trees(dir string, base, ours, theirs *object.Tree) (plumbing.Hash, error) {
	sides := map[string]*[3]entry{}
	for i, tree := range []*object.Tree{base, ours, theirs} {
		for _, e := range tree.Entries {
			if sides[e.Name] == nil {
				sides[e.Name] = &[3]entry{}
			}
			sides[e.Name][i] = entry{mode: e.Mode, hash: e.Hash}
		}
	}
	merged := &object.Tree{}
	for name, s := range sides {
		got, err := m.entry(path.Join(dir, name), s[0], s[1], s[2])
		if err != nil {
			return plumbing.ZeroHash, err
		}
		if got != (entry{}) {
			merged.Entries = append(merged.Entries, object.TreeEntry{Name: name, Mode: got.mode, Hash: got.hash})
		}
	}
	slices.Sort(m.conflicts)
	sort.Sort(object.TreeEntrySorter(merged.Entries))
	if len(merged.Entries) == 0 && dir != "" {
		return plumbing.ZeroHash, nil
	}
	return m.store(merged)
}

func (m *merger) entry(name string, base, ours, theirs entry) (entry, error) {
	switch {
	case ours == theirs || base == theirs:
		return ours, nil
	case base == ours:
		return theirs, nil
	case folder(base) && folder(ours) && folder(theirs) && ours != (entry{}) && theirs != (entry{}):
		return m.folders(name, base, ours, theirs)
	case ours == (entry{}) || theirs == (entry{}):
		m.conflict(name, "changed here and deleted there")
		return entry{}, nil
	case !regular(base) || !regular(ours) || !regular(theirs):
		m.conflict(name, "both changed what it is")
		return entry{}, nil
	}
	return m.files(name, base, ours, theirs)
}

func (m *merger) conflict(name, why string) {
	m.conflicts = append(m.conflicts, fmt.Sprintf("%s (%s)", name, why))
}

func folder(e entry) bool  { return e == entry{} || e.mode == filemode.Dir }
func regular(e entry) bool { return e.mode == filemode.Regular || e.mode == filemode.Executable }

func (m *merger) folders(name string, base, ours, theirs entry) (entry, error) {
	var trees [3]*object.Tree
	for i, e := range []entry{base, ours, theirs} {
		trees[i] = &object.Tree{}
		if e == (entry{}) {
			continue
		}
		var err error
		if trees[i], err = object.GetTree(m.storage, e.hash); err != nil {
			return entry{}, err
		}
	}
	hash, err := m.trees(name, trees[0], trees[1], trees[2])
	if err != nil || hash == plumbing.ZeroHash {
		return entry{}, err
	}
	return entry{mode: filemode.Dir, hash: hash}, nil
}

// files merges a file that both sides changed: its mode and its lines.
func (m *merger) files(name string, base, ours, theirs entry) (entry, error) {
	mode := ours.mode
	if ours.mode == base.mode {
		mode = theirs.mode
	}
	switch {
	case ours.hash == theirs.hash || base.hash == theirs.hash:
		return entry{mode: mode, hash: ours.hash}, nil
	case base.hash == ours.hash:
		return entry{mode: mode, hash: theirs.hash}, nil
	}
	var texts [3]string
	for i, e := range []entry{base, ours, theirs} {
		var err error
		if texts[i], err = m.text(e.hash); err != nil {
			return entry{}, fmt.Errorf("file %q: %w", name, err)
		}
		if strings.Contains(texts[i], "\x00") {
			m.conflict(name, "both changed a binary file")
			return entry{}, nil
		}
	}
	text, ok := mergeText(texts[0], texts[1], texts[2])
	if !ok {
		m.conflict(name, "both changed the same lines")
		return entry{}, nil
	}
	blob := m.storage.NewEncodedObject()
	blob.SetType(plumbing.BlobObject)
	w, err := blob.Writer()
	if err != nil {
		return entry{}, err
	}
	_, err = io.WriteString(w, text)
	if err := errors.Join(err, w.Close()); err != nil {
		return entry{}, err
	}
	hash, err := m.storage.SetEncodedObject(blob)
	return entry{mode: mode, hash: hash}, err
}

func (m *merger) text(hash plumbing.Hash) (string, error) {
	blob, err := m.repo.BlobObject(hash)
	if err != nil {
		return "", err
	}
	if blob.Size > maxMergedFile {
		return "", fmt.Errorf("both sides changed it, and it has more than %d bytes", maxMergedFile)
	}
	r, err := blob.Reader()
	if err != nil {
		return "", err
	}
	defer r.Close()
	raw, err := io.ReadAll(r)
	return string(raw), err
}
