// Package image makes the images that a cluster cannot start without and that
// no registry offers here: pause, which holds a pod's namespaces; base, which
// our static programs run on; and busybox, a shell for builds to start from.
//
// They are reproducible: what goes in decides the digest, and no time does.
package image

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	passwd = "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"
	group  = "root:x:0:\nnonroot:x:65532:\n"
)

// file is an entry of a layer.
type file struct {
	content []byte
	link    string // a symbolic link's target, instead of content
	mode    int64
	dir     bool
	uid     int
}

// Base is a root file system for static programs: users, certificates, a
// writable /tmp and a home. It has a user, by number: where a pod only says that
// it runs as somebody else than root, the node takes it from here.
func Base(certificates string) (v1.Image, error) {
	bundle, err := os.ReadFile(certificates)
	if err != nil {
		return nil, fmt.Errorf("reading the system's certificates (apt-get install ca-certificates): %w", err)
	}
	return build(baseFiles(bundle), v1.Config{
		User: "65532:65532",
		Env:  []string{"PATH=/usr/local/bin:/usr/bin:/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"},
	})
}

func baseFiles(bundle []byte) map[string]file {
	return map[string]file{
		"etc/passwd":                        {content: []byte(passwd), mode: 0o644},
		"etc/group":                         {content: []byte(group), mode: 0o644},
		"etc/nsswitch.conf":                 {content: []byte("hosts: files dns\n"), mode: 0o644},
		"etc/ssl/certs/ca-certificates.crt": {content: bundle, mode: 0o644},
		"home/nonroot":                      {dir: true, mode: 0o755, uid: 65532},
		"root":                              {dir: true, mode: 0o700},
		"tmp":                               {dir: true, mode: 0o1777},
		"var/run":                           {dir: true, mode: 0o755},
	}
}

// Busybox is a base with a shell and its tools.
func Busybox(certificates, busybox string, applets []string) (v1.Image, error) {
	bundle, err := os.ReadFile(certificates)
	if err != nil {
		return nil, err
	}
	program, err := os.ReadFile(busybox)
	if err != nil {
		return nil, fmt.Errorf("reading busybox (apt-get install busybox-static): %w", err)
	}
	files := baseFiles(bundle)
	files["bin/busybox"] = file{content: program, mode: 0o755}
	for _, applet := range applets {
		if applet != "busybox" && !strings.Contains(applet, "/") {
			files["bin/"+applet] = file{link: "busybox", mode: 0o777}
		}
	}
	files["usr/bin/env"] = file{link: "../../bin/busybox", mode: 0o777}
	return build(files, v1.Config{Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin"}, Cmd: []string{"/bin/sh"}})
}

// Pause is the program alone.
func Pause(program string) (v1.Image, error) {
	content, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	return build(map[string]file{"pause": {content: content, mode: 0o755}},
		v1.Config{Entrypoint: []string{"/pause"}, User: "65532:65532"})
}

func build(files map[string]file, config v1.Config) (v1.Image, error) {
	raw, err := pack(files)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(raw)), nil
	}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if img, err = mutate.AppendLayers(img, layer); err != nil {
		return nil, err
	}
	full, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	full = full.DeepCopy()
	full.OS, full.Architecture, full.Config = "linux", "amd64", config
	return mutate.ConfigFile(img, full)
}

func pack(files map[string]file) ([]byte, error) {
	dirs := map[string]bool{".": true}
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	var mkdir func(name string, mode int64, uid int) error
	mkdir = func(name string, mode int64, uid int) error {
		if dirs[name] {
			return nil
		}
		if err := mkdir(path.Dir(name), 0o755, 0); err != nil {
			return err
		}
		dirs[name] = true
		return tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode, Uid: uid, Gid: uid})
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f := files[name]
		if f.dir {
			if err := mkdir(name, f.mode, f.uid); err != nil {
				return nil, err
			}
			continue
		}
		if err := mkdir(path.Dir(name), 0o755, 0); err != nil {
			return nil, err
		}
		header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: f.mode, Size: int64(len(f.content))}
		if f.link != "" {
			header.Typeflag, header.Linkname = tar.TypeSymlink, f.link
		}
		if err := tw.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := tw.Write(f.content); err != nil {
			return nil, err
		}
	}
	err := tw.Close()
	return buf.Bytes(), err
}
