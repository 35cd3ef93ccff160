package sbom

import (
	"archive/tar"
	"cmp"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/headrace-ci/headrace/pkg/rpmdb"
)

const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"

	// maxDatabase is how large a package database may be, in bytes.
	maxDatabase = 64 << 20
)

// Scan lists the packages of an image, sorted, each once.
func Scan(img v1.Image) ([]Package, error) {
	layers, err := img.Layers()
	if err != nil {
		return nil, fmt.Errorf("reading the image's layers: %w", err)
	}
	s := scanner{seen: map[string]bool{}, gone: map[string]bool{}, distro: map[string]string{}}
	// From the top: the first entry of a name is the one that counts.
	for _, layer := range slices.Backward(layers) {
		if err := s.layer(layer); err != nil {
			return nil, err
		}
	}
	return s.packages()
}

type scanner struct {
	seen   map[string]bool // names that a layer above has
	gone   map[string]bool // names that a layer above deletes, with all below
	distro map[string]string
	dpkg   []database
	apk    []database
	rpm    []rpmDatabase
	found  []Package
}

// rpmDatabase is a file with a list of packages that has been read.
type rpmDatabase struct {
	file     string
	packages []rpmdb.Package
}

// database is a file with a list of packages.
type database struct {
	file    string
	content []byte
}

func (s *scanner) layer(layer v1.Layer) error {
	content, err := layer.Uncompressed()
	if err != nil {
		return fmt.Errorf("reading a layer: %w", err)
	}
	defer content.Close()
	here, gone := []string{}, []string{}
	tr := tar.NewReader(content)
	for {
		header, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("reading a layer: %w", err)
		}
		file := strings.TrimPrefix(path.Clean("/"+header.Name), "/")
		dir, base := path.Split(file)
		if base == opaque {
			gone = append(gone, strings.TrimSuffix(dir, "/"))
			continue
		}
		if deleted, ok := strings.CutPrefix(base, whiteout); ok {
			gone = append(gone, dir+deleted)
			continue
		}
		if s.seen[file] || s.hidden(file) {
			continue
		}
		here = append(here, file)
		if header.Typeflag == tar.TypeReg {
			if err := s.file(file, header.Size, tr); err != nil {
				return fmt.Errorf("reading %q of the image: %w", file, err)
			}
		}
	}
	for _, file := range here {
		s.seen[file] = true
	}
	for _, file := range gone {
		s.gone[file] = true
	}
	return nil
}

// hidden reports whether a layer above deleted the file or a folder it is in.
func (s *scanner) hidden(file string) bool {
	for ; file != "." && file != ""; file = path.Dir(file) {
		if s.gone[file] {
			return true
		}
	}
	return s.gone[""]
}

func (s *scanner) file(file string, size int64, content io.Reader) error {
	switch {
	case file == "etc/os-release" || file == "usr/lib/os-release":
		raw, err := readDatabase(content, size)
		if err == nil && (len(s.distro) == 0 || file == "etc/os-release") {
			s.distro = osRelease(raw)
		}
		return err
	case file == "var/lib/dpkg/status", strings.HasPrefix(file, "var/lib/dpkg/status.d/") && !strings.HasSuffix(file, ".md5sums"):
		raw, err := readDatabase(content, size)
		s.dpkg = append(s.dpkg, database{file, raw})
		return err
	case slices.Contains(rpmdb.Paths, file):
		all, err := rpmPackages(content)
		s.rpm = append(s.rpm, rpmDatabase{file, all})
		return err
	case file == "lib/apk/db/installed", file == "usr/lib/apk/db/installed":
		raw, err := readDatabase(content, size)
		s.apk = append(s.apk, database{file, raw})
		return err
	}
	found, err := goModules(file, content)
	s.found = append(s.found, found...)
	return err
}

func readDatabase(content io.Reader, size int64) ([]byte, error) {
	if size > maxDatabase {
		return nil, fmt.Errorf("has %d bytes, more than a package database may have", size)
	}
	return io.ReadAll(content)
}

func (s *scanner) packages() ([]Package, error) {
	all := s.found
	for _, db := range s.dpkg {
		all = append(all, dpkgPackages(db, s.distro)...)
	}
	for _, db := range s.apk {
		all = append(all, apkPackages(db, s.distro)...)
	}
	for _, db := range s.rpm {
		for _, p := range db.packages {
			all = append(all, rpmPackage(p, db.file, s.distro))
		}
	}
	slices.SortFunc(all, func(a, b Package) int {
		return cmp.Or(cmp.Compare(a.PURL, b.PURL), cmp.Compare(a.Location, b.Location))
	})
	return slices.CompactFunc(all, func(a, b Package) bool { return a.PURL == b.PURL }), nil
}
