// Package gitclone is the task git-clone: a repository at a revision, with
// what provenance needs to know of it.
package gitclone

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/git"
	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/result"
)

// Options are the task's params.
type Options struct {
	URL, Revision, Refspec               string
	Depth                                int
	FetchTags                            bool
	Submodules                           bool
	SubmodulePaths                       string
	SparseCheckoutDirectories            string
	SSLVerify                            bool
	HTTPProxy, HTTPSProxy, NoProxy       string
	EnableSymlinkCheck                   bool
	SymlinkCheckIgnorePattern            string
	ShortCommitLength                    int
	MergeTargetBranch                    bool
	TargetBranch                         string
	MergeSourceRepoURL, MergeSourceDepth string

	OutputDir     string // where the clone goes
	BasicAuthDir  string // of a bound workspace; "" for none
	SSHDir        string // of a bound workspace; "" for none
	NetworkErrors int    // how often the network may fail
}

// Command returns the task's command.
func Command() *cobra.Command {
	var opts Options
	var results result.Writer
	cmd := &cobra.Command{
		Use: "git-clone", Short: "Clone a repository at a revision", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			values, err := Run(cmd.Context(), opts)
			if err != nil {
				return err
			}
			return results.Write(values)
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.URL, "url", "", "Repository to clone: http, https or ssh")
	f.StringVar(&opts.Revision, "revision", "", "Branch, tag, commit or ref; the default branch when empty")
	f.StringVar(&opts.Refspec, "refspec", "", "Refspec to fetch before the revision is looked up")
	f.IntVar(&opts.Depth, "depth", 1, "Commits of history to fetch; 0 for all")
	f.BoolVar(&opts.FetchTags, "fetch-tags", false, "Fetch all tags")
	f.BoolVar(&opts.Submodules, "submodules", true, "Clone submodules")
	f.StringVar(&opts.SubmodulePaths, "submodule-paths", "", "Submodules to clone, by path, separated by commas; all when empty")
	f.StringVar(&opts.SparseCheckoutDirectories, "sparse-checkout-directories", "", "Folders to check out, separated by commas; all when empty")
	f.BoolVar(&opts.SSLVerify, "ssl-verify", true, "Check the host's certificate")
	f.StringVar(&opts.HTTPProxy, "http-proxy", "", "Proxy for http URLs")
	f.StringVar(&opts.HTTPSProxy, "https-proxy", "", "Proxy for https URLs")
	f.StringVar(&opts.NoProxy, "no-proxy", "", "Hosts to reach without a proxy")
	f.BoolVar(&opts.EnableSymlinkCheck, "enable-symlink-check", true, "Fail on a symbolic link that leads out of the repository")
	f.StringVar(&opts.SymlinkCheckIgnorePattern, "symlink-check-ignore-pattern", "", "Regular expression of links not to check")
	f.IntVar(&opts.ShortCommitLength, "short-commit-length", 7, "Characters of result short-commit")
	f.BoolVar(&opts.MergeTargetBranch, "merge-target-branch", false, "Merge the target branch; not supported yet")
	f.StringVar(&opts.TargetBranch, "target-branch", "main", "Branch to merge")
	f.StringVar(&opts.MergeSourceRepoURL, "merge-source-repo-url", "", "Repository of the branch to merge")
	f.StringVar(&opts.MergeSourceDepth, "merge-source-depth", "", "Commits of history of the branch to merge")
	f.StringVar(&opts.OutputDir, "output-dir", "/var/workdir/source", "Folder to clone into")
	f.StringVar(&opts.BasicAuthDir, "basic-auth-dir", "", "Folder with a login: username and password, or .git-credentials")
	f.StringVar(&opts.SSHDir, "ssh-dir", "", "Folder with an ssh key and known_hosts")
	f.IntVar(&opts.NetworkErrors, "network-errors", 9, "How often the network may fail before the task does")
	results.AddFlag(f)
	return cmd
}

// Run clones, and returns the task's results.
func Run(ctx context.Context, opts Options) (map[string]string, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	var ignore *regexp.Regexp
	if opts.SymlinkCheckIgnorePattern != "" {
		pattern, err := regexp.Compile(opts.SymlinkCheckIgnorePattern)
		if err != nil {
			return nil, &taskcli.UsageError{Flag: "symlink-check-ignore-pattern", Problem: err.Error()}
		}
		ignore = pattern
	}
	if err := opts.setProxies(); err != nil {
		return nil, err
	}
	auth, err := opts.auth()
	if err != nil {
		return nil, err
	}
	commit, err := git.Clone(ctx, git.CloneOptions{
		URL: opts.URL, Revision: opts.Revision, Refspec: opts.Refspec, Depth: opts.Depth, Tags: opts.FetchTags,
		Dir: opts.OutputDir, Sparse: list(opts.SparseCheckoutDirectories), Submodules: opts.Submodules,
		SubmodulePaths: list(opts.SubmodulePaths), Auth: auth, CAFile: oci.CAFile, SkipTLSVerify: !opts.SSLVerify,
		Attempts: opts.NetworkErrors + 1,
	})
	if err != nil {
		return nil, err
	}
	if opts.EnableSymlinkCheck {
		if err := git.CheckSymlinks(opts.OutputDir, ignore); err != nil {
			return nil, err
		}
	}
	return opts.results(commit), nil
}

func (o Options) validate() error {
	if err := git.CheckURL(o.URL); err != nil {
		return &taskcli.UsageError{Flag: "url", Problem: fmt.Sprintf("%q %v", git.Redact(o.URL), err), Fix: "give the URL that git clones from, such as https://github.com/org/repo"}
	}
	if err := git.CheckRevision(o.Revision); err != nil {
		return &taskcli.UsageError{Flag: "revision", Problem: fmt.Sprintf("%q %v", o.Revision, err)}
	}
	switch {
	case o.MergeTargetBranch:
		return &taskcli.UsageError{Flag: "merge-target-branch", Problem: "merging is not supported yet", Fix: "leave param mergeTargetBranch at false"}
	case o.ShortCommitLength < 4 || o.ShortCommitLength > 40:
		return &taskcli.UsageError{Flag: "short-commit-length", Problem: fmt.Sprintf("%d is not between 4 and 40", o.ShortCommitLength)}
	case o.Depth < 0:
		return &taskcli.UsageError{Flag: "depth", Problem: fmt.Sprintf("%d is negative", o.Depth)}
	}
	for _, dir := range list(o.SparseCheckoutDirectories) {
		if !filepath.IsLocal(dir) {
			return &taskcli.UsageError{Flag: "sparse-checkout-directories", Problem: fmt.Sprintf("%q is not a folder of the repository", dir)}
		}
	}
	return nil
}

// setProxies puts the params where Go's HTTP client looks.
func (o Options) setProxies() error {
	for name, value := range map[string]string{"HTTP_PROXY": o.HTTPProxy, "HTTPS_PROXY": o.HTTPSProxy, "NO_PROXY": o.NoProxy} {
		if value == "" {
			continue
		}
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return nil
}

func (o Options) auth() (transport.AuthMethod, error) {
	if o.SSHDir != "" && !strings.HasPrefix(o.URL, "http") {
		return git.SSHKey(o.SSHDir)
	}
	if o.BasicAuthDir != "" {
		return git.BasicAuth(o.BasicAuthDir, o.URL)
	}
	return nil, nil
}

func (o Options) results(commit *object.Commit) map[string]string {
	hash, url := commit.Hash.String(), git.Redact(o.URL)
	return map[string]string{
		"commit": hash, "short-commit": hash[:o.ShortCommitLength], "url": url,
		"commit-timestamp":  strconv.FormatInt(commit.Committer.When.Unix(), 10),
		"CHAINS-GIT_COMMIT": hash, "CHAINS-GIT_URL": url, "merged_sha": "",
	}
}

func list(s string) []string {
	var items []string
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}
