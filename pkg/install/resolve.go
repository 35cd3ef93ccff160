package install

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headrace-ci/headrace/pkg/ko"
	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/run"
)

// resolve returns the manifests of a pinned program, its images in the
// registry. What was built before from the same pins, on the same base and for
// the same registry is not built again; where the registry lost it, it is
// pushed from the copy kept here.
func (in *Installer) resolve(ctx context.Context, p pin, base string) ([]*unstructured.Unstructured, error) {
	version, err := p.version(in.Source)
	if err != nil {
		return nil, err
	}
	dir, err := in.cacheDir(ctx, p, base)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(filepath.Join(dir, "manifests.yaml"))
	if errors.Is(err, fs.ErrNotExist) {
		content, err = in.build(ctx, p, version, base, dir)
	} else if err == nil {
		err = in.restore(ctx, p, content, dir)
	}
	if err != nil {
		return nil, err
	}
	objects, err := decode(content)
	if err != nil {
		return nil, err
	}
	for _, u := range objects {
		replaceStrings(u.Object, "devel", version)
	}
	return objects, nil
}

// cacheDir is where the build of exactly these inputs is kept.
func (in *Installer) cacheDir(ctx context.Context, p pin, base string) (string, error) {
	sum := sha256.New()
	for _, file := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(p.dir(in.Source), file))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%d\n%s", len(content), content)
	}
	compiler, err := run.Output(ctx, "go", "env", "GOVERSION")
	if err != nil {
		return "", err
	}
	fmt.Fprintln(sum, strings.TrimSpace(string(compiler)), base, in.Registry, in.Arch)
	return filepath.Join(in.Cache, "install", p.module+"-"+hex.EncodeToString(sum.Sum(nil)[:8])), nil
}

func (in *Installer) build(ctx context.Context, p pin, version, base, dir string) ([]byte, error) {
	in.progress.say("building %s %s: %s the first time", p.title, version, p.takes)
	out, err := run.Output(ctx, "go", "-C", p.dir(in.Source), "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", p.path)
	if err != nil {
		return nil, err
	}
	manifests, err := join(filepath.Join(strings.TrimSpace(string(out)), "config"))
	if err != nil {
		return nil, err
	}
	builder, err := in.builder(p.dir(in.Source), in.Registry+"/platform/"+p.module, base)
	if err != nil {
		return nil, err
	}
	var content []byte
	err = in.progress.during(ctx, "building "+p.title, func(ctx context.Context) (err error) {
		content, err = builder.Resolve(ctx, manifests)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := keep(ctx, images(content, in.Registry), dir); err != nil {
		return nil, fmt.Errorf("keeping what was built: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "manifests.yaml"), content, 0o644); err != nil {
		return nil, err
	}
	return content, prune(filepath.Join(in.Cache, "install"), p.module+"-")
}

// keptBuilds is how many builds of a program are kept: the one in use, and the
// one before for whoever goes back and forth between two pins or registries.
const keptBuilds = 2

// prune removes the oldest builds whose names have the prefix.
func prune(dir, prefix string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	times := map[string]time.Time{}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if strings.HasPrefix(entry.Name(), prefix) {
			times[entry.Name()] = info.ModTime()
		}
	}
	newest := slices.SortedFunc(maps.Keys(times), func(a, b string) int { return times[b].Compare(times[a]) })
	for _, name := range newest[min(keptBuilds, len(newest)):] {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// builder builds what the module in dir pins, or has.
func (in *Installer) builder(dir, repository, base string) (ko.Builder, error) {
	program, err := filepath.Abs(in.Ko)
	return ko.Builder{
		Program: program, Module: dir, Repository: repository, Base: base, Arch: in.Arch, Log: &koLog{progress: in.progress},
	}, err
}

// join reads every YAML file below dir.
func join(dir string) ([]byte, error) {
	var all bytes.Buffer
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".yaml" {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fmt.Fprintf(&all, "---\n%s\n", content)
		return nil
	})
	return all.Bytes(), err
}

// images are the references below registry in manifests, each once.
func images(manifests []byte, registry string) []string {
	re := regexp.MustCompile(regexp.QuoteMeta(registry) + `/[a-z0-9/._-]+@sha256:[0-9a-f]{64}`)
	found := re.FindAllString(string(manifests), -1)
	slices.Sort(found)
	return slices.Compact(found)
}

// keep copies images from the registry to an OCI layout below dir.
func keep(ctx context.Context, refs []string, dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	path, err := layout.Write(filepath.Join(dir, "images"), empty.Index)
	if err != nil {
		return err
	}
	for _, s := range refs {
		ref, err := name.NewDigest(s)
		if err != nil {
			return err
		}
		desc, err := remote.Get(ref, oci.Options(ctx)...)
		if err != nil {
			return err
		}
		if desc.MediaType.IsIndex() {
			index, err := desc.ImageIndex()
			if err != nil {
				return err
			}
			if err := path.AppendIndex(index); err != nil {
				return err
			}
			continue
		}
		img, err := desc.Image()
		if err != nil {
			return err
		}
		if err := path.AppendImage(img); err != nil {
			return err
		}
	}
	return nil
}

// restore pushes the images that the registry does not have (any more).
func (in *Installer) restore(ctx context.Context, p pin, manifests []byte, dir string) error {
	path := layout.Path(filepath.Join(dir, "images"))
	pushed := 0
	for _, s := range images(manifests, in.Registry) {
		ref, err := name.NewDigest(s)
		if err != nil {
			return err
		}
		ok, err := present(ctx, ref)
		if err != nil {
			return fmt.Errorf("looking for %s: %w", s, err)
		}
		if ok {
			continue
		}
		if err := push(ctx, path, ref); err != nil {
			return fmt.Errorf("pushing %s (delete %s to build it again): %w", s, dir, err)
		}
		pushed++
	}
	if pushed > 0 {
		in.progress.say("pushed %d images of %s, built before", pushed, p.title)
	}
	return nil
}

func push(ctx context.Context, path layout.Path, ref name.Digest) error {
	index, err := path.ImageIndex()
	if err != nil {
		return err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return err
	}
	for _, desc := range manifest.Manifests {
		if desc.Digest.String() != ref.DigestStr() {
			continue
		}
		if desc.MediaType.IsIndex() {
			child, err := index.ImageIndex(desc.Digest)
			if err != nil {
				return err
			}
			return remote.WriteIndex(ref, child, oci.Options(ctx)...)
		}
		img, err := index.Image(desc.Digest)
		if err != nil {
			return err
		}
		return remote.Write(ref, img, oci.Options(ctx)...)
	}
	return errors.New("no copy was kept")
}
