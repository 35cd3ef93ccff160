package artifact

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// maxUnpacked bounds what one archive may unpack to, in bytes: a small blob
// can be made to unpack to a full disk.
const maxUnpacked = 64 << 30

// pack writes source to w as a gzipped tar. The same files give the same
// bytes: entries come in the order of their names, without times or owners. A
// file is archived under its own name; what is missing is an empty archive.
func pack(w io.Writer, source string) error {
	zw := newZipper(w)
	tw := tar.NewWriter(zw)
	info, err := os.Stat(source)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case info.IsDir():
		err = packDir(tw, source)
	default:
		err = packEntry(tw, source, filepath.Base(source))
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err == nil {
		err = tw.Close()
	}
	if err := errors.Join(err, zw.Close()); err != nil {
		return fmt.Errorf("archiving %q: %w", source, err)
	}
	return nil
}

func packDir(tw *tar.Writer, root string) error {
	return filepath.WalkDir(root, func(file string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		return packEntry(tw, file, filepath.ToSlash(rel))
	})
}

func packEntry(tw *tar.Writer, file, name string) error {
	info, err := os.Lstat(file)
	if err != nil {
		return err
	}
	link := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if link, err = os.Readlink(file); err != nil {
			return err
		}
	}
	if !info.Mode().IsRegular() && !info.IsDir() && link == "" {
		return fmt.Errorf("%s is a %s: only files, directories and links can be archived", name, info.Mode().Type())
	}
	full, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	header := &tar.Header{Typeflag: full.Typeflag, Name: name, Linkname: link, Size: full.Size, Mode: full.Mode & 0o777, Format: tar.FormatPAX}
	if info.IsDir() {
		header.Name += "/"
	}
	if err := tw.WriteHeader(header); err != nil || header.Typeflag != tar.TypeReg {
		return err
	}
	content, err := os.Open(file)
	if err != nil {
		return err
	}
	defer content.Close()
	_, err = io.Copy(tw, content)
	return err
}

// unpack writes the archive's entries below dest, which it makes. Nothing is
// ever written outside: every path is opened through an [os.Root], which does
// not follow a link out, whoever made the link. A link that leads out is kept
// as it is: a source may have one, for the image that is built of it, and
// git-clone decides whether it may.
func unpack(r io.Reader, dest string) error {
	if err := os.MkdirAll(dest, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dest)
	if err != nil {
		return err
	}
	defer root.Close()
	zr, err := gzip.NewReader(r)
	if err != nil {
		return fmt.Errorf("reading the archive: %w", err)
	}
	ahead, stop := readAhead(zr)
	defer stop()
	tr := tar.NewReader(&limited{r: ahead, left: maxUnpacked})
	u := unpacker{root: root, made: map[string]bool{".": true}}
	for {
		header, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the archive: %w", err)
		}
		if err := u.entry(tr, header); err != nil {
			return fmt.Errorf("unpacking %q: %w", header.Name, err)
		}
	}
}

type unpacker struct {
	root *os.Root
	made map[string]bool // folders
}

func (u *unpacker) entry(content io.Reader, header *tar.Header) error {
	name := path.Clean(strings.TrimPrefix(header.Name, "./"))
	if !filepath.IsLocal(name) {
		return errors.New("the path leaves the destination")
	}
	if name == "." {
		return nil
	}
	mode := fs.FileMode(header.Mode) & 0o777
	if err := u.folder(path.Dir(name), 0o755); err != nil {
		return err
	}
	switch header.Typeflag {
	case tar.TypeDir:
		// Writable while it is being filled, whatever it was.
		return u.folder(name, mode|0o700)
	case tar.TypeReg:
		return u.file(name, mode, content)
	case tar.TypeSymlink:
		if err := u.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return u.root.Symlink(header.Linkname, name)
	default:
		return fmt.Errorf("entries of type %q are not unpacked", header.Typeflag)
	}
}

// folder makes a folder once: most entries are in one that is there.
func (u *unpacker) folder(name string, mode fs.FileMode) error {
	if u.made[name] {
		return nil
	}
	if err := u.root.MkdirAll(name, mode); err != nil {
		return err
	}
	u.made[name] = true
	return nil
}

func (u *unpacker) file(name string, mode fs.FileMode, content io.Reader) error {
	const flags = os.O_CREATE | os.O_EXCL | os.O_WRONLY
	file, err := u.root.OpenFile(name, flags, mode|0o600)
	if errors.Is(err, fs.ErrExist) {
		if err := u.root.Remove(name); err != nil {
			return err
		}
		file, err = u.root.OpenFile(name, flags, mode|0o600)
	}
	if err != nil {
		return err
	}
	if _, err := io.Copy(file, content); err != nil {
		_ = file.Close() // the copy's error is the one to show
		return err
	}
	return file.Close()
}

// limited fails once more than left bytes were read.
type limited struct {
	r    io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, fmt.Errorf("the archive unpacks to more than %d bytes", int64(maxUnpacked))
	}
	return n, err
}
