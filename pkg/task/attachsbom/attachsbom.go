// Package attachsbom is the last step of a build: it lists what the image
// holds and what it was built from, and attaches the list.
package attachsbom

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	spdx "github.com/spdx/tools-golang/spdx/v2/v2_3"
	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/sbom"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/result"
)

// Options are what the step is told.
type Options struct {
	BuildRecord       string // file that the build left
	PrefetchDir       string // may be absent
	SBOMType          string
	SkipSBOMGenerator bool
}

// record is what the build says of itself.
type record struct {
	Image string
	Bases []struct {
		Name, Digest  string
		Stage         int
		Final, Copied bool
	}
}

// Command returns the step's command.
func Command() *cobra.Command {
	var opts Options
	var results result.Writer
	cmd := &cobra.Command{
		Use: "attach-sbom", Short: "List what an image holds and attach the list", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			url, err := Run(cmd.Context(), opts)
			if err != nil {
				return err
			}
			return results.Write(map[string]string{"SBOM_BLOB_URL": url})
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.BuildRecord, "build-record", "/var/workdir/build.json", "File that the build left")
	f.StringVar(&opts.PrefetchDir, "prefetch-dir", "/var/workdir/cachi2", "Folder with prefetched dependencies; may be absent")
	f.StringVar(&opts.SBOMType, "sbom-type", "spdx", "Format of the list: spdx")
	f.BoolVar(&opts.SkipSBOMGenerator, "skip-sbom-generation", false, "Do nothing")
	results.AddFlag(f)
	return cmd
}

// Run attaches the list and returns where it is.
func Run(ctx context.Context, opts Options) (string, error) {
	if opts.SBOMType != "spdx" {
		return "", &taskcli.UsageError{Flag: "sbom-type", Problem: fmt.Sprintf("%q is not supported", opts.SBOMType), Fix: "leave param SBOM_TYPE at spdx"}
	}
	if opts.SkipSBOMGenerator {
		slog.WarnContext(ctx, "no SBOM was asked for; a policy may refuse the image for it")
		return "", nil
	}
	raw, err := os.ReadFile(opts.BuildRecord)
	if err != nil {
		return "", fmt.Errorf("reading the build's record: %w", err)
	}
	var built record
	if err := json.Unmarshal(raw, &built); err != nil {
		return "", fmt.Errorf("reading the build's record: %w", err)
	}
	prefetched, err := readPrefetched(filepath.Join(opts.PrefetchDir, "output", "bom.json"))
	if err != nil {
		return "", err
	}
	document, ref, err := describe(ctx, built, prefetched)
	if err != nil {
		return "", err
	}
	encoded, err := sbom.Encode(document)
	if err != nil {
		return "", err
	}
	url, err := sbom.Attach(ctx, ref, encoded)
	if err != nil {
		return "", err
	}
	slog.InfoContext(ctx, "attached SBOM", "packages", len(document.Packages), "blob", url)
	return url, nil
}

func readPrefetched(file string) ([]*spdx.Package, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return sbom.Prefetched(f)
}

func describe(ctx context.Context, built record, prefetched []*spdx.Package) (*spdx.Document, name.Digest, error) {
	// A reference with tag and digest names the digest; the tag is for people.
	url, digest, _ := strings.Cut(built.Image, "@")
	tagged, err := name.NewTag(url)
	if err != nil {
		return nil, name.Digest{}, fmt.Errorf("image reference %q: %w", built.Image, err)
	}
	ref, err := oci.WithDigest(url, digest)
	if err != nil {
		return nil, ref, err
	}
	img, err := remote.Image(ref, oci.Options(ctx)...)
	if err != nil {
		return nil, ref, fmt.Errorf("fetching image %q: %w", ref, oci.Explain(err))
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, ref, fmt.Errorf("reading the config of %q: %w", ref, err)
	}
	found, err := sbom.Scan(img)
	if err != nil {
		return nil, ref, fmt.Errorf("listing the packages of %q: %w", ref, err)
	}
	var bases []sbom.Base
	for _, b := range built.Bases {
		bases = append(bases, sbom.Base{Name: b.Name, Digest: b.Digest, Stage: b.Stage, Final: b.Final, Copied: b.Copied})
	}
	subject := sbom.Subject{Reference: ref, Tag: tagged.TagStr(), Arch: config.Architecture, Created: config.Created.Time}
	document, err := sbom.Image(subject, bases, found, prefetched)
	return document, ref, err
}
