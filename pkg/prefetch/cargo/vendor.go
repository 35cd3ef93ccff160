package cargo

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

const (
	// checksumFile is what makes a folder one that cargo takes crates from.
	checksumFile = ".cargo-checksum.json"
	// maxUnpacked is how large a crate may be, in bytes: what cargo allows.
	maxUnpacked = 512 << 20
	maxEntries  = 200_000
)

// vendor unpacks the archive of a crate beside those of its registry, with the
// checksums cargo asks for. Crates hold files and folders; what holds anything
// else is refused.
func vendor(output string, c crate, archive, sum string) error {
	name := c.Name + "-" + c.Version
	dir := filepath.Join(output, filepath.FromSlash(folder(c.Source)), name)
	if isThere(dir) {
		return nil
	}
	in, err := os.Open(filepath.Join(output, filepath.FromSlash(archive)))
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	files, err := unpack(root, in, name)
	if err != nil {
		return err
	}
	content, err := json.Marshal(struct {
		Files   map[string]string `json:"files"`
		Package string            `json:"package"`
	}{files, sum})
	if err != nil {
		return err
	}
	return errors.Join(root.WriteFile(checksumFile, content, 0o644), os.Remove(in.Name()))
}

// unpack writes the files of an archive, and returns their checksums.
func unpack(root *os.Root, in io.Reader, name string) (map[string]string, error) {
	unzipped, err := gzip.NewReader(in)
	if err != nil {
		return nil, err
	}
	archive := tar.NewReader(unzipped)
	files := map[string]string{}
	left := int64(maxUnpacked)
	for entries := 0; ; entries++ {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		inside, ok := strings.CutPrefix(path.Clean(header.Name)+"/", name+"/")
		inside = strings.TrimSuffix(inside, "/")
		if left -= header.Size; left < 0 || entries > maxEntries {
			return nil, fmt.Errorf("it is larger than cargo allows")
		}
		switch {
		case header.Typeflag == tar.TypeXGlobalHeader:
			continue
		case !ok || inside != "" && !filepath.IsLocal(filepath.FromSlash(inside)):
			return nil, fmt.Errorf("it holds %q, which is not inside %q", header.Name, name)
		case header.Typeflag == tar.TypeDir:
			continue // made for the files in it
		case header.Typeflag != tar.TypeReg || inside == "":
			return nil, fmt.Errorf("it holds %q, which is neither a file nor a folder", header.Name)
		case inside == checksumFile, inside == ".cargo-ok":
			continue // cargo's own
		}
		if files[inside], err = write(root, inside, archive, header.FileInfo().Mode()&0o111 != 0); err != nil {
			return nil, err
		}
	}
}

func write(root *os.Root, name string, content io.Reader, executable bool) (sum string, err error) {
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return "", err
	}
	mode := os.FileMode(0o644)
	if executable {
		mode = 0o755
	}
	out, err := root.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	_, err = io.Copy(io.MultiWriter(out, hash), content)
	return hex.EncodeToString(hash.Sum(nil)), errors.Join(err, out.Close())
}
