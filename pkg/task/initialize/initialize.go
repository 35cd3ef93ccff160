// Package initialize is the task init: what a build needs to know of the
// cluster before it starts.
package initialize

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/tekton/result"
)

// Keys of ConfigMap cluster-config that say whether the cluster has a caching
// proxy, and where.
const (
	allowKey   = "allow-cache-proxy"
	proxyKey   = "http-proxy"
	noProxyKey = "no-proxy"
)

// Options are the task's params.
type Options struct {
	EnableCacheProxy bool
	ConfigDir        string // ConfigMap cluster-config, mounted; may be absent
}

// Command returns the task's command.
func Command() *cobra.Command {
	var opts Options
	var results result.Writer
	cmd := &cobra.Command{
		Use: "init", Short: "Say which proxy a build goes through", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			values, err := Run(opts)
			if err != nil {
				return err
			}
			return results.Write(values)
		},
	}
	cmd.Flags().BoolVar(&opts.EnableCacheProxy, "enable-cache-proxy", false, "Use the cluster's caching proxy, where it has one")
	cmd.Flags().StringVar(&opts.ConfigDir, "config-dir", "/mnt/cluster-config", "Folder of ConfigMap cluster-config")
	results.AddFlag(cmd.Flags())
	return cmd
}

// Run returns the task's results.
func Run(opts Options) (map[string]string, error) {
	values := map[string]string{"http-proxy": "", "no-proxy": ""}
	if !opts.EnableCacheProxy {
		return values, nil
	}
	allowed, err := read(opts.ConfigDir, allowKey)
	if err != nil || allowed != "true" {
		return values, err
	}
	for result, key := range map[string]string{"http-proxy": proxyKey, "no-proxy": noProxyKey} {
		if values[result], err = read(opts.ConfigDir, key); err != nil {
			return nil, err
		}
	}
	return values, nil
}

func read(dir, key string) (string, error) {
	raw, err := os.ReadFile(filepath.Join(dir, key))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(raw)), err
}
