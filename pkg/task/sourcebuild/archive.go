package sourcebuild

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Folders of a source image.
const (
	blobDir  = "blobs/sha256/"
	rpmDir   = "rpm_dir/"
	extraDir = "extra_src_dir/"
)

// archive is a file that becomes a layer.
type archive struct {
	file   string // where it is
	name   string // its name in the image, with its folder
	digest string // hex of sha256
	size   int64
}

// key tells an archive from others, as in upstream's source images.
func (a archive) key() string { return a.digest + " " + a.name }

// sources are the archives of a build.
type sources struct {
	files        []archive
	dependencies bool // some are of prefetched dependencies
	temporary    []string
}

func (s *sources) remove() {
	for _, file := range s.temporary {
		_ = os.Remove(file) // a temporary file that the pod takes with it
	}
}

// archives are the source tree, every folder of prefetched dependencies and
// every source RPM among them.
func archives(dir string) (*sources, error) {
	s := &sources{}
	if err := s.tree(filepath.Join(dir, "source")); err != nil {
		return s, fmt.Errorf("archiving the source: %w", err)
	}
	deps := filepath.Join(dir, "cachi2", "output", "deps")
	managers, err := os.ReadDir(deps)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	for _, manager := range managers {
		before, folder := len(s.files), filepath.Join(deps, manager.Name())
		if manager.Name() == "rpm" {
			err = s.rpms(folder)
		} else {
			err = s.tree(folder)
		}
		if err != nil {
			return s, fmt.Errorf("archiving dependencies of %s: %w", manager.Name(), err)
		}
		s.dependencies = s.dependencies || len(s.files) > before
	}
	return s, nil
}

// tree archives a folder as a tar, without what git keeps. The same files give
// the same bytes.
func (s *sources) tree(dir string) error {
	out, err := os.CreateTemp("", "source-*.tar")
	if err != nil {
		return err
	}
	s.temporary = append(s.temporary, out.Name())
	tw := tar.NewWriter(out)
	err = filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.Name() == ".git":
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case file == dir:
			return nil
		}
		rel, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		return add(tw, file, filepath.ToSlash(rel))
	})
	if err := errors.Join(err, tw.Close(), out.Close()); err != nil {
		return err
	}
	a, err := measured(out.Name())
	a.name = extraDir + "extra-src-" + a.digest + ".tar"
	s.files = append(s.files, a)
	return err
}

func add(tw *tar.Writer, file, name string) error {
	info, err := os.Lstat(file)
	if err != nil {
		return err
	}
	header := &tar.Header{Name: name, Mode: int64(info.Mode().Perm()), Format: tar.FormatPAX}
	switch {
	case info.IsDir():
		header.Typeflag, header.Name = tar.TypeDir, name+"/"
	case info.Mode()&fs.ModeSymlink != 0:
		header.Typeflag = tar.TypeSymlink
		if header.Linkname, err = os.Readlink(file); err != nil {
			return err
		}
	case info.Mode().IsRegular():
		header.Typeflag, header.Size = tar.TypeReg, info.Size()
	default:
		return nil // a socket or the like is no source
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

// rpms takes the source RPMs below a folder; others are no sources.
func (s *sources) rpms(dir string) error {
	return filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !strings.HasSuffix(file, ".src.rpm") {
			return err
		}
		a, err := measured(file)
		a.name = rpmDir + d.Name()
		s.files = append(s.files, a)
		return err
	})
}

func measured(file string) (archive, error) {
	f, err := os.Open(file)
	if err != nil {
		return archive{}, err
	}
	defer f.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	return archive{file: file, digest: hex.EncodeToString(sum.Sum(nil)), size: n}, err
}

// layer is the archive as a layer, read from its file each time it is wanted.
func (a archive) layer() (v1.Layer, error) {
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		pr, pw := io.Pipe()
		go func() { pw.CloseWithError(a.write(pw)) }()
		return pr, nil
	}, tarball.WithMediaType(types.OCILayer))
}

func (a archive) write(w io.Writer) error {
	tw := tar.NewWriter(w)
	f, err := os.Open(a.file)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: blobDir + a.digest, Mode: 0o644, Size: a.size, Format: tar.FormatPAX}); err != nil {
		return err
	}
	if _, err := io.Copy(tw, f); err != nil {
		return err
	}
	link := &tar.Header{Typeflag: tar.TypeSymlink, Name: a.name, Linkname: path.Join("..", blobDir, a.digest), Mode: 0o777, Format: tar.FormatPAX}
	if err := tw.WriteHeader(link); err != nil {
		return err
	}
	return tw.Close()
}
