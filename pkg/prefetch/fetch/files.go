package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"
)

// maxFile is how large a file may be, in bytes.
const maxFile = 16 << 30

// File is one file that is wanted.
type File struct {
	Package   string // it belongs to, with version, as people know it
	URL       string
	Path      string     // to keep it at below a folder, with slashes
	Checksums []Checksum // it must have one of the strongest
	Lock      string     // file of the source that pins it
	Fix       string     // how to pin it, when there is no checksum
}

// Fetched is a file that was downloaded and has its checksum.
type Fetched struct {
	URL    string // it came from, without login and query
	SHA256 string // in hex
	Pinned bool   // whether there was a checksum to compare with
}

// ChecksumError says that a server gave something other than the source pins.
type ChecksumError struct {
	Package   string
	URL       string
	Lock      string // file of the source that pins it
	Want, Got string
}

func (e *ChecksumError) Error() string {
	return fmt.Sprintf("%s: %s has checksum %s, and %s says %s", e.Package, e.URL, e.Got, e.Lock, e.Want)
}

// Hint warns.
func (e *ChecksumError) Hint() string {
	return "somebody changed what this version holds, at its origin or on the way: compare with another source before you touch " + e.Lock
}

// UnpinnedError says that the source does not pin a package by checksum.
type UnpinnedError struct{ Package, Lock, Fix string }

func (e *UnpinnedError) Error() string {
	return fmt.Sprintf("%s has no checksum of %s", e.Lock, e.Package)
}

// Hint says how to pin it.
func (e *UnpinnedError) Hint() string { return e.Fix }

// ConflictError says that two packages that differ would have one file.
type ConflictError struct{ Package, Path string }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s: another file of the input is kept as %s and has another checksum", e.Package, e.Path)
}

// Hint says what to look at.
func (e *ConflictError) Hint() string {
	return "two lockfiles, or two lines of one, pin different content for the same name and version: make them agree"
}

// kept is a file that somebody fetches or fetched.
type kept struct {
	sums []Checksum
	done chan struct{}
	file Fetched
	err  error
}

// Files downloads files below dir, some at a time, and returns what came of
// each, in the same order. A file that an earlier call kept is not downloaded
// again.
func (c *Client) Files(ctx context.Context, dir string, files []File) ([]Fetched, error) {
	fetched := make([]Fetched, len(files))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(c.Concurrency)
	for i, file := range files {
		group.Go(func() error {
			done, err := c.once(ctx, dir, file)
			if err != nil {
				return fmt.Errorf("fetching %s: %w", file.Package, err)
			}
			fetched[i] = done
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return fetched, nil
}

func (c *Client) once(ctx context.Context, dir string, file File) (Fetched, error) {
	if !filepath.IsLocal(filepath.FromSlash(file.Path)) {
		return Fetched{}, fmt.Errorf("%q leaves the folder of what is fetched", file.Path)
	}
	dest := filepath.Join(dir, filepath.FromSlash(file.Path))
	file.Checksums = Strongest(file.Checksums)
	if len(file.Checksums) == 0 && !c.Permissive {
		return Fetched{}, &UnpinnedError{Package: file.Package, Lock: file.Lock, Fix: file.Fix}
	}
	c.mu.Lock()
	k, ok := c.kept[dest]
	if !ok {
		k = &kept{sums: file.Checksums, done: make(chan struct{})}
		c.kept[dest] = k
	}
	c.mu.Unlock()
	if ok {
		if !slices.Equal(k.sums, file.Checksums) {
			return Fetched{}, &ConflictError{Package: file.Package, Path: file.Path}
		}
		select {
		case <-k.done:
			return k.file, k.err
		case <-ctx.Done():
			return Fetched{}, ctx.Err()
		}
	}
	defer close(k.done)
	k.file, k.err = c.fetch(ctx, dest, file)
	return k.file, k.err
}

func (c *Client) fetch(ctx context.Context, dest string, file File) (Fetched, error) {
	at, err := url.Parse(file.URL)
	if err != nil {
		return Fetched{}, errors.New("its URL cannot be read") // the parser's error would quote a password
	}
	done := Fetched{URL: Show(at), Pinned: len(file.Checksums) > 0}
	if err := os.MkdirAll(filepath.Dir(dest), 0o755); err != nil {
		return done, err
	}
	if !done.Pinned {
		slog.WarnContext(ctx, "package has no checksum and is taken as it comes", "package", file.Package, "lockfile", file.Lock, "url", done.URL)
	}
	if sum, ok := c.reuse(file.Checksums, dest); ok {
		done.SHA256 = sum
		return done, nil
	}
	err = c.Get(ctx, Request{URL: at, Limit: maxFile}, func(body Response) error {
		sum, err := keep(dest, body, file.Checksums)
		var differs *ChecksumError
		if errors.As(err, &differs) {
			differs.Package, differs.URL, differs.Lock = file.Package, done.URL, file.Lock
			return Final(err)
		}
		done.SHA256 = sum
		return err
	})
	if err == nil {
		c.remember(file.Checksums, dest)
	}
	return done, err
}

// keep writes body to file, if it has one of the checksums, and returns its
// SHA-256. There is no file under that name otherwise.
func keep(file string, body io.Reader, sums []Checksum) (string, error) {
	out, err := os.Create(file + ".partial")
	if err != nil {
		return "", Final(err)
	}
	sum := sha256.New()
	var want hash.Hash = sum
	if len(sums) > 0 && sums[0].Algorithm != "sha256" {
		want = newHash(sums[0].Algorithm)
	}
	to := io.MultiWriter(out, sum)
	if want != hash.Hash(sum) {
		to = io.MultiWriter(out, sum, want)
	}
	_, err = io.Copy(to, body)
	if err := errors.Join(err, out.Close()); err != nil {
		return "", errors.Join(err, os.Remove(file+".partial"))
	}
	if len(sums) > 0 {
		got := Checksum{Algorithm: sums[0].Algorithm, Hex: hex.EncodeToString(want.Sum(nil))}
		if !slices.Contains(sums, got) {
			return "", errors.Join(&ChecksumError{Want: list(sums), Got: got.String()}, os.Remove(file+".partial"))
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), Final(os.Rename(file+".partial", file))
}

func list(sums []Checksum) string {
	text := sums[0].String()
	for _, sum := range sums[1:] {
		text += " or " + sum.String()
	}
	return text
}

// reuse copies the file with one of the checksums from the cache to dest. It is
// compared again: whoever can write to the cache need not be trusted.
func (c *Client) reuse(sums []Checksum, dest string) (sha256 string, ok bool) {
	if c.cache == "" {
		return "", false
	}
	for _, sum := range sums {
		in, err := os.Open(c.place(sum))
		if err != nil {
			continue
		}
		got, err := keep(dest, in, []Checksum{sum})
		_ = in.Close()
		if err == nil {
			return got, true
		}
		slog.Warn("file in the cache is not what its name says, and is fetched again", "checksum", sum)
	}
	return "", false
}

// remember keeps the file for later runs. It is no error when it cannot.
func (c *Client) remember(sums []Checksum, file string) {
	if c.cache == "" || len(sums) != 1 { // with several, which of them it has is not known here
		return
	}
	in, err := os.Open(file)
	if err != nil {
		return
	}
	defer in.Close()
	place := c.place(sums[0])
	err = os.MkdirAll(filepath.Dir(place), 0o755)
	if err == nil {
		_, err = keep(place, in, sums)
	}
	if err != nil {
		slog.Warn("file could not be kept for later runs", "file", place, "error", err)
	}
}

func (c *Client) place(sum Checksum) string {
	return filepath.Join(c.cache, sum.Algorithm, sum.Hex[:2], sum.Hex)
}
