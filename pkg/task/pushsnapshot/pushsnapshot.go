// Package pushsnapshot is the task push-snapshot: it copies the images of a
// release to where they are released, with their signatures, attestations and
// SBOMs.
//
// Doing it again changes nothing: what is there already stays, and a tag that
// is right is not written.
package pushsnapshot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/releasedata"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/result"
)

const resultsFile = "push-snapshot-results.json"

// Options are the task's params.
type Options struct {
	Folder               releasedata.Folder
	SnapshotPath         string // of the Snapshot's spec in the folder
	DataPath             string // of the release's data in the folder
	ResultsDirPath       string // of the results in the folder
	ConcurrentLimit      int    // components at a time
	Retries              int    // how often to try a component again
	CopyBundleMigrations bool   // not supported yet
}

// Pushed is what became of a component, as a Release's status has it.
type Pushed struct {
	Name   string   `json:"name"`
	Arches []string `json:"arches"`
	OSes   []string `json:"oses"`
	Digest string   `json:"shasum"`
	URLs   []string `json:"urls"`
}

// Command returns the task's command.
func Command() *cobra.Command {
	var opts Options
	var results result.Writer
	cmd := &cobra.Command{
		Use: "push-snapshot", Short: "Copy images to where they are released", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			values, err := Run(cmd.Context(), opts)
			if err != nil {
				return err
			}
			return results.Write(values)
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.SnapshotPath, "snapshot-path", "", "Path of the Snapshot's spec in the data folder")
	f.StringVar(&opts.DataPath, "data-path", "", "Path of the release's data in the data folder")
	f.StringVar(&opts.ResultsDirPath, "results-dir-path", "", "Path of the results in the data folder")
	f.IntVar(&opts.ConcurrentLimit, "concurrent-limit", 10, "Components to copy at a time")
	f.IntVar(&opts.Retries, "retries", 3, "How often to try a component again")
	f.BoolVar(&opts.CopyBundleMigrations, "copy-bundle-migrations", false, "Copy migrations of Tekton bundles; not supported yet")
	opts.Folder.AddFlags(f)
	results.AddFlag(f)
	return cmd
}

// Run pushes, and returns the task's results.
func Run(ctx context.Context, opts Options) (map[string]string, error) {
	switch {
	case opts.CopyBundleMigrations:
		return nil, &taskcli.UsageError{Flag: "copy-bundle-migrations", Problem: "is not supported yet", Fix: "leave param copyBundleMigrations at false"}
	case opts.SnapshotPath == "" || opts.ResultsDirPath == "":
		return nil, &taskcli.UsageError{Flag: "snapshot-path", Problem: "is empty", Fix: "set params snapshotPath and resultsDirPath to the results of collect-data"}
	case opts.ConcurrentLimit < 1:
		return nil, &taskcli.UsageError{Flag: "concurrent-limit", Problem: fmt.Sprintf("%d is less than 1", opts.ConcurrentLimit)}
	}
	if err := opts.Folder.Open(ctx); err != nil {
		return nil, err
	}
	var snapshot releasedata.Snapshot
	if err := opts.Folder.Read(opts.SnapshotPath, &snapshot); err != nil {
		return nil, err
	}
	if err := check(snapshot); err != nil {
		return nil, err
	}
	pushed := make([]Pushed, len(snapshot.Components))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(opts.ConcurrentLimit)
	for i, component := range snapshot.Components {
		group.Go(func() error {
			var err error
			if pushed[i], err = opts.attempt(groupCtx, component); err != nil {
				return fmt.Errorf("releasing component %q: %w", component.Name, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if err := opts.Folder.Write(path.Join(opts.ResultsDirPath, resultsFile), map[string]any{"images": pushed}); err != nil {
		return nil, err
	}
	return opts.Folder.Keep(ctx)
}

// check refuses what cannot be pushed before anything is.
func check(snapshot releasedata.Snapshot) error {
	for _, component := range snapshot.Components {
		if len(component.Repositories) == 0 {
			return &UnmappedError{Component: component.Name, Problem: "has no repository to go to"}
		}
		for _, repository := range component.Repositories {
			if len(repository.Tags) == 0 {
				return &UnmappedError{Component: component.Name, Problem: fmt.Sprintf("has no tags for repository %q", repository.URL)}
			}
		}
	}
	return nil
}

// UnmappedError says that the mapping does not say all about a component.
type UnmappedError struct{ Component, Problem string }

func (e *UnmappedError) Error() string { return fmt.Sprintf("component %q %s", e.Component, e.Problem) }

// Hint says where the mapping is.
func (e *UnmappedError) Hint() string {
	return "set repositories and tags under spec.data.mapping of the ReleasePlanAdmission"
}

// attempt tries again what may go better another time.
func (o Options) attempt(ctx context.Context, component releasedata.Component) (Pushed, error) {
	for attempt := 0; ; attempt++ {
		done, err := push(ctx, component)
		var refused *oci.RefusedError
		if err == nil || attempt >= o.Retries || ctx.Err() != nil || errors.As(err, &refused) || oci.NotFound(err) {
			return done, err
		}
		pause := time.Second << attempt
		slog.WarnContext(ctx, "copying failed and is tried again", "component", component.Name, "pause", pause, "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return done, ctx.Err()
		}
	}
}

func push(ctx context.Context, component releasedata.Component) (Pushed, error) {
	image, err := name.NewDigest(component.ContainerImage, name.StrictValidation)
	if err != nil {
		return Pushed{}, fmt.Errorf("image %q is not by digest: %w", component.ContainerImage, err)
	}
	done := Pushed{Name: component.Name, Digest: image.DigestStr()}
	if done.Arches, done.OSes, err = platforms(ctx, image); err != nil {
		return Pushed{}, err
	}
	withSource := component.PushSourceContainer != nil && *component.PushSourceContainer
	for _, repository := range component.Repositories {
		to, err := name.NewRepository(repository.URL, name.StrictValidation)
		if err != nil {
			return Pushed{}, fmt.Errorf("repository %q: %w", repository.URL, err)
		}
		if err := oci.Copy(ctx, image, to); err != nil {
			return Pushed{}, err
		}
		if withSource {
			if err := pushSource(ctx, image, to, repository.Tags); err != nil {
				return Pushed{}, err
			}
		}
		for _, tag := range repository.Tags {
			if err := tagOnce(ctx, to.Digest(image.DigestStr()), tag); err != nil {
				return Pushed{}, err
			}
			done.URLs = append(done.URLs, to.Tag(tag).Name())
		}
	}
	return done, nil
}

// pushSource copies the source image, which the build names after the digest.
func pushSource(ctx context.Context, image name.Digest, to name.Repository, tags []string) error {
	from := oci.EvidenceTag(image, ".src")
	source, err := oci.Digest(ctx, from.Name())
	if oci.NotFound(err) {
		return fmt.Errorf("pushSourceContainer is set, and there is no source image %q", from)
	}
	if err != nil {
		return err
	}
	if err := oci.Copy(ctx, source, to); err != nil {
		return err
	}
	names := []string{from.TagStr()}
	for _, tag := range tags {
		names = append(names, tag+"-source")
	}
	for _, tag := range names {
		if err := tagOnce(ctx, to.Digest(source.DigestStr()), tag); err != nil {
			return err
		}
	}
	return nil
}

func tagOnce(ctx context.Context, image name.Digest, tag string) error {
	current, err := oci.Digest(ctx, image.Context().Tag(tag).Name())
	if err != nil && !oci.NotFound(err) {
		return err
	}
	if err == nil && current.DigestStr() == image.DigestStr() {
		slog.InfoContext(ctx, "is there already", "image", image, "tag", tag)
		return nil
	}
	if err := oci.Tag(ctx, image, tag); err != nil {
		return err
	}
	slog.InfoContext(ctx, "released", "image", image, "tag", tag)
	return nil
}

// platforms are what an image, or the images of an index, run on.
func platforms(ctx context.Context, image name.Digest) (arches, oses []string, err error) {
	digests, err := oci.Manifests(ctx, image)
	if err != nil {
		return nil, nil, err
	}
	if len(digests) > 1 {
		digests = digests[1:]
	}
	arch, system := map[string]bool{}, map[string]bool{}
	for _, digest := range digests {
		img, err := remote.Image(digest, oci.Options(ctx)...)
		if err != nil {
			return nil, nil, fmt.Errorf("fetching %q: %w", digest, oci.Explain(err))
		}
		manifest, err := img.Manifest()
		if err != nil {
			return nil, nil, fmt.Errorf("fetching %q: %w", digest, err)
		}
		if !manifest.Config.MediaType.IsConfig() {
			continue // an artifact runs on nothing
		}
		config, err := img.ConfigFile()
		if err != nil {
			return nil, nil, fmt.Errorf("fetching the config of %q: %w", digest, err)
		}
		arch[config.Architecture], system[config.OS] = true, true
	}
	return slices.Sorted(maps.Keys(arch)), slices.Sorted(maps.Keys(system)), nil
}
