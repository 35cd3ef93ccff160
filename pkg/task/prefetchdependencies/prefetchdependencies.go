// Package prefetchdependencies is the task prefetch-dependencies: it fetches
// what a build depends on and keeps it as a trusted artifact, so that the
// build needs no network.
//
// It takes the source and keeps the result itself, in one step: with nothing
// to fetch, nothing is moved at all.
package prefetchdependencies

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/artifact"
	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/prefetch"
	"github.com/headrace-ci/headrace/pkg/prefetch/fetch"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/result"
)

const (
	// mount is where builds see what was fetched.
	mount = "/cachi2/output"

	// The results.
	sourceArtifact = "SOURCE_ARTIFACT"
	cachi2Artifact = "CACHI2_ARTIFACT"
)

// Options are the task's params.
type Options struct {
	SourceArtifact        string
	OCIStorage            string
	SourceDir             string // of a workspace; "" when the source is a trusted artifact
	PrefetchDir           string // of a workspace, to fill
	ExpiresAfter          string
	Input                 string
	Mode                  string
	ConfigFileContent     string
	SBOMType              string
	PackageRegistryProxy  bool
	ActivationKey         string // named by upstream; not used
	PipIndexURL           string
	WorkDir               string
	GitBasicAuthDir       string // of a bound workspace; "" for none
	NetrcDir              string // of a bound workspace; "" for none
	ServiceCAFile         string // certificates of the cluster's own services; may be absent
	CacheDir              string // with files of earlier runs; "" for none
	Attempts, Concurrency int
}

// Command returns the task's command.
func Command() *cobra.Command {
	var opts Options
	var results result.Writer
	cmd := &cobra.Command{
		Use: "prefetch-dependencies", Short: "Fetch what a build without network needs", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			values, err := Run(cmd.Context(), opts)
			if err != nil {
				return err
			}
			return results.Write(values)
		},
	}
	taskcli.AddLogLevel(cmd, slog.LevelDebug)
	f := cmd.Flags()
	f.StringVar(&opts.SourceArtifact, "source-artifact", "", "The source as a trusted artifact")
	f.StringVar(&opts.OCIStorage, "oci-storage", "", "Repository and tag to keep what was fetched at")
	f.StringVar(&opts.SourceDir, "source-dir", "", "Folder with the source, instead of a trusted artifact")
	f.StringVar(&opts.PrefetchDir, "prefetch-dir", "", "Folder to fill, with --source-dir")
	f.StringVar(&opts.ExpiresAfter, "oci-artifact-expires-after", "", "When the registry may delete it, such as 5d; never when empty")
	f.StringVar(&opts.Input, "input", "", "What to fetch: a type, or JSON with type and path; nothing when empty")
	f.StringVar(&opts.Mode, "mode", "strict", "What to do about dependencies that are not pinned: strict fails, permissive warns")
	f.StringVar(&opts.ConfigFileContent, "config-file-content", "", "Settings as YAML: runtime.concurrency_limit")
	f.StringVar(&opts.SBOMType, "sbom-type", "spdx", "Format of the SBOM; spdx")
	f.BoolVar(&opts.PackageRegistryProxy, "enable-package-registry-proxy", true, "Fetch from the cluster's package proxy, where it has one")
	f.StringVar(&opts.ActivationKey, "activation-key", "activation-key", "Secret with a subscription; not used")
	f.StringVar(&opts.PipIndexURL, "pip-index-url", "", "Index for packages of type pip")
	f.StringVar(&opts.WorkDir, "work-dir", "/var/workdir", "Folder to work in")
	f.StringVar(&opts.GitBasicAuthDir, "git-basic-auth-dir", "", "Folder with a git login; not used")
	f.StringVar(&opts.NetrcDir, "netrc-dir", "", "Folder with a .netrc file of logins")
	f.StringVar(&opts.ServiceCAFile, "service-ca-file", "", "Certificates of the cluster's own services")
	f.StringVar(&opts.CacheDir, "cache-dir", "", "Folder that keeps files by checksum between runs; none when empty")
	f.IntVar(&opts.Attempts, "attempts", 5, "How often to try a download")
	results.AddFlag(f)
	return cmd
}

// Run fetches, and returns the task's results.
func Run(ctx context.Context, opts Options) (map[string]string, error) {
	request, err := opts.validate()
	if err != nil {
		return nil, err
	}
	if opts.SourceDir != "" {
		return nil, opts.inPlace(ctx, request)
	}
	results := map[string]string{sourceArtifact: opts.SourceArtifact, cachi2Artifact: ""}
	if len(request.Packages) == 0 {
		slog.InfoContext(ctx, "nothing to fetch: the input is empty")
		return results, nil
	}
	source, kept := filepath.Join(opts.WorkDir, "source"), filepath.Join(opts.WorkDir, "cachi2")
	if err := artifact.Use(ctx, opts.SourceArtifact, source); err != nil {
		return nil, err
	}
	outcome, err := opts.fetch(ctx, request, source, kept)
	if err != nil {
		return nil, err
	}
	paths := map[string]string{cachi2Artifact: kept}
	if len(outcome.Edits) > 0 { // else the source's artifact is handed on
		paths[sourceArtifact] = source
	}
	uris, err := artifact.Create(ctx, artifact.CreateOptions{Store: opts.OCIStorage, ExpiresAfter: opts.ExpiresAfter, Paths: paths})
	if err != nil {
		return nil, err
	}
	maps.Copy(results, uris)
	return results, nil
}

// inPlace works in a workspace, which has no results. What an earlier attempt
// left is deleted: it may be half a download.
func (o *Options) inPlace(ctx context.Context, request prefetch.Request) error {
	if err := os.RemoveAll(o.PrefetchDir); err != nil {
		return fmt.Errorf("deleting what an earlier attempt fetched: %w", err)
	}
	if len(request.Packages) == 0 {
		slog.InfoContext(ctx, "nothing to fetch: the input is empty")
		return nil
	}
	_, err := o.fetch(ctx, request, o.SourceDir, o.PrefetchDir)
	return err
}

// fetch fills folder kept, and makes the source use it.
func (o *Options) fetch(ctx context.Context, request prefetch.Request, source, kept string) (*prefetch.Outcome, error) {
	output := filepath.Join(kept, "output")
	if err := os.MkdirAll(output, 0o755); err != nil {
		return nil, err
	}
	transport, err := o.transport()
	if err != nil {
		return nil, err
	}
	opts := prefetch.Options{
		Source: source, Output: output, Mount: mount, Request: request,
		Proxies: o.proxies(), Index: o.PipIndexURL,
		Fetch: fetch.Options{
			Transport: transport, Permissive: o.Mode == "permissive", Cache: o.CacheDir,
			Concurrency: o.Concurrency, Attempts: o.Attempts,
		},
	}
	if o.NetrcDir != "" {
		opts.Fetch.Netrc = filepath.Join(o.NetrcDir, ".netrc")
	}
	outcome, err := prefetch.Run(ctx, opts)
	if err != nil {
		return nil, asUsage(err)
	}
	if err := prefetch.WriteEnv(kept, outcome.Env); err != nil {
		return nil, fmt.Errorf("writing the build's environment: %w", err)
	}
	return outcome, prefetch.Apply(source, outcome.Edits)
}

func (o *Options) validate() (prefetch.Request, error) {
	request, err := prefetch.ParseInput(o.Input)
	if err != nil {
		return request, asUsage(err)
	}
	switch {
	case o.Mode != "strict" && o.Mode != "permissive":
		return request, &taskcli.UsageError{Flag: "mode", Problem: fmt.Sprintf("%q is neither strict nor permissive", o.Mode)}
	case o.SBOMType != "spdx":
		return request, &taskcli.UsageError{Flag: "sbom-type", Problem: fmt.Sprintf("%q is not supported yet", o.SBOMType), Fix: "leave param sbom-type at spdx"}
	}
	if err := o.places(len(request.Packages) > 0); err != nil {
		return request, err
	}
	if o.GitBasicAuthDir != "" {
		slog.Info("workspace git-basic-auth is not used: nothing is cloned; logins for servers of packages are in workspace netrc")
	}
	return request, o.readConfig()
}

// places checks where the source is, and where what is fetched goes.
func (o *Options) places(needed bool) error {
	switch {
	case o.SourceDir != "" && o.PrefetchDir == "":
		return &taskcli.UsageError{Flag: "prefetch-dir", Problem: "is empty", Fix: "name the folder to fill"}
	case o.SourceDir != "" || !needed:
		return nil
	case o.OCIStorage == "":
		return &taskcli.UsageError{Flag: "oci-storage", Problem: "is empty", Fix: "set param ociStorage to a repository and tag"}
	case o.SourceArtifact == "":
		return &taskcli.UsageError{Flag: "source-artifact", Problem: "is empty", Fix: "set param SOURCE_ARTIFACT to the result of the clone"}
	}
	return nil
}

// proxies are what the cluster names instead of the public registries, by type
// of package. They may carry a login, so they are not flags.
func (o *Options) proxies() map[string]string {
	proxies := map[string]string{}
	if !o.PackageRegistryProxy {
		return proxies
	}
	for _, kind := range prefetch.Types() {
		proxies[kind] = os.Getenv("HERMETO_" + strings.ToUpper(kind) + "__PROXY_URL")
	}
	return proxies
}

// transport trusts the cluster's own services besides everything else.
func (o *Options) transport() (http.RoundTripper, error) {
	base, err := oci.Transport()
	if err != nil {
		return nil, err
	}
	extra, err := os.ReadFile(o.ServiceCAFile)
	if o.ServiceCAFile == "" || errors.Is(err, os.ErrNotExist) {
		return base, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the certificates of the cluster's services: %w", err)
	}
	pool, err := oci.Roots(oci.CAFile)
	if err != nil {
		return nil, err
	}
	if !pool.AppendCertsFromPEM(extra) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", o.ServiceCAFile)
	}
	clone := base.(*http.Transport).Clone()
	clone.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return clone, nil
}

// asUsage says which param the problem of an input is in.
func asUsage(err error) error {
	var input *prefetch.InputError
	if errors.As(err, &input) {
		return &taskcli.UsageError{Flag: "input", Problem: input.Problem, Fix: input.Fix}
	}
	return err
}
