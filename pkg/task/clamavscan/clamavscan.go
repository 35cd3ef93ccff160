// Package clamavscan is the task clamav-scan: it looks for malware in the files
// of an image, or in the content of another artifact.
//
// ClamAV's daemon does the looking; the task streams the files to it, layer by
// layer, and holds none. A file that only a lower layer has is looked at too:
// it is shipped.
package clamavscan

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/clamd"
	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/result"
	"github.com/headrace-ci/headrace/pkg/tekton/testoutput"
)

// Options are the task's params.
type Options struct {
	ImageURL, ImageDigest string
	ImageArch             string
	DockerAuth            string // ignored
	ClamdMaxThreads       int    // layers that are scanned at once
	SkipUpload            bool
	ClamdAddress          string
	ClamdWait             time.Duration
}

// Command returns the task's command.
func Command() *cobra.Command {
	var opts Options
	var results result.Writer
	cmd := &cobra.Command{
		Use: "clamav-scan", Short: "Look for malware in an image", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var digests []string
			write := func(verdict testoutput.Output) error {
				return results.Write(map[string]string{
					testoutput.Name: verdict.String(), testoutput.ProcessedName: testoutput.Processed(opts.ImageURL, digests),
				})
			}
			if err := write(testoutput.New(testoutput.Error, time.Now(), "The scan did not come to its end")); err != nil {
				return err
			}
			image, usage := opts.validate()
			verdict := testoutput.Judge(cmd.Context(), func(ctx context.Context) (verdict testoutput.Output, err error) {
				if usage != nil {
					return testoutput.Output{}, usage
				}
				if strings.HasSuffix(opts.ImageURL, ".att") {
					return testoutput.New(testoutput.Skipped, time.Now(), "An attestation is not scanned"), nil
				}
				verdict, digests, err = opts.run(ctx, image)
				return verdict, err
			})
			if err := write(verdict); err != nil {
				return err
			}
			return usage
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.ImageURL, "image-url", "", "Image to scan, with its tag")
	f.StringVar(&opts.ImageDigest, "image-digest", "", "Digest of that image")
	f.StringVar(&opts.ImageArch, "image-arch", "", "Architecture of an index to scan, as in linux/arm64; empty for all")
	f.StringVar(&opts.DockerAuth, "docker-auth", "", "Ignored: logins are those of the ServiceAccount")
	f.IntVar(&opts.ClamdMaxThreads, "clamd-max-threads", 8, "How many layers are scanned at once")
	f.BoolVar(&opts.SkipUpload, "skip-upload", false, "Attach no log to the image")
	f.StringVar(&opts.ClamdAddress, "clamd-address", "clamd.clamav.svc:3310", "ClamAV's daemon, host:port or unix:///path")
	f.DurationVar(&opts.ClamdWait, "clamd-wait", 2*time.Minute, "How long to wait for the daemon to start")
	results.AddFlag(f)
	return cmd
}

func (o Options) validate() (name.Digest, error) {
	image, err := oci.WithDigest(o.ImageURL, o.ImageDigest)
	if err != nil {
		return image, &taskcli.UsageError{Flag: "image-url", Problem: err.Error(), Fix: "set params image-url and image-digest to the results of the build"}
	}
	if o.ClamdMaxThreads < 1 {
		return image, &taskcli.UsageError{Flag: "clamd-max-threads", Problem: "is less than 1", Fix: "leave param clamd-max-threads at 8"}
	}
	if _, _, err := clamd.Address(o.ClamdAddress); err != nil {
		return image, &taskcli.UsageError{Flag: "clamd-address", Problem: err.Error(), Fix: "give host and port of ClamAV's daemon"}
	}
	return image, nil
}

// run scans the image, and every image of an index.
func (o Options) run(ctx context.Context, ref name.Digest) (testoutput.Output, []string, error) {
	images, digests, err := oci.Images(ctx, ref, oci.Architecture(o.ImageArch))
	if err != nil {
		return testoutput.Output{}, nil, err
	}
	version, err := o.await(ctx)
	if err != nil {
		return testoutput.Output{}, nil, err
	}
	s := newScanner(o.ClamdAddress, o.ClamdMaxThreads)
	var verdicts []testoutput.Output
	var parts []oci.Part
	for _, image := range images {
		started := time.Now()
		found, err := s.image(ctx, image)
		if err != nil {
			return testoutput.Output{}, nil, fmt.Errorf("scanning %q: %w", image.Ref, err)
		}
		for _, f := range found.hits {
			slog.WarnContext(ctx, "found", "image", image.Ref, "file", f.file, "malware", f.malware)
		}
		slog.InfoContext(ctx, "scanned", "image", image.Ref, "files", found.files, "bytes", found.bytes, "in", time.Since(started).Round(time.Millisecond))
		verdict := found.verdict(time.Now())
		verdicts = append(verdicts, verdict)
		parts = append(parts, found.parts(suffix(image), version, verdict)...)
	}
	if !o.SkipUpload {
		attached, err := oci.AttachAll(ctx, ref, "application/vnd.clamav", parts...)
		if err != nil {
			return testoutput.Output{}, nil, err
		}
		slog.InfoContext(ctx, "attached the log", "image", ref, "log", attached)
	}
	return testoutput.Merge(verdicts...), digests, nil
}

// await asks the daemon for its version. One that has just been started loads
// its database first, and takes no connection.
func (o Options) await(ctx context.Context) (string, error) {
	const pause = 2 * time.Second
	for end := time.Now().Add(o.ClamdWait); ; {
		conn, err := clamd.Dial(ctx, o.ClamdAddress)
		if err == nil {
			version, err := conn.Version()
			return version, errors.Join(err, conn.Close())
		}
		var dial *net.OpError
		if !errors.As(err, &dial) || time.Now().Add(pause).After(end) {
			return "", &noDaemonError{o.ClamdAddress, err}
		}
		slog.InfoContext(ctx, "waiting for clamd", "address", o.ClamdAddress, "error", err)
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(pause):
		}
	}
}

// noDaemonError says that there is nothing to scan with.
type noDaemonError struct {
	address string
	err     error
}

func (e *noDaemonError) Error() string {
	return fmt.Sprintf("clamd does not answer at %s (param clamd-address): %v", e.address, e.err)
}
func (e *noDaemonError) Unwrap() error { return e.err }

// Hint says how to have a daemon.
func (e *noDaemonError) Hint() string {
	return "run ClamAV's daemon where the task can reach it, as the README of clamav-scan shows, and name it in param clamd-address"
}
