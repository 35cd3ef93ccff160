package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/gitattributes"
	"github.com/go-git/go-git/v5/plumbing/format/index"
	"github.com/go-git/go-git/v5/plumbing/object"
	"golang.org/x/sync/errgroup"
)

const (
	// maxEntries bounds the files of a commit: trees may name each other so
	// that a few of them stand for billions.
	maxEntries = 5_000_000
	maxPath    = 4096 // bytes, as the kernel has it

	// What is written at once: so many files of a folder, or so many bytes.
	batchFiles = 256
	batchBytes = 4 << 20
	writers    = 4
)

// gitlink is a submodule: a commit of another repository.
type gitlink struct {
	path   string
	commit plumbing.Hash
}

// written is what of a checkout needs more than writing.
type written struct {
	submodules []gitlink
	pointers   []pointer
}

// checkout writes the files of a commit, and the index by which git sees that
// they are what they should be.
func (c *cloner) checkout(ctx context.Context, commit *object.Commit) (*written, error) {
	tree, err := commit.Tree()
	if err != nil {
		return nil, err
	}
	group, ctx := errgroup.WithContext(ctx)
	w := &worktree{cloner: c, ctx: ctx, batches: make(chan *batch, 2), links: map[string]string{}}
	for range writers {
		group.Go(func() error {
			for b := range w.batches {
				if err := c.write(b); err != nil {
					return err
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(w.batches)
		return w.walk(tree, "")
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	// Last, so that nothing was written through one.
	for _, name := range slices.Sorted(maps.Keys(w.links)) {
		if err := c.root.Symlink(w.links[name], name); err != nil {
			return nil, err
		}
	}
	if err := c.storage.SetIndex(&index.Index{Version: 3, Entries: w.entries}); err != nil {
		return nil, err
	}
	w.found.pointers = tracked(w.found.pointers, w.attributes)
	return &w.found, c.storage.SetReference(plumbing.NewHashReference(plumbing.HEAD, commit.Hash))
}

// batch is files of one folder.
type batch struct {
	dir   string // slash-separated, "" for the root
	files []file
	size  int
}

type file struct {
	name    string
	mode    os.FileMode
	content []byte
}

// write writes a batch. The folder is there, since the walk made it.
func (c *cloner) write(b *batch) error {
	dir := c.root
	if b.dir != "" {
		var err error
		if dir, err = c.root.OpenRoot(b.dir); err != nil {
			return err
		}
		defer dir.Close()
	}
	for _, f := range b.files {
		out, err := dir.OpenFile(f.name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, f.mode)
		if err != nil {
			return fmt.Errorf("in folder %q: %w", b.dir, err)
		}
		_, err = out.Write(f.content)
		if err := errors.Join(err, out.Close()); err != nil {
			return err
		}
	}
	return nil
}

// worktree is a checkout at work. One goroutine reads, since the storage is
// not for several; others write.
type worktree struct {
	*cloner
	ctx        context.Context
	batches    chan *batch
	entries    []*index.Entry
	links      map[string]string // symbolic links and what they say
	attributes []gitattributes.MatchAttribute
	found      written
}

func (w *worktree) walk(tree *object.Tree, dir string) error {
	wanted := w.wanted(dir)
	b := &batch{dir: dir}
	for _, e := range tree.Entries {
		if err := CheckEntry(e.Name); err != nil {
			return fmt.Errorf("in folder %q: entry %q %w", dir, e.Name, err)
		}
		name := path.Join(dir, e.Name)
		if len(name) > maxPath {
			return fmt.Errorf("a path is longer than %d bytes: %.60q…", maxPath, name)
		}
		if e.Mode == filemode.Dir {
			continue
		}
		if len(w.entries) >= maxEntries {
			return fmt.Errorf("there are more than %d files", maxEntries)
		}
		entry := &index.Entry{Name: name, Hash: e.Hash, Mode: e.Mode, SkipWorktree: !wanted}
		w.entries = append(w.entries, entry)
		if !wanted {
			continue
		}
		if err := w.entry(b, name, e, entry); err != nil {
			return fmt.Errorf("file %q: %w", name, err)
		}
	}
	if err := w.send(b); err != nil {
		return err
	}
	for _, e := range tree.Entries {
		if e.Mode != filemode.Dir {
			continue
		}
		name := path.Join(dir, e.Name)
		sub, err := object.GetTree(w.storage, e.Hash)
		if err != nil {
			return fmt.Errorf("folder %q: %w", name, err)
		}
		if w.wanted(name) {
			if err := w.root.Mkdir(name, 0o755); err != nil {
				return err
			}
		}
		if err := w.walk(sub, name); err != nil {
			return err
		}
	}
	return nil
}

// wanted reports whether the files of a folder are to be written.
func (w *worktree) wanted(dir string) bool {
	if len(w.opts.Sparse) == 0 || dir == "" {
		return true
	}
	for _, s := range w.opts.Sparse {
		s = strings.Trim(path.Clean(s), "/")
		if s == "." || below(dir, s) || below(s, dir) {
			return true
		}
	}
	return false
}

// entry puts one entry of a tree where it belongs.
func (w *worktree) entry(b *batch, name string, e object.TreeEntry, entry *index.Entry) error {
	if e.Mode == filemode.Submodule {
		w.found.submodules = append(w.found.submodules, gitlink{path: name, commit: e.Hash})
		return w.root.Mkdir(name, 0o755)
	}
	blob, err := w.storage.EncodedObject(plumbing.BlobObject, e.Hash)
	if err != nil {
		return err
	}
	entry.Size = uint32(blob.Size()) //nolint:gosec // the index keeps sizes modulo 2^32
	reader, err := blob.Reader()
	if err != nil {
		return err
	}
	defer reader.Close()
	mode := os.FileMode(0o644)
	if e.Mode == filemode.Executable {
		mode = 0o755
	}
	if blob.Size() > largeObject {
		return w.stream(name, mode, reader)
	}
	content, err := io.ReadAll(io.LimitReader(reader, blob.Size()))
	if err != nil {
		return err
	}
	switch {
	case e.Mode == filemode.Symlink:
		w.links[name] = string(content)
		return nil
	case e.Name == ".gitattributes":
		if err := w.attribute(b.dir, content); err != nil {
			return err
		}
	}
	if p, ok := parsePointer(name, content); ok {
		p.mode = mode
		w.found.pointers = append(w.found.pointers, p)
	}
	b.files, b.size = append(b.files, file{name: e.Name, mode: mode, content: content}), b.size+len(content)
	if len(b.files) < batchFiles && b.size < batchBytes {
		return nil
	}
	full := *b
	*b = batch{dir: b.dir}
	return w.send(&full)
}

func (w *worktree) send(b *batch) error {
	if len(b.files) == 0 {
		return nil
	}
	select {
	case w.batches <- b:
		return nil
	case <-w.ctx.Done():
		return context.Cause(w.ctx)
	}
}

// stream writes what is too large to be held.
func (c *cloner) stream(name string, mode os.FileMode, content io.Reader) error {
	out, err := c.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, content)
	return errors.Join(err, out.Close())
}

func (w *worktree) attribute(dir string, content []byte) error {
	var below []string
	if dir != "" {
		below = strings.Split(dir, "/")
	}
	found, err := gitattributes.ReadAttributes(bytes.NewReader(content), below, dir == "")
	w.attributes = append(w.attributes, found...)
	return err
}

// CheckEntry reports what keeps the name of a tree's entry from being written:
// git itself does not make such names, and others use them to write where
// nothing of theirs belongs.
func CheckEntry(name string) error {
	switch {
	case name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00"):
		return errors.New("is not a file name")
	case strings.EqualFold(name, ".git") || strings.EqualFold(name, "git~1"):
		return errors.New("is git's own folder")
	}
	return nil
}
