// Package buildah is the task buildah: an image from a Containerfile, pushed
// by digest. What builds is an [Engine], because the one there is links C and
// has a module of its own; this package decides what is to be built.
package buildah

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/result"
)

// Options are the task's params.
type Options struct {
	Image, TaskRunName               string
	Platform                         string // to build for; "" for this machine's
	ImageAppendPlatform              bool   // to the tag
	Dockerfile, Context              string
	Hermetic                         bool
	PrefetchInput                    string
	ImageExpiresAfter                string
	CommitSHA, SourceURL             string
	BuildArgsFile, AnnotationsFile   string
	TargetStage                      string
	Squash, SkipUnusedStages         bool
	StorageDriver                    string
	AddCapabilities                  string
	AdditionalSecret                 string
	PrivilegedNested                 bool
	HTTPProxy, NoProxy               string
	SourceDateEpoch, BuildTimestamp  string
	RewriteTimestamp, OmitHistory    bool
	InheritBaseImageLabels           bool
	BuildahFormat                    string
	TLSVerify                        bool
	AllowCrossPlatformImages         bool
	Lists                            Lists
	YumReposDSrc, YumReposDTarget    string
	Unused                           map[string]*string // by flag; see unusedParams
	SourceDir, PrefetchDir           string             // where trusted artifacts were unpacked
	AdditionalSecretDir, BuildRecord string
}

// Engine builds what a plan says.
type Engine interface {
	Build(ctx context.Context, plan Plan) (Built, error)
}

// Built is what an engine made.
type Built struct {
	Digest string // of the pushed manifest
	Bases  []Base // in the order of the stages that use them
}

// Base is an image that a build started from or copied out of.
type Base struct {
	Name   string `json:"name"`            // as the Containerfile has it, arguments filled in
	Digest string `json:"digest"`          // that was used
	Stage  int    `json:"stage"`           // which used it first, from 0
	Final  bool   `json:"final,omitempty"` // whether it is the base of the result
	Copied bool   `json:"copied,omitempty"`
}

// Record is what later steps need to know of a build.
type Record struct {
	Image  string `json:"image"` // repository, tag and digest
	Digest string `json:"digest"`
	Bases  []Base `json:"bases"`
}

// Command returns the task's command. The engine may be nil where the command
// is only looked at.
func Command(engine Engine) *cobra.Command {
	var opts Options
	var results result.Writer
	cmd := &cobra.Command{
		Use: "buildah [-- LIST [VALUE...]...]", Short: "Build an image from a Containerfile and push it",
		RunE: func(cmd *cobra.Command, args []string) error {
			lists, err := parseLists(args)
			if err != nil {
				return err
			}
			opts.Lists = lists
			values, err := Run(cmd.Context(), opts, engine)
			if err != nil {
				return err
			}
			return results.Write(values)
		},
	}
	opts.addFlags(cmd)
	results.AddFlag(cmd.Flags())
	return cmd
}

func (o *Options) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.Image, "image", "", "Repository and tag to push to")
	f.StringVar(&o.TaskRunName, "task-run-name", "", "Second tag to push to, which keeps the image when the first moves")
	f.StringVar(&o.Platform, "platform", "", "Platform to build for; it must be this machine's")
	f.BoolVar(&o.ImageAppendPlatform, "image-append-platform", false, "End the tag with the platform")
	f.StringVar(&o.Dockerfile, "dockerfile", "./Dockerfile", "Path of the Containerfile below the context or the source")
	f.StringVar(&o.Context, "context", ".", "Folder of the source to build in")
	f.BoolVar(&o.Hermetic, "hermetic", false, "Build without network")
	f.StringVar(&o.PrefetchInput, "prefetch-input", "", "What was prefetched; needed for nothing but to be seen")
	f.StringVar(&o.ImageExpiresAfter, "image-expires-after", "", "When the registry may delete the image, such as 5d; never when empty")
	f.StringVar(&o.CommitSHA, "commit-sha", "", "Commit of the source")
	f.StringVar(&o.SourceURL, "source-url", "", "Repository of the source")
	f.StringVar(&o.BuildArgsFile, "build-args-file", "", "File in the source with build arguments, one NAME=value a line")
	f.StringVar(&o.AnnotationsFile, "annotations-file", "", "File in the source with annotations, one key=value a line")
	f.StringVar(&o.TargetStage, "target-stage", "", "Stage to build; the last when empty")
	f.BoolVar(&o.Squash, "squash", false, "Make one layer of all that the build adds")
	f.BoolVar(&o.SkipUnusedStages, "skip-unused-stages", true, "Leave out stages the result does not need")
	f.StringVar(&o.StorageDriver, "storage-driver", "overlay", "How layers are kept while building: overlay or vfs")
	f.StringVar(&o.AddCapabilities, "add-capabilities", "", "Capabilities for RUN besides the usual, separated by commas")
	f.StringVar(&o.AdditionalSecret, "additional-secret", "does-not-exist", "Secret whose keys the build may mount, as <secret>/<key>")
	f.BoolVar(&o.PrivilegedNested, "privileged-nested", false, "Build with privileges; not supported")
	f.StringVar(&o.HTTPProxy, "http-proxy", "", "Proxy to pull base images through")
	f.StringVar(&o.NoProxy, "no-proxy", "", "Hosts to reach without the proxy")
	f.StringVar(&o.SourceDateEpoch, "source-date-epoch", "", "Time of the image and its history, in seconds since 1970")
	f.StringVar(&o.BuildTimestamp, "build-timestamp", "", "Time of the image, its history and its files, in seconds since 1970")
	f.BoolVar(&o.RewriteTimestamp, "rewrite-timestamp", false, "Let no file be newer than source-date-epoch")
	f.BoolVar(&o.OmitHistory, "omit-history", false, "Leave the history out of the image")
	f.BoolVar(&o.InheritBaseImageLabels, "inherit-base-image-labels", true, "Keep the labels of the base image")
	f.StringVar(&o.BuildahFormat, "buildah-format", "oci", "Media types of the image: oci or docker")
	f.BoolVar(&o.TLSVerify, "tlsverify", true, "Check the registry's certificate; cannot be switched off")
	f.BoolVar(&o.AllowCrossPlatformImages, "allow-cross-platform-images", false, "Accept base images for another architecture")
	f.StringVar(&o.YumReposDSrc, "yum-repos-d-src", "repos.d", "Folder of the source with repository files for RUN; may be absent")
	f.StringVar(&o.YumReposDTarget, "yum-repos-d-target", "/etc/yum.repos.d", "Where RUN sees the repository files")
	o.Unused = addUnused(f)
	f.StringVar(&o.SourceDir, "source-dir", "/var/workdir/source", "Folder with the source")
	f.StringVar(&o.PrefetchDir, "prefetch-dir", "/var/workdir/cachi2", "Folder with prefetched dependencies; may be absent")
	f.StringVar(&o.AdditionalSecretDir, "additional-secret-dir", "/mnt/additional-secret", "Folder with the keys of the additional secret; may be absent")
	f.StringVar(&o.BuildRecord, "build-record", "/var/workdir/build.json", "File to describe the build in, for later steps")
}

// Run builds and pushes, and returns the task's results.
func Run(ctx context.Context, opts Options, engine Engine) (map[string]string, error) {
	if err := opts.forPlatform(); err != nil {
		return nil, err
	}
	plan, err := opts.plan()
	if err != nil {
		return nil, err
	}
	if engine == nil {
		return nil, fmt.Errorf("building needs the program of its own: %s", "cmd/buildah")
	}
	built, err := engine.Build(ctx, plan)
	if err != nil {
		return nil, err
	}
	record := Record{Image: opts.Image + "@" + built.Digest, Digest: built.Digest, Bases: built.Bases}
	raw, err := json.Marshal(record)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(opts.BuildRecord, raw, 0o644); err != nil {
		return nil, fmt.Errorf("writing the build's record: %w", err)
	}
	return map[string]string{"IMAGE_URL": opts.Image, "IMAGE_DIGEST": built.Digest, "IMAGE_REF": record.Image}, nil
}

func (o Options) validate() error {
	ref, err := oci.Reference(o.Image)
	if err != nil {
		return &taskcli.UsageError{Flag: "image", Problem: err.Error(), Fix: "give a repository and a tag, such as registry.example.com/team/app:1"}
	}
	if _, tagged := any(ref).(interface{ TagStr() string }); !tagged {
		return &taskcli.UsageError{Flag: "image", Problem: fmt.Sprintf("%q has no tag", o.Image), Fix: "give a repository and a tag, such as registry.example.com/team/app:1"}
	}
	switch {
	case o.PrivilegedNested:
		return &taskcli.UsageError{Flag: "privileged-nested", Problem: "builds with privileges are not supported", Fix: "leave param PRIVILEGED_NESTED at false"}
	case !o.TLSVerify:
		return &taskcli.UsageError{Flag: "tlsverify", Problem: "certificates are always checked", Fix: "put the registry's authority into ConfigMap trusted-ca"}
	case !strings.HasPrefix(o.YumReposDTarget, "/") || strings.Contains(o.YumReposDTarget, ":"):
		return &taskcli.UsageError{Flag: "yum-repos-d-target", Problem: fmt.Sprintf("%q is not an absolute path", o.YumReposDTarget)}
	case o.BuildahFormat != "oci" && o.BuildahFormat != "docker":
		return &taskcli.UsageError{Flag: "buildah-format", Problem: fmt.Sprintf("%q is neither oci nor docker", o.BuildahFormat)}
	case o.StorageDriver != "overlay" && o.StorageDriver != "vfs":
		return &taskcli.UsageError{Flag: "storage-driver", Problem: fmt.Sprintf("%q is neither overlay nor vfs", o.StorageDriver)}
	case o.SourceDateEpoch != "" && o.BuildTimestamp != "":
		return &taskcli.UsageError{Flag: "build-timestamp", Problem: "excludes source-date-epoch", Fix: "give one of SOURCE_DATE_EPOCH and BUILD_TIMESTAMP"}
	}
	return checkUnused(o.Unused)
}
