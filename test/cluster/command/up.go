package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/test/cluster/instance"
	"github.com/headrace-ci/headrace/test/cluster/node"
	"github.com/headrace-ci/headrace/test/cluster/program"
	"github.com/headrace-ci/headrace/test/cluster/registry"
)

// startTimeout bounds every wait of a start: on two idle cores the whole takes
// some fifteen seconds.
const startTimeout = 3 * time.Minute

// debian are the packages of the node, and what compiles the one program that
// has C in it, by a file that each brings.
var debian = map[string]string{
	"containerd": "/usr/bin/containerd", "runc": "/usr/sbin/runc", "containernetworking-plugins": "/usr/lib/cni/bridge",
	"nftables": "/usr/sbin/nft", "iptables": "/usr/sbin/iptables", "conntrack": "/usr/sbin/conntrack",
	"iproute2": "/usr/bin/ip", "busybox-static": "/bin/busybox", "ca-certificates": "/etc/ssl/certs/ca-certificates.crt",
	"util-linux": "/usr/bin/nsenter", "gcc": "/usr/bin/gcc", "libc6-dev": "/usr/include/stdlib.h",
}

func upCommand() *cobra.Command {
	return &cobra.Command{
		Use: "up", Short: "Start the cluster, unless it runs", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.ErrOrStderr()
			if other, err := foreign(); other || err != nil {
				if err == nil {
					fmt.Fprintf(out, "using the cluster of %s and registry %s\n", os.Getenv("KUBECONFIG"), os.Getenv("REGISTRY"))
				}
				return err
			}
			if err := installPackages(cmd.Context(), out); err != nil {
				return err
			}
			return up(cmd.Context(), out)
		},
	}
}

func up(ctx context.Context, out io.Writer) error {
	dir, err := source()
	if err != nil {
		return err
	}
	built, err := program.Build(ctx, dir, out)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	start := time.Now()
	l := node.Default()
	if err := os.MkdirAll(l.State, 0o755); err != nil {
		return err
	}
	if _, err := login(l, "admin", []string{"*"}, true); err != nil {
		return err
	}
	r, err := instance.Find(l)
	if err != nil {
		return err
	}
	if r == nil {
		// What an instance that died without a stop left behind.
		if err := instance.Stop(ctx, l); err != nil {
			return err
		}
		programs := node.Programs{Kube: built["kube"], DNS: built["dns"], Cluster: self}
		if r, err = instance.Start(l, programs); err != nil {
			return err
		}
	}
	u := &upper{layout: l, record: r, kube: built["kube"], out: out, start: start}
	return u.await(ctx, built["pause"])
}

// upper brings a started instance to where pods are accepted.
type upper struct {
	layout node.Layout
	record *instance.Record
	kube   string
	out    io.Writer
	start  time.Time
}

func (u *upper) await(ctx context.Context, pause string) error {
	steps := []struct {
		what string
		do   func(context.Context) error
	}{
		{"images that every pod needs are in the registry", func(ctx context.Context) error {
			return u.inside(ctx, "push-images", "--pause="+pause)
		}},
		{"API server answers", func(ctx context.Context) error { return u.kubectl(ctx, "get", "--raw=/readyz") }},
		{"storage and DNS are set up", func(ctx context.Context) error {
			return u.kubectl(ctx, "apply", "--server-side", "-f", u.layout.Path("bootstrap.yaml"))
		}},
		{"node is ready", func(ctx context.Context) error {
			return u.kubectl(ctx, "wait", "--for=condition=Ready", "--timeout=5s", "node/"+node.Name)
		}},
		// Until then, pods are refused.
		{"service accounts are there", func(ctx context.Context) error {
			return u.kubectl(ctx, "get", "serviceaccount", "default")
		}},
	}
	for _, step := range steps {
		if err := u.retry(ctx, step.do); err != nil {
			return fmt.Errorf("waiting until %s: %w\nlogs are in %s", step.what, err, u.layout.Path("log"))
		}
		fmt.Fprintf(u.out, "%6.1fs  %s\n", time.Since(u.start).Seconds(), step.what)
	}
	return nil
}

func (u *upper) retry(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := do(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// inside runs a command of this program in the cluster's namespaces.
func (u *upper) inside(ctx context.Context, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return u.run(ctx, append([]string{self}, args...))
}

func (u *upper) kubectl(ctx context.Context, args ...string) error {
	return u.run(ctx, append([]string{u.kube, "kubectl"}, args...))
}

func (u *upper) run(ctx context.Context, args []string) error {
	command, err := u.record.Command(args...)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), u.layout.Environment()...)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(output)))
	}
	return nil
}

// installPackages installs what the node takes from Debian and is missing.
func installPackages(ctx context.Context, out io.Writer) error {
	var missing []string
	for name, file := range debian {
		if _, err := os.Stat(file); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	apt, err := exec.LookPath("apt-get")
	if err != nil {
		return fmt.Errorf("packages %v are missing and this machine has no apt-get: install what brings %v", missing, debian)
	}
	fmt.Fprintf(out, "installing Debian packages: %s\n", strings.Join(missing, " "))
	for _, args := range [][]string{{"update", "-q"}, append([]string{"install", "-q", "-y", "--no-install-recommends"}, missing...)} {
		cmd := exec.CommandContext(ctx, apt, args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if output, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w: %s", args[0], err, output)
		}
	}
	return nil
}

// login makes a registry login, and puts it where `exec` points clients.
func login(l node.Layout, name string, prefixes []string, standard bool) ([]byte, error) {
	dir := l.Path("registry")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	config, err := registry.Login(dir, node.Registry, name, prefixes)
	if err != nil || !standard {
		return config, err
	}
	if err := os.MkdirAll(l.Path("docker"), 0o700); err != nil {
		return nil, err
	}
	return config, os.WriteFile(l.Path("docker", "config.json"), config, 0o600)
}
