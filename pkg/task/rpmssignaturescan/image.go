package rpmssignaturescan

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/headrace-ci/headrace/pkg/rpmdb"
)

// How a layer says that something of the layers below is gone.
const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

// maxDatabase is more than any database has, in bytes.
const maxDatabase = 2 << 30

// packages lists what the RPM databases of an image hold. Databases are copied
// to dir while they are read.
func packages(image v1.Image, dir string) ([]rpmdb.Package, error) {
	layers, err := image.Layers()
	if err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp(dir, "rpmdb-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	found := newSearch(work)
	for _, layer := range slices.Backward(layers) {
		if found.complete() {
			break
		}
		if err := found.layer(layer); err != nil {
			digest, _ := layer.Digest() // only to say which
			return nil, fmt.Errorf("reading layer %s: %w", digest, err)
		}
	}
	var all []rpmdb.Package
	for _, file := range found.databases() {
		more, err := rpmdb.Read(file)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

// search goes through the layers of an image from the top: what a layer has or
// takes away is settled for all below.
type search struct {
	dir  string
	open map[string]bool   // paths that no layer has settled
	file map[string]string // by path, where its content was copied to
}

func newSearch(dir string) *search {
	s := &search{dir: dir, open: map[string]bool{}, file: map[string]string{}}
	for _, p := range rpmdb.Paths {
		s.open[p] = true
		s.open[p+rpmdb.JournalSuffix] = true
	}
	return s
}

func (s *search) complete() bool { return len(s.open) == 0 }

// databases are the copies, in the order of their paths.
func (s *search) databases() []string {
	var files []string
	for _, p := range rpmdb.Paths {
		if file, ok := s.file[p]; ok {
			files = append(files, file)
		}
	}
	return files
}

func (s *search) layer(layer v1.Layer) error {
	kind, err := layer.MediaType()
	if err != nil {
		return err
	}
	if !kind.IsLayer() {
		return nil // the content of an artifact, which has no file system
	}
	stream, err := layer.Uncompressed()
	if err != nil {
		return err
	}
	defer stream.Close()
	settled := map[string]bool{}
	archive := tar.NewReader(stream)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := s.entry(header, archive, settled); err != nil {
			return fmt.Errorf("%q: %w", header.Name, err)
		}
	}
	for p := range settled {
		delete(s.open, p)
	}
	// To the end, since the digest is only checked there.
	_, err = io.Copy(io.Discard, stream)
	return err
}

func (s *search) entry(header *tar.Header, content io.Reader, settled map[string]bool) error {
	p := strings.TrimPrefix(path.Clean("/"+header.Name), "/")
	dir, base := path.Split(p)
	switch {
	case base == opaque:
		s.settleBelow(strings.TrimSuffix(dir, "/"), settled)
	case strings.HasPrefix(base, whiteout):
		gone := dir + strings.TrimPrefix(base, whiteout)
		s.settleBelow(gone, settled)
		if s.open[gone] {
			settled[gone] = true
		}
	case !s.open[p]:
		if header.Typeflag != tar.TypeDir {
			s.settleBelow(p, settled) // a file or link where a folder was
		}
	case header.Typeflag == tar.TypeReg:
		settled[p] = true
		return s.keep(p, header.Size, content)
	case header.Typeflag == tar.TypeLink:
		return errors.New("a database that is a hard link is not supported")
	default:
		settled[p] = true // a link to another path is found there
	}
	return nil
}

// settleBelow settles every open path below dir for the layers below. In this
// layer it may come yet.
func (s *search) settleBelow(dir string, settled map[string]bool) {
	for p := range s.open {
		if dir == "" || strings.HasPrefix(p, dir+"/") {
			settled[p] = true
		}
	}
}

func (s *search) keep(p string, size int64, content io.Reader) error {
	if strings.HasSuffix(p, rpmdb.JournalSuffix) {
		if size > 0 {
			return errors.New("the database has changes in its journal, which is not supported yet")
		}
		return nil
	}
	if size == 0 {
		return nil
	}
	if size > maxDatabase {
		return fmt.Errorf("the database has %d bytes", size)
	}
	file := filepath.Join(s.dir, strings.ReplaceAll(p, "/", "_"))
	out, err := os.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, content)
	s.file[p] = file
	return errors.Join(err, out.Close())
}
