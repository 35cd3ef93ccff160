package demo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/headrace-ci/headrace/pkg/tekton/catalog"
)

// Command is the demo's command line.
func Command() *cobra.Command {
	cfg := Config{Out: os.Stdout}
	var repo, dockerfile, prefetch, samples string
	cmd := &cobra.Command{Use: "demo", Short: "Take components from a git commit to a released image"}
	f := cmd.PersistentFlags()
	f.StringVar(&cfg.Registry, "registry", os.Getenv("REGISTRY"), "Registry to push to, host and optional prefix")
	f.StringVar(&cfg.Tenant, "tenant", "demo-tenant", "Namespace of the team")
	f.StringVar(&cfg.Managed, "managed", "demo-managed", "Namespace of the releases")
	f.StringVar(&cfg.Lock, "lock", "", "References of the catalog; those of the registry in the cache when empty")
	f.StringVar(&cfg.BuildAuth, "build-auth", "", "Docker config that builds push with")
	f.StringVar(&cfg.ReleaseAuth, "release-auth", "", "Docker config that releases push with")
	f.StringVar(&cfg.Cache, "cache", cacheDir(), "Folder for what is fetched")
	f.DurationVar(&cfg.Timeout, "timeout", 30*time.Minute, "Time for the whole of it")
	f.StringVar(&samples, "samples", filepath.Join("test", "demo", "samples"), "Folder of the sample components")
	f.StringVar(&repo, "repo", "", "Clone of a git repository to build instead of the samples")
	f.StringVar(&dockerfile, "dockerfile", "Containerfile", "Containerfile in --repo")
	f.StringVar(&prefetch, "prefetch", "", "Dependencies to fetch for --repo, as JSON; gomod when it has a go.mod")
	setup := func() error {
		cfg.Components = Samples(samples)
		if repo != "" {
			component, err := own(repo, dockerfile, prefetch)
			if err != nil {
				return err
			}
			cfg.Components = []Component{component}
		}
		if cfg.Lock == "" {
			cfg.Lock = catalog.LockFile(cfg.Registry)
		}
		return nil
	}
	cmd.AddCommand(
		&cobra.Command{
			Use: "prepare", Short: "Put in place what the demo needs, and build nothing", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				if err := setup(); err != nil {
					return err
				}
				d, err := connect(cfg)
				if err != nil {
					return err
				}
				return d.Prepare(cmd.Context())
			},
		},
		&cobra.Command{
			Use: "fetch", Short: "Fetch what the builds will ask for; needs the network", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				if err := setup(); err != nil {
					return err
				}
				return Fetch(cmd.Context(), cfg.Cache, cfg.Components)
			},
		},
		&cobra.Command{
			Use: "run", Short: "Run the demo and tell its story", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				if err := setup(); err != nil {
					return err
				}
				return tell(cmd, cfg)
			},
		},
	)
	return cmd
}

func tell(cmd *cobra.Command, cfg Config) error {
	d, err := connect(cfg)
	if err != nil {
		return err
	}
	stories, err := d.Run(cmd.Context())
	return errors.Join(d.Print(cfg.Out, stories), err)
}

// own is a repository of the user's.
func own(repo, dockerfile, prefetch string) (Component, error) {
	dir, err := filepath.Abs(repo)
	if err != nil {
		return Component{}, err
	}
	if _, err := os.Stat(filepath.Join(dir, dockerfile)); err != nil {
		return Component{}, fmt.Errorf("%s has no %s: name it with --dockerfile", dir, dockerfile)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil && prefetch == "" {
		prefetch = `{"type":"gomod","path":"."}`
	}
	return Component{Name: "own", Repo: dir, Dockerfile: dockerfile, Prefetch: prefetch}, nil
}

func cacheDir() string {
	dir := os.Getenv("HEADRACE_CACHE")
	if dir == "" {
		if home, err := os.UserHomeDir(); err == nil {
			dir = filepath.Join(home, ".cache", "headrace")
		}
	}
	return filepath.Join(dir, "demo")
}

func connect(cfg Config) (*Demo, error) {
	config, err := ctrl.GetConfig()
	if err != nil {
		return nil, fmt.Errorf("finding the cluster: %w", err)
	}
	config.QPS, config.Burst = 50, 100
	return New(cfg, config)
}
