// Package engine builds images with buildah's libraries, inside one process
// tree: no daemon, and no privilege but that of mapping user IDs.
//
// A build runs in a user namespace and a mount namespace, which Start enters.
// Base images are pulled first; then a child process builds, in a network
// namespace of its own with nothing but loopback when the build is hermetic,
// so that neither RUN nor ADD nor a pull reaches anything; then the parent
// pushes.
package engine

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/containers/buildah"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"go.podman.io/common/libimage"
	"go.podman.io/common/pkg/config"
	"go.podman.io/image/v5/manifest"
	"go.podman.io/storage"
	"go.podman.io/storage/pkg/reexec"
	"go.podman.io/storage/pkg/unshare"

	"github.com/headrace-ci/headrace/pkg/oci"
	task "github.com/headrace-ci/headrace/pkg/task/buildah"
)

const childName = "headrace-build"

func init() { reexec.Register(childName, childMain) }

// Start enters the namespaces that a build needs. It is the first thing a
// program does; where it answers true the program was a helper, and is done.
func Start() bool {
	if buildah.InitReexec() {
		return true
	}
	// Root may map the IDs it has; this process waits for one that did.
	if len(os.Args) > 1 && os.Args[1] != "--help" && os.Args[1] != "-h" {
		unshare.MaybeReexecUsingUserNamespace(false)
	}
	return false
}

// Engine builds what plans say.
type Engine struct {
	Storage string // folder for layers; "" for /var/lib/containers
}

// Build pulls, builds and pushes.
func (e Engine) Build(ctx context.Context, plan task.Plan) (task.Built, error) {
	var built task.Built
	// Better to hear it now than when all is built.
	if err := oci.CheckPush(plan.Image); err != nil {
		return built, err
	}
	s, err := newSite(cmp.Or(e.Storage, storageDir), plan.Driver)
	if err != nil {
		return built, err
	}
	defer s.remove()
	found, err := bases(plan)
	if err != nil {
		return built, err
	}
	if err := s.pull(ctx, plan, found); err != nil {
		return built, err
	}
	id, err := s.build(ctx, plan)
	if err != nil {
		return built, err
	}
	digest, err := s.push(ctx, plan, id)
	if err != nil {
		return built, err
	}
	return task.Built{Digest: digest, Bases: found}, nil
}

// pull brings every base image into the store under the name the
// Containerfile has for it, so that a build without network finds it.
func (s *site) pull(ctx context.Context, plan task.Plan, found []task.Base) error {
	restore := setProxy(plan)
	defer restore()
	return s.withImages(func(images *libimage.Runtime, _ storage.Store) error {
		for i, base := range found {
			digest, err := oci.Digest(ctx, base.Name)
			if err != nil {
				return fmt.Errorf("pulling base image %q: %w", base.Name, err)
			}
			found[i].Digest = digest.DigestStr()
			slog.InfoContext(ctx, "pulling base image", "image", base.Name, "digest", digest.DigestStr())
			pulled, err := images.Pull(ctx, digest.String(), config.PullPolicyAlways, &libimage.PullOptions{CopyOptions: s.copying("")})
			if err != nil {
				return fmt.Errorf("pulling base image %q: %w", base.Name, err)
			}
			if err := s.acceptBase(ctx, plan, base, pulled[0]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *site) acceptBase(ctx context.Context, plan task.Plan, base task.Base, img *libimage.Image) error {
	info, err := img.Inspect(ctx, nil)
	if err != nil {
		return fmt.Errorf("reading base image %q: %w", base.Name, err)
	}
	if info.Architecture != architecture && !plan.AnyArchitecture {
		return &architectureError{image: base.Name, has: info.Architecture}
	}
	if ref, err := oci.Reference(base.Name); err == nil {
		if _, byDigest := any(ref).(interface{ DigestStr() string }); byDigest {
			return nil // known by its digest already
		}
	}
	return img.Tag(base.Name)
}

// architectureError says that a base image would not run here.
type architectureError struct{ image, has string }

func (e *architectureError) Error() string {
	return fmt.Sprintf("base image %q is for %s, and this build for %s", e.image, e.has, architecture)
}

// Hint says both ways out.
func (e *architectureError) Hint() string {
	return "use a base image for " + architecture + ", or set param ALLOW_CROSS_PLATFORM_IMAGES to true"
}

// push pushes the image, and tags it a second time.
func (s *site) push(ctx context.Context, plan task.Plan, id string) (string, error) {
	var digest string
	err := s.withImages(func(images *libimage.Runtime, _ storage.Store) error {
		slog.InfoContext(ctx, "pushing", "image", plan.Image)
		raw, err := images.Push(ctx, id, "docker://"+plan.Image, &libimage.PushOptions{CopyOptions: s.copying(mediaType(plan.Format))})
		if err != nil {
			return fmt.Errorf("pushing %q: %w", plan.Image, err)
		}
		d, err := manifest.Digest(raw)
		digest = d.String()
		return err
	})
	if err != nil || plan.ExtraTag == "" {
		return digest, err
	}
	ref, err := oci.Reference(plan.Image)
	if err != nil {
		return "", err
	}
	desc, err := remote.Get(ref.Context().Digest(digest), oci.Options(ctx)...)
	if err == nil {
		err = remote.Tag(ref.Context().Tag(plan.ExtraTag), desc, oci.Options(ctx)...)
	}
	if err != nil {
		return "", fmt.Errorf("tagging %q as %q: %w", plan.Image, plan.ExtraTag, oci.Explain(err))
	}
	return digest, nil
}
