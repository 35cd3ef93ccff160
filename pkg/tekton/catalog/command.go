package catalog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"
)

// Command is the catalog's command line.
func Command() *cobra.Command {
	var root string
	cmd := &cobra.Command{Use: "catalog", Short: "Generate, check and publish the tasks and pipelines"}
	cmd.PersistentFlags().StringVar(&root, "root", ".", "Folder of the repository")
	cmd.AddCommand(generateCommand(&root), publishCommand(&root))
	return cmd
}

func generateCommand(root *string) *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use: "generate", Short: "Write READMEs, pipelines and the lock from tasks and code", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return Generate(*root, check) },
	}
	cmd.Flags().BoolVar(&check, "check", false, "Write nothing; fail when something is stale")
	return cmd
}

func publishCommand(root *string) *cobra.Command {
	p := Publisher{Out: os.Stderr}
	var file string
	cmd := &cobra.Command{
		Use: "publish", Short: "Build, pack and push; a second run changes nothing", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p.Root = *root
			var err error
			if p.Ko, err = filepath.Abs(p.Ko); err != nil {
				return err
			}
			if file == "" {
				file = LockFile(p.Registry)
			}
			if p.Before, err = ReadLock(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			lock, err := p.Publish(cmd.Context())
			if err != nil {
				return err
			}
			text, err := yaml.Marshal(lock)
			if err != nil {
				return err
			}
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				return err
			}
			fmt.Fprintf(p.Out, "references are in %s\n", file)
			return os.WriteFile(file, text, 0o644)
		},
	}
	cmd.Flags().StringVar(&p.Registry, "registry", os.Getenv("REGISTRY"), "Registry to push to, host and optional prefix")
	cmd.Flags().StringVar(&p.Ko, "ko", "bin/ko", "Path of ko")
	cmd.Flags().StringVar(&file, "lock", "", "File for the references; one in the cache, by registry, when empty")
	return cmd
}

// LockFile is where the references of what a registry holds are kept.
func LockFile(registry string) string {
	dir := os.Getenv("HEADRACE_CACHE")
	if dir == "" {
		if home, err := os.UserHomeDir(); err == nil {
			dir = filepath.Join(home, ".cache", "headrace")
		}
	}
	return filepath.Join(dir, "lock-"+strings.NewReplacer("/", "_", ":", "_").Replace(registry)+".yaml")
}
