// Package gitclone is the task git-clone: a repository at a revision, with
// what provenance needs to know of it.
package gitclone

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

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
	DeleteExisting                       bool
	Subdirectory                         string // of OutputDir, for the clone

	OutputDir     string
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
	f.StringVar(&opts.Refspec, "refspec", "", "Refspecs to fetch before the revision is looked up, separated by spaces")
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
	f.StringVar(&opts.SymlinkCheckIgnorePattern, "symlink-check-ignore-pattern", "", "Links not to check, as paths with * for any text, separated by commas")
	f.IntVar(&opts.ShortCommitLength, "short-commit-length", 7, "Characters of result short-commit")
	f.BoolVar(&opts.MergeTargetBranch, "merge-target-branch", false, "Merge the target branch and check out the merge; all history that it needs is fetched, whatever depth says")
	f.StringVar(&opts.TargetBranch, "target-branch", "main", "Branch to merge")
	f.StringVar(&opts.MergeSourceRepoURL, "merge-source-repo-url", "", "Repository of the branch to merge; the one that is cloned when empty")
	f.StringVar(&opts.MergeSourceDepth, "merge-source-depth", "", "Commits of history of the branch to merge; all that the merge needs are fetched")
	f.StringVar(&opts.OutputDir, "output-dir", "/var/workdir", "Folder that gets the clone's folder")
	f.StringVar(&opts.Subdirectory, "subdirectory", "source", "Folder of the output to clone into; the output itself when empty")
	f.BoolVar(&opts.DeleteExisting, "delete-existing", true, "Delete what is there already")
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
	if err := opts.setProxies(); err != nil {
		return nil, err
	}
	dir, err := opts.makeRoom()
	if err != nil {
		return nil, explain(err)
	}
	cloned, err := git.Clone(ctx, opts.clone(dir))
	if err != nil {
		return nil, err
	}
	if opts.EnableSymlinkCheck {
		if err := git.CheckSymlinks(dir, list(opts.SymlinkCheckIgnorePattern)); err != nil {
			return nil, err
		}
	}
	return opts.results(cloned), nil
}

func (o Options) clone(dir string) git.CloneOptions {
	opts := git.CloneOptions{
		URL: o.URL, Revision: o.Revision, Refspecs: strings.Fields(o.Refspec), Depth: o.Depth, Tags: o.FetchTags,
		Dir: dir, Sparse: list(o.SparseCheckoutDirectories), Submodules: o.Submodules, SubmodulePaths: list(o.SubmodulePaths),
		Auth: git.Logins(o.BasicAuthDir, o.SSHDir, o.URL), CAFile: oci.CAFile, SkipTLSVerify: !o.SSLVerify, Attempts: o.NetworkErrors + 1,
	}
	if o.MergeTargetBranch {
		opts.Merge = &git.Merge{URL: o.MergeSourceRepoURL, Branch: o.TargetBranch}
	}
	return opts
}

// volumeError says that the step may not write where the clone goes.
type volumeError struct{ err error }

func (e *volumeError) Error() string { return "writing to the output: " + e.err.Error() }
func (e *volumeError) Unwrap() error { return e.err }

// Hint says how a volume is shared with the step.
func (e *volumeError) Hint() string {
	return "the volume belongs to another user: set taskRunTemplate.podTemplate.securityContext.fsGroup to 65532 in the PipelineRun"
}

func explain(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return &volumeError{err}
	}
	return err
}

// makeRoom returns the folder to clone into, with nothing in it. A folder that
// is kept between runs may hold anything, a link out of it too: it is emptied
// without following one.
func (o Options) makeRoom() (string, error) {
	root, err := os.OpenRoot(o.OutputDir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	sub := filepath.Clean(o.Subdirectory)
	if sub != "." && o.DeleteExisting {
		if err := root.RemoveAll(sub); err != nil {
			return "", fmt.Errorf("deleting what is in %q: %w", o.Subdirectory, err)
		}
	}
	if err := root.MkdirAll(sub, 0o755); err != nil {
		return "", fmt.Errorf("making folder %q: %w", o.Subdirectory, err)
	}
	dir := filepath.Join(o.OutputDir, sub)
	left, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	for _, entry := range left {
		if !o.DeleteExisting {
			return "", &taskcli.UsageError{
				Flag: "delete-existing", Problem: fmt.Sprintf("folder %q is not empty: it holds %q", o.Subdirectory, entry.Name()),
				Fix: "leave param deleteExisting at true, or give another subdirectory",
			}
		}
		if err := root.RemoveAll(filepath.Join(sub, entry.Name())); err != nil {
			return "", err
		}
	}
	return dir, nil
}

func (o Options) validate() error {
	if err := git.CheckURL(o.URL); err != nil {
		return &taskcli.UsageError{Flag: "url", Problem: fmt.Sprintf("%q %v", git.Redact(o.URL), err), Fix: "give the URL that git clones from, such as https://github.com/org/repo"}
	}
	if err := git.CheckRevision(o.Revision); err != nil {
		return &taskcli.UsageError{Flag: "revision", Problem: fmt.Sprintf("%q %v", o.Revision, err)}
	}
	for _, spec := range strings.Fields(o.Refspec) {
		if err := git.CheckRefspec(spec); err != nil {
			return &taskcli.UsageError{Flag: "refspec", Problem: fmt.Sprintf("%q %v", spec, err), Fix: "give a ref, or +refs/…:refs/…"}
		}
	}
	if err := o.validateMerge(); err != nil {
		return err
	}
	if !filepath.IsLocal(filepath.Clean(o.Subdirectory)) {
		return &taskcli.UsageError{Flag: "subdirectory", Problem: fmt.Sprintf("%q is not a folder of the output", o.Subdirectory)}
	}
	switch {
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

func (o Options) validateMerge() error {
	if o.MergeSourceDepth != "" {
		if n, err := strconv.Atoi(o.MergeSourceDepth); err != nil || n < 0 {
			return &taskcli.UsageError{Flag: "merge-source-depth", Problem: fmt.Sprintf("%q is not a number of commits", o.MergeSourceDepth)}
		}
	}
	if !o.MergeTargetBranch {
		return nil
	}
	if o.MergeSourceRepoURL != "" {
		if err := git.CheckURL(o.MergeSourceRepoURL); err != nil {
			return &taskcli.UsageError{Flag: "merge-source-repo-url", Problem: fmt.Sprintf("%q %v", git.Redact(o.MergeSourceRepoURL), err)}
		}
	}
	if err := git.CheckRevision(o.TargetBranch); err != nil || o.TargetBranch == "" {
		return &taskcli.UsageError{Flag: "target-branch", Problem: fmt.Sprintf("%q is not a branch", o.TargetBranch)}
	}
	return nil
}

func (o Options) results(cloned *git.Cloned) map[string]string {
	hash, url, merged := cloned.Commit.Hash.String(), git.Redact(o.URL), ""
	if cloned.Merged != nil {
		merged = cloned.Merged.Hash.String()
	}
	return map[string]string{
		"commit": hash, "short-commit": hash[:o.ShortCommitLength], "url": url,
		"commit-timestamp":  strconv.FormatInt(cloned.Commit.Committer.When.Unix(), 10),
		"CHAINS-GIT_COMMIT": hash, "CHAINS-GIT_URL": url, "merged_sha": merged,
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
