// Package supervisor is the first process of the cluster's namespaces: it sets
// up mounts and network, starts every component in order, starts again what
// ends, and relays the host's loopback ports inside. When it dies, the kernel
// ends everything else with it.
package supervisor

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/headrace-ci/headrace/test/cluster/node"
)

// restartDelay keeps a component that cannot start from taking the machine.
const restartDelay = 500 * time.Millisecond

// Config says what to supervise.
type Config struct {
	Layout   node.Layout
	Programs node.Programs
	// Relays are listening sockets of the host's network, as file descriptors
	// of this process, by where each leads to inside.
	Relays map[string]int
}

// Run never returns while it works: it ends with its context.
func Run(ctx context.Context, cfg Config) error {
	if err := mounts(cfg.Layout); err != nil {
		return err
	}
	if err := network(ctx); err != nil {
		return err
	}
	for target, fd := range cfg.Relays {
		if err := relay(ctx, fd, target); err != nil {
			return fmt.Errorf("relaying to %s: %w", target, err)
		}
	}
	s := &supervisor{cfg: cfg, children: map[int]chan<- syscall.WaitStatus{}}
	go s.reap()
	g := newGates(cfg.Layout)
	for _, component := range cfg.Layout.Components(cfg.Programs) {
		go s.keep(ctx, component, g)
	}
	<-ctx.Done()
	return nil
}

type supervisor struct {
	cfg Config

	// mu is held from a start until its process is known, so that the reaper
	// never meets a child it cannot place.
	mu       sync.Mutex
	children map[int]chan<- syscall.WaitStatus
}

func (s *supervisor) keep(ctx context.Context, c node.Component, g *gates) {
	for _, gate := range c.After {
		g.wait(ctx, gate)
	}
	log, err := os.OpenFile(s.cfg.Layout.Log(c.Name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		slog.Error("opening log", "component", c.Name, "error", err)
		return
	}
	defer log.Close()
	for ctx.Err() == nil {
		status, err := s.runOnce(c, log)
		slog.Warn("component ended", "component", c.Name, "status", status, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(restartDelay):
		}
	}
}

func (s *supervisor) runOnce(c node.Component, log *os.File) (int, error) {
	cmd := exec.Command(c.Args[0], c.Args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "HEADRACE_STATE="+s.cfg.Layout.State)
	ended := make(chan syscall.WaitStatus, 1)
	s.mu.Lock()
	if err := cmd.Start(); err != nil {
		s.mu.Unlock()
		return -1, err
	}
	s.children[cmd.Process.Pid] = ended
	s.mu.Unlock()
	return (<-ended).ExitStatus(), nil
}

// reap collects every process that ends: the components, and what they leave
// behind, which becomes the first process's.
func (s *supervisor) reap() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil { // no child yet
			time.Sleep(50 * time.Millisecond)
			continue
		}
		s.mu.Lock()
		ended, ours := s.children[pid]
		delete(s.children, pid)
		s.mu.Unlock()
		if ours {
			ended <- status
		}
	}
}

// mounts gives the namespaces a /run of their own, name resolution of their
// own, and the place of the volumes.
func mounts(l node.Layout) error {
	// Private first, so that nothing here reaches the host; then shared among
	// us, which is what volumes in pods need.
	for _, propagation := range []uintptr{unix.MS_PRIVATE, unix.MS_SHARED} {
		if err := unix.Mount("", "/", "", propagation|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("separating mounts: %w", err)
		}
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mounting /run: %w", err)
	}
	for _, dir := range []string{"/run/containerd", "/run/lock", l.Path("pv"), node.Volumes(), l.Path("log", "pods")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for target, source := range map[string]string{
		"/etc/hosts": l.Path("hosts"), "/etc/resolv.conf": l.Path("resolv.conf"), node.Volumes(): l.Path("pv"),
	} {
		if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mounting %s: %w", target, err)
		}
	}
	return nil
}

// network gives the node its address, on a pair of links both ends of which
// are inside: there is no way out.
func network(ctx context.Context) error {
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"link", "add", "node0", "type", "veth", "peer", "name", "node0p"},
		{"link", "set", "node0", "up"},
		{"link", "set", "node0p", "up"},
		{"addr", "add", node.Address + "/24", "dev", "node0"},
		{"route", "add", "default", "via", node.Gateway, "dev", "node0"},
	} {
		if out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %v: %w: %s", args, err, out)
		}
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644)
}
