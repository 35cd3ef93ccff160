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
	"net/http"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/artifact"
	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/prefetch"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/result"
)

const (
	// proxyVariable holds the module proxies of the cluster. They may carry a
	// login, so they are not a flag.
	proxyVariable = "HERMETO_GOMOD__PROXY_URL"
	publicProxy   = "https://proxy.golang.org"

	// mount is where builds see what was fetched.
	mount = "/cachi2/output"
)

// Options are the task's params.
type Options struct {
	SourceArtifact        string
	OCIStorage            string
	ExpiresAfter          string
	Input                 string
	Mode                  string
	ConfigFileContent     string
	SBOMType              string
	PackageRegistryProxy  bool
	ActivationKey         string // only rpm would use it
	PipIndexURL           string // only pip would use it
	WorkDir               string
	GitBasicAuthDir       string // of a bound workspace; "" for none
	NetrcDir              string // of a bound workspace; "" for none
	ServiceCAFile         string // certificates of the cluster's own services; may be absent
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
	f.StringVar(&opts.ExpiresAfter, "oci-artifact-expires-after", "", "When the registry may delete it, such as 5d; never when empty")
	f.StringVar(&opts.Input, "input", "", "What to fetch: gomod, or JSON with type and path; nothing when empty")
	f.StringVar(&opts.Mode, "mode", "strict", "What to do about dependencies that are not pinned: strict fails, permissive warns")
	f.StringVar(&opts.ConfigFileContent, "config-file-content", "", "Settings as YAML: concurrency_limit")
	f.StringVar(&opts.SBOMType, "sbom-type", "spdx", "Format of the SBOM")
	f.BoolVar(&opts.PackageRegistryProxy, "enable-package-registry-proxy", true, "Fetch from the cluster's package proxy, where it has one")
	f.StringVar(&opts.ActivationKey, "activation-key", "activation-key", "Secret with a subscription, for packages of type rpm")
	f.StringVar(&opts.PipIndexURL, "pip-index-url", "", "Index for packages of type pip")
	f.StringVar(&opts.WorkDir, "work-dir", "/var/workdir", "Folder to work in")
	f.StringVar(&opts.GitBasicAuthDir, "git-basic-auth-dir", "", "Folder with a git login, for packages that are cloned")
	f.StringVar(&opts.NetrcDir, "netrc-dir", "", "Folder with a .netrc file of logins")
	f.StringVar(&opts.ServiceCAFile, "service-ca-file", "", "Certificates of the cluster's own services")
	f.IntVar(&opts.Attempts, "attempts", 5, "How often to try a download")
	results.AddFlag(f)
	return cmd
}

// Run fetches, and returns the task's results.
func Run(ctx context.Context, opts Options) (map[string]string, error) {
	packages, err := opts.validate()
	if err != nil {
		return nil, err
	}
	results := map[string]string{"SOURCE_ARTIFACT": opts.SourceArtifact, "CACHI2_ARTIFACT": ""}
	if len(packages) == 0 {
		slog.InfoContext(ctx, "nothing to fetch: the input is empty")
		return results, nil
	}
	source, kept := filepath.Join(opts.WorkDir, "source"), filepath.Join(opts.WorkDir, "cachi2")
	if err := artifact.Use(ctx, opts.SourceArtifact, source); err != nil {
		return nil, err
	}
	output := filepath.Join(kept, "output")
	if err := os.MkdirAll(output, 0o755); err != nil {
		return nil, err
	}
	transport, err := opts.transport()
	if err != nil {
		return nil, err
	}
	fetch := prefetch.Options{
		Source: source, Output: output, Packages: packages,
		Proxies: opts.proxies(), Transport: transport, Permissive: opts.Mode == "permissive",
		Concurrency: opts.Concurrency, Attempts: opts.Attempts,
	}
	if opts.NetrcDir != "" {
		fetch.Netrc = filepath.Join(opts.NetrcDir, ".netrc")
	}
	if err := prefetch.Run(ctx, fetch); err != nil {
		return nil, asUsage(err)
	}
	if err := prefetch.WriteEnv(kept, mount); err != nil {
		return nil, fmt.Errorf("writing the build's environment: %w", err)
	}
	uris, err := artifact.Create(ctx, artifact.CreateOptions{
		Store: opts.OCIStorage, ExpiresAfter: opts.ExpiresAfter, Paths: map[string]string{"CACHI2_ARTIFACT": kept},
	})
	if err != nil {
		return nil, err
	}
	// Go modules change nothing in the source, so its artifact is handed on.
	results["CACHI2_ARTIFACT"] = uris["CACHI2_ARTIFACT"]
	return results, nil
}

func (o *Options) validate() ([]prefetch.Package, error) {
	packages, err := prefetch.ParseInput(o.Input)
	if err != nil {
		return nil, asUsage(err)
	}
	switch {
	case o.Mode != "strict" && o.Mode != "permissive":
		return nil, &taskcli.UsageError{Flag: "mode", Problem: fmt.Sprintf("%q is neither strict nor permissive", o.Mode)}
	case o.SBOMType != "spdx":
		return nil, &taskcli.UsageError{Flag: "sbom-type", Problem: fmt.Sprintf("%q is not supported yet", o.SBOMType), Fix: "leave param sbom-type at spdx"}
	}
	if len(packages) > 0 && o.OCIStorage == "" {
		return nil, &taskcli.UsageError{Flag: "oci-storage", Problem: "is empty", Fix: "set param ociStorage to a repository and tag"}
	}
	if len(packages) > 0 && o.SourceArtifact == "" {
		return nil, &taskcli.UsageError{Flag: "source-artifact", Problem: "is empty", Fix: "set param SOURCE_ARTIFACT to the result of the clone"}
	}
	if o.PipIndexURL != "" {
		slog.Warn("param pip-index-url is not used: there are no packages of type pip")
	}
	if o.GitBasicAuthDir != "" {
		slog.Info("workspace git-basic-auth is not used: Go modules come from a proxy")
	}
	return packages, o.readConfig()
}

// proxies are the module proxies to ask.
func (o *Options) proxies() string {
	if set := os.Getenv(proxyVariable); o.PackageRegistryProxy && set != "" {
		return set
	}
	return publicProxy
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
