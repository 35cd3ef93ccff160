package demo

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/run"
	"github.com/headrace-ci/headrace/test/fixture/image"
)

// gitPrograms are what git's http-backend runs to answer a fetch or a push.
var gitPrograms = []string{"/usr/bin/git", "/usr/lib/git-core/git", "/usr/lib/git-core/git-http-backend"}

// pushGolang gives the builds an image with the Go toolchain that runs this,
// on top of a shell: no registry is there to pull one from. It is made once
// per toolchain.
func (d *Demo) pushGolang(ctx context.Context) error {
	version := strings.TrimPrefix(runtime.Version(), "go")
	minor := strings.Join(strings.SplitN(version, ".", 3)[:2], ".")
	tag := d.Registry + "/base/golang:" + version
	if _, err := oci.Digest(ctx, tag); err == nil {
		return nil
	}
	d.say("packing the Go %s toolchain as a base image", version)
	goroot, err := run.Output(ctx, "go", "env", "GOROOT")
	if err != nil {
		return err
	}
	skip := func(rel string, entry fs.DirEntry) bool {
		top := strings.SplitN(rel, "/", 2)[0]
		return entry.Name() == "testdata" || strings.HasSuffix(rel, "_test.go") ||
			top == "test" || top == "api" || top == "doc" || top == "misc"
	}
	img, err := d.layered(ctx, d.Registry+"/base/busybox:1",
		image.Files{"/usr/local/go": strings.TrimSpace(string(goroot))}, skip)
	if err != nil {
		return err
	}
	img, err = mutate.Config(img, v1.Config{
		Env:        []string{"PATH=/usr/local/go/bin:/usr/bin:/bin", "GOTOOLCHAIN=local", "HOME=/root"},
		WorkingDir: "/",
	})
	if err != nil {
		return err
	}
	for _, t := range []string{tag, d.Registry + "/base/golang:" + minor} {
		if err := write(ctx, t, img); err != nil {
			return err
		}
	}
	return nil
}

// pushSources makes the image of the git server and module proxy, with the
// modules the components need inside, and returns its reference by digest.
func (d *Demo) pushSources(ctx context.Context, modules string) (string, error) {
	server := filepath.Join(d.Cache, "sources-server")
	err := run.InDir(ctx, "", []string{"CGO_ENABLED=0"}, "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags=-s -w -buildid=", "-o", server, "github.com/headrace-ci/headrace/test/fixture/sources/server")
	if err != nil {
		return "", fmt.Errorf("building the git server: %w", err)
	}
	files := image.Files{"/sources-server": server, "/modules": modules}
	for _, program := range gitPrograms {
		needed, err := image.Program(program)
		if err != nil {
			return "", fmt.Errorf("the git server needs git on this machine: %w", err)
		}
		maps.Copy(files, needed)
	}
	img, err := d.layered(ctx, d.Registry+"/platform/base:1", files, nil)
	if err != nil {
		return "", err
	}
	img, err = mutate.Config(img, v1.Config{Entrypoint: []string{"/sources-server"}, Env: []string{"PATH=/usr/bin:/bin", "HOME=/tmp"}, User: "65532"})
	if err != nil {
		return "", err
	}
	tag := d.Registry + "/demo/sources:1"
	if err := write(ctx, tag, img); err != nil {
		return "", err
	}
	digest, err := img.Digest()
	return d.Registry + "/demo/sources@" + digest.String(), err
}

// layered is the base image with files on top.
func (d *Demo) layered(ctx context.Context, base string, files image.Files, skip image.Skip) (v1.Image, error) {
	ref, err := oci.Reference(base)
	if err != nil {
		return nil, err
	}
	img, err := remote.Image(ref, oci.Options(ctx)...)
	if err != nil {
		return nil, fmt.Errorf("fetching base image %q: %w", base, err)
	}
	dir := filepath.Join(d.Cache, "layers")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	layer, err := image.Layer(dir, files, skip)
	if err != nil {
		return nil, err
	}
	return mutate.AppendLayers(img, layer)
}

func write(ctx context.Context, tag string, img v1.Image) error {
	ref, err := name.NewTag(tag)
	if err != nil {
		return err
	}
	if err := remote.Write(ref, img, oci.Options(ctx)...); err != nil {
		return fmt.Errorf("pushing %q: %w", tag, err)
	}
	return nil
}
