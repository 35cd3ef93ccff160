// Package command is the cluster's command line.
package command

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/test/cluster/instance"
	"github.com/headrace-ci/headrace/test/cluster/node"
	"github.com/headrace-ci/headrace/test/cluster/program"
)

// Root is the cluster command.
func Root() *cobra.Command {
	root := &cobra.Command{
		Use:   "cluster",
		Short: "Run a real one-node Kubernetes on a bare machine",
		Long: `Runs etcd, the Kubernetes control plane, a kubelet on containerd, DNS and an
OCI registry, all from pinned Go modules, in namespaces of their own.

With KUBECONFIG set it stands aside: the cluster named there is used, with the
registry that REGISTRY names.`,
		SilenceUsage: true, SilenceErrors: true,
	}
	root.AddCommand(buildCommand(), upCommand(), downCommand(), cleanCommand(), statusCommand(), kubeconfigCommand(),
		execCommand(), kubectlCommand(), userCommand(), superviseCommand(), registryCommand(), pushImagesCommand())
	return root
}

// errNeither says both ways out to somebody who is not root and has no cluster.
var errNeither = errors.New(`starting the embedded cluster needs root, for namespaces and links.
Either run this as root, or name a cluster of your own and a registry its nodes can pull from:
  KUBECONFIG=$HOME/.kube/config REGISTRY=registry.example.com/me make demo`)

// foreign reports whether another cluster than the embedded one is meant.
func foreign() (bool, error) {
	config := os.Getenv("KUBECONFIG")
	if config == "" || strings.HasPrefix(config, node.Default().State) {
		if os.Geteuid() != 0 {
			return false, errNeither
		}
		return false, nil
	}
	if registry := os.Getenv("REGISTRY"); registry == "" || registry == node.Registry {
		return true, fmt.Errorf("KUBECONFIG names a cluster (%s), but REGISTRY names no registry that its nodes can pull from: set REGISTRY=host/prefix", config)
	}
	return true, nil
}

// source is the cluster module's folder: beside bin/, where this program is.
func source() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(filepath.Dir(self), "..", "test", "cluster")
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		return "", fmt.Errorf("the cluster's sources are not at %s: build this program to bin/cluster of the repository", dir)
	}
	return dir, nil
}

func buildCommand() *cobra.Command {
	var which string
	cmd := &cobra.Command{
		Use: "build", Short: "Build the cluster's programs, unless they are there", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := source()
			if err != nil {
				return err
			}
			paths, err := program.Build(cmd.Context(), dir, cmd.ErrOrStderr())
			if err != nil || which == "" {
				return err
			}
			path, ok := paths[which]
			if !ok {
				return fmt.Errorf("there is no program %q", which)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), path)
			return err
		},
	}
	cmd.Flags().StringVar(&which, "print", "", "Print the path of this program")
	return cmd
}

func downCommand() *cobra.Command {
	return &cobra.Command{
		Use: "down", Short: "Stop the cluster; what it holds stays", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if other, err := foreign(); other || err != nil {
				return err
			}
			return instance.Stop(cmd.Context(), node.Default())
		},
	}
}

func cleanCommand() *cobra.Command {
	return &cobra.Command{
		Use: "clean", Short: "Stop the cluster and delete all it holds", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if other, err := foreign(); other || err != nil {
				return err
			}
			l := node.Default()
			if err := instance.Stop(cmd.Context(), l); err != nil {
				return err
			}
			return os.RemoveAll(l.State)
		},
	}
}

func statusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Say whether the cluster runs, and where", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l := node.Default()
			r, err := instance.Find(l)
			if err != nil {
				return err
			}
			if r == nil {
				fmt.Fprintln(cmd.OutOrStdout(), "not running; start it with: make up")
				return nil
			}
			fmt.Fprintf(cmd.OutOrStdout(), "running as process %d, state in %s\nkubeconfig %s\n", r.PID, l.State, l.Path("kubeconfig-host"))
			for target, address := range r.Relays {
				fmt.Fprintf(cmd.OutOrStdout(), "%s leads to %s\n", address, target)
			}
			return nil
		},
	}
}

func kubeconfigCommand() *cobra.Command {
	return &cobra.Command{
		Use: "kubeconfig", Short: "Print the path of a kubeconfig that works on this host", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), node.Default().Path("kubeconfig-host"))
			return err
		},
	}
}

func execCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "exec -- PROGRAM [ARG]...", Short: "Run a program inside the cluster's network, set up to use it",
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return runInside(args) },
	}
	cmd.Flags().SetInterspersed(false)
	return cmd
}

func kubectlCommand() *cobra.Command {
	return &cobra.Command{
		Use: "kubectl [ARG]...", Short: "Run kubectl on the cluster", DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := source()
			if err != nil {
				return err
			}
			paths, err := program.Build(cmd.Context(), dir, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return runInside(append([]string{paths["kube"], "kubectl"}, args...))
		},
	}
}

func runInside(args []string) error {
	other, err := foreign()
	if err != nil {
		return err
	}
	if other {
		path, err := exec.LookPath(args[0])
		if err != nil {
			return err
		}
		return syscall.Exec(path, args, os.Environ())
	}
	l := node.Default()
	r, err := instance.Find(l)
	if err != nil {
		return err
	}
	if r == nil {
		return errors.New("the embedded cluster is not running: start it with make up")
	}
	return r.Exec(l, args)
}
