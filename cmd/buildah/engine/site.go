package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"

	"github.com/containers/buildah/define"
	"go.podman.io/common/libimage"
	"go.podman.io/image/v5/types"
	"go.podman.io/storage"

	"github.com/headrace-ci/headrace/pkg/oci"
	task "github.com/headrace-ci/headrace/pkg/task/buildah"
)

const architecture = runtime.GOARCH

// storageDir is where layers are kept when nothing else is said: a volume of
// the pod, as an overlay cannot lie on another.
const storageDir = "/var/lib/containers"

// site is the place of one build: where things are, and nothing it says
// depends on what the machine has in /etc. It travels to the child as JSON.
type site struct {
	Dir     string // files made for this build
	Storage string
	Driver  string
}

// files that the libraries read, with what they say.
var files = map[string]string{
	// A base image is used by the digest its name had, and what it may be is
	// judged by policy from provenance, not by who signed it.
	"policy.json": `{"default":[{"type":"insecureAcceptAnything"}]}`,
	// A name without a registry is nobody's intention.
	"registries.conf": "unqualified-search-registries = []\nshort-name-mode = \"enforcing\"\n",
	"containers.conf": "",
	"storage.conf":    "[storage]\ndriver = \"overlay\"\n",
}

func newSite(storage, driver string) (*site, error) {
	dir, err := os.MkdirTemp("", "build-")
	if err != nil {
		return nil, err
	}
	s := &site{Dir: dir, Storage: storage, Driver: driver}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return nil, err
		}
	}
	for _, sub := range []string{"registries.conf.d", "blobs"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	for name, value := range map[string]string{
		"CONTAINERS_CONF": s.file("containers.conf"), "CONTAINERS_STORAGE_CONF": s.file("storage.conf"),
		"CONTAINERS_REGISTRIES_CONF": s.file("registries.conf"),
	} {
		if err := os.Setenv(name, value); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *site) file(name string) string { return filepath.Join(s.Dir, name) }

func (s *site) remove() { _ = os.RemoveAll(s.Dir) } // the pod's end removes it too

// store opens the layers. An overlay inside a user namespace needs a kernel
// and a file system that allow it; copying whole layers always works.
func (s *site) store() (storage.Store, error) {
	opts := storage.StoreOptions{
		RunRoot: filepath.Join(s.Storage, "run"), GraphRoot: filepath.Join(s.Storage, "storage"), GraphDriverName: s.Driver,
	}
	store, err := storage.GetStore(opts)
	if err != nil && s.Driver == "overlay" {
		slog.Warn("overlay does not work here, copying layers instead", "reason", err)
		s.Driver, opts.GraphDriverName = "vfs", "vfs"
		opts.GraphRoot += "-vfs"
		store, err = storage.GetStore(opts)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the image store in %s: %w", s.Storage, err)
	}
	return store, nil
}

// withImages opens the store, and closes it so that another process may.
func (s *site) withImages(do func(*libimage.Runtime, storage.Store) error) (err error) {
	store, err := s.store()
	if err != nil {
		return err
	}
	defer func() {
		_, serr := store.Shutdown(false)
		err = errors.Join(err, serr)
	}()
	images, err := libimage.RuntimeFromStore(store, &libimage.RuntimeOptions{SystemContext: s.system()})
	if err != nil {
		return err
	}
	return do(images, store)
}

// system is how the libraries reach registries.
func (s *site) system() *types.SystemContext {
	ctx := &types.SystemContext{
		SignaturePolicyPath:         s.file("policy.json"),
		SystemRegistriesConfPath:    s.file("registries.conf"),
		SystemRegistriesConfDirPath: s.file("registries.conf.d"),
		BlobInfoCacheDir:            s.file("blobs"),
		BigFilesTemporaryDir:        s.Dir,
		DockerCertPath:              filepath.Dir(oci.CAFile),
		DockerRegistryUserAgent:     "headrace",
		ArchitectureChoice:          architecture,
		OSChoice:                    "linux",
	}
	if file := dockerConfig(); file != "" {
		ctx.AuthFilePath = file
	}
	return ctx
}

// dockerConfig is the file with logins that pkg/oci reads, if it is there.
func dockerConfig() string {
	dir := os.Getenv("DOCKER_CONFIG")
	if dir == "" {
		dir = filepath.Join(os.Getenv("HOME"), ".docker")
	}
	file := filepath.Join(dir, "config.json")
	if _, err := os.Stat(file); err != nil {
		return ""
	}
	return file
}

func (s *site) copying(mediaType string) libimage.CopyOptions {
	return libimage.CopyOptions{
		SystemContext: s.system(), SignaturePolicyPath: s.file("policy.json"), ManifestMIMEType: mediaType,
		PolicyAllowStorage: true, OciAcceptUncompressedLayers: false, RemoveSignatures: true,
	}
}

func mediaType(format string) string {
	if format == "docker" {
		return define.Dockerv2ImageManifest
	}
	return define.OCIv1ImageManifest
}

// setProxy makes the libraries go through the plan's proxy until the returned
// function is called.
func setProxy(plan task.Plan) func() {
	values := map[string]string{"HTTP_PROXY": plan.Proxy, "HTTPS_PROXY": plan.Proxy, "NO_PROXY": plan.NoProxy}
	before := map[string]string{}
	for name, value := range values {
		if value != "" {
			before[name] = os.Getenv(name)
			_ = os.Setenv(name, value) // a name and a value without NUL
		}
	}
	return func() {
		for name, value := range before {
			_ = os.Setenv(name, value)
		}
	}
}
