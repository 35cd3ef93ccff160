// Package signimage is the task sign-image: it signs the images of a release
// where they are released, under the names they have there.
//
// Every manifest is signed, of an index each image and the index itself. A
// signature that is there already, of this key for this name, is not made
// again.
package signimage

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/releasedata"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/result"
)

// Options are the task's params.
type Options struct {
	Folder       releasedata.Folder
	SnapshotPath string // of the Snapshot's spec in the folder
	SecretName   string // of the Secret that is mounted at KeyDir
	KeyDir       string
	Retries      int
}

// Command returns the task's command.
func Command() *cobra.Command {
	var opts Options
	var results result.Writer
	cmd := &cobra.Command{
		Use: "sign-image", Short: "Sign images where they are released", Args: cobra.NoArgs,
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
	f.StringVar(&opts.SecretName, "secret-name", "", "Secret with the key, as cosign makes it")
	f.StringVar(&opts.KeyDir, "key-dir", "/mnt/signing-key", "Folder where that Secret is mounted")
	f.IntVar(&opts.Retries, "retries", 3, "How often to try an image again")
	opts.Folder.AddFlags(f)
	results.AddFlag(f)
	return cmd
}

// Run signs, and returns the task's results.
func Run(ctx context.Context, opts Options) (map[string]string, error) {
	if opts.SnapshotPath == "" {
		return nil, &taskcli.UsageError{Flag: "snapshot-path", Problem: "is empty", Fix: "set param snapshotPath to the result of collect-data"}
	}
	key, err := readKey(opts.KeyDir, opts.SecretName)
	if err != nil {
		return nil, err
	}
	if err := opts.Folder.Open(ctx); err != nil {
		return nil, err
	}
	var snapshot releasedata.Snapshot
	if err := opts.Folder.Read(opts.SnapshotPath, &snapshot); err != nil {
		return nil, err
	}
	for _, component := range snapshot.Components {
		image, err := name.NewDigest(component.ContainerImage, name.StrictValidation)
		if err != nil {
			return nil, fmt.Errorf("signing component %q: image %q is not by digest: %w", component.Name, component.ContainerImage, err)
		}
		for _, repository := range component.Repositories {
			to, err := name.NewRepository(repository.URL, name.StrictValidation)
			if err != nil {
				return nil, fmt.Errorf("signing component %q: repository %q: %w", component.Name, repository.URL, err)
			}
			if err := opts.sign(ctx, key, to.Digest(image.DigestStr()), repository.Tags); err != nil {
				return nil, fmt.Errorf("signing component %q: %w", component.Name, err)
			}
		}
	}
	return opts.Folder.Keep(ctx)
}

// sign signs one after the other: signatures of a digest are one list, which
// is read and written as a whole.
func (o Options) sign(ctx context.Context, key *key, released name.Digest, tags []string) error {
	manifests, err := oci.Manifests(ctx, released)
	if err != nil {
		return err
	}
	for _, manifest := range manifests {
		for _, tag := range tags {
			identity := released.Context().Tag(tag).Name()
			if err := o.attempt(ctx, func() error { return key.sign(ctx, manifest, identity) }); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o Options) attempt(ctx context.Context, work func() error) error {
	for attempt := 0; ; attempt++ {
		err := work()
		if err == nil || attempt >= o.Retries || ctx.Err() != nil {
			return err
		}
		pause := time.Second << attempt
		slog.WarnContext(ctx, "signing failed and is tried again", "pause", pause, "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
