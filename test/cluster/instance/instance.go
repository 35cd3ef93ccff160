// Package instance starts, finds and stops a cluster: the one process whose
// namespaces everything else lives in.
package instance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/headrace-ci/headrace/test/cluster/cgroup"
	"github.com/headrace-ci/headrace/test/cluster/node"
)

// Record is what a running instance is known by.
type Record struct {
	PID   int    `json:"pid"`   // of the first process, in the host's numbers
	Start string `json:"start"` // its start time: a number may come back, this pair does not
	// Relays are the host's loopback addresses by what they lead to.
	Relays map[string]string `json:"relays"`
}

// ports are where the host's side of each relay would like to be.
var ports = map[string]string{
	node.Address + ":6443":                 "127.0.0.1:16443",
	node.Address + ":" + node.RegistryPort: "127.0.0.1:15000",
}

// Find returns the running instance, or nil.
func Find(l node.Layout) (*Record, error) {
	raw, err := os.ReadFile(l.Path("instance.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var r Record
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", l.Path("instance.json"), err)
	}
	if start, err := startTime(r.PID); err != nil || start != r.Start {
		return nil, nil
	}
	return &r, nil
}

// Start starts the instance's first process. It comes back at once; the
// cluster is not up yet.
func Start(l node.Layout, p node.Programs) (*Record, error) {
	r := &Record{Relays: map[string]string{}}
	args := []string{"supervise", "--kube=" + p.Kube, "--dns=" + p.DNS}
	var files []*os.File
	for target, wanted := range ports {
		file, address, err := listen(wanted)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		r.Relays[target] = address
		args = append(args, fmt.Sprintf("--relay=%s=%d", target, 3+len(files)))
		files = append(files, file)
	}
	if err := prepare(l, r.Relays[node.Address+":6443"]); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(l.Log("supervisor"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(p.Cluster, args...)
	cmd.Env = append(os.Environ(), "HEADRACE_STATE="+l.State)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = "/", log, log, files
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid: true, Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID,
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the cluster's first process: %w", err)
	}
	r.PID = cmd.Process.Pid
	if r.Start, err = startTime(r.PID); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return r, os.WriteFile(l.Path("instance.json"), raw, 0o600)
}

// prepare writes what the first process and its components read.
func prepare(l node.Layout, hostAPI string) error {
	if err := os.MkdirAll(l.Path("log"), 0o755); err != nil {
		return err
	}
	if err := l.WriteIdentities(hostAPI); err != nil {
		return err
	}
	if err := l.WriteConfigs(); err != nil {
		return err
	}
	if err := cgroup.Create(l.Cgroup()); err != nil {
		return fmt.Errorf("making the pods' control group: %w", err)
	}
	return nil
}

// Stop ends the instance and waits until nothing of it is left. The kernel
// ends all processes of a pid namespace with its first one, and takes back the
// mounts, links and rules of namespaces that nobody is in.
func Stop(ctx context.Context, l node.Layout) error {
	r, err := Find(l)
	if err != nil {
		return err
	}
	if r != nil {
		if err := syscall.Kill(r.PID, syscall.SIGKILL); err != nil {
			return fmt.Errorf("ending process %d: %w", r.PID, err)
		}
		for {
			if start, err := startTime(r.PID); err != nil || start != r.Start {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("process %d does not end: %w", r.PID, ctx.Err())
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	if err := cgroup.Remove(l.Cgroup(), 20*time.Second); err != nil {
		return fmt.Errorf("removing the pods' control group: %w", err)
	}
	if err := os.Remove(l.Path("instance.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Exec replaces this process by args inside the instance's namespaces, in the
// folder it is in now.
func (r *Record) Exec(l node.Layout, args []string) error {
	command, err := r.Command(args...)
	if err != nil {
		return err
	}
	return syscall.Exec(command[0], command, environment(os.Environ(), l.Environment()))
}

// environment is base with the variables of over in the place of its own: of
// two with the same name a program would take either.
func environment(base, over []string) []string {
	set := map[string]bool{}
	for _, variable := range over {
		name, _, _ := strings.Cut(variable, "=")
		set[name] = true
	}
	var out []string
	for _, variable := range base {
		if name, _, _ := strings.Cut(variable, "="); !set[name] {
			out = append(out, variable)
		}
	}
	return append(out, over...)
}

// Command is how to run args inside the instance's namespaces.
func (r *Record) Command(args ...string) ([]string, error) {
	nsenter, err := exec.LookPath("nsenter")
	if err != nil {
		return nil, fmt.Errorf("entering the cluster needs util-linux: %w", err)
	}
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	// A relative program is meant from here, and nsenter looks before it moves.
	if strings.ContainsRune(args[0], '/') {
		if args[0], err = filepath.Abs(args[0]); err != nil {
			return nil, err
		}
	}
	// --wdns, since a folder that was opened before has no path inside; --pid,
	// since /proc shows the processes inside and /proc/self must be one.
	enter := []string{nsenter, "--target=" + strconv.Itoa(r.PID), "--mount", "--net", "--pid", "--wdns=" + dir, "--"}
	return append(enter, args...), nil
}

func listen(wanted string) (*os.File, string, error) {
	listener, err := net.Listen("tcp", wanted)
	if err != nil { // taken, perhaps by another instance: any other will do
		listener, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, "", err
	}
	defer listener.Close()
	file, err := listener.(*net.TCPListener).File()
	return file, listener.Addr().String(), err
}

// startTime is the 22nd field of /proc/PID/stat, in clock ticks since boot. A
// process that has ended and waits to be collected has none.
func startTime(pid int) (string, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	// The second field is the name, in parentheses, and may hold anything.
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" {
		return "", fmt.Errorf("process %d has ended", pid)
	}
	return fields[19], nil
}
