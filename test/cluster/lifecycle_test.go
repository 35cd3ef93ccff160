//go:build cluster

// Package main_test starts a cluster of its own beside whatever runs, uses it
// and takes it down. It needs root, and bin/cluster.
package main_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// cluster is an instance in a folder of its own.
type cluster struct {
	program, state string
}

func (c cluster) run(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(c.program, args...)
	cmd.Env = append(os.Environ(), "HEADRACE_STATE="+c.state, "KUBECONFIG=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("cluster %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestDownLeavesNothing is what a machine looks like before and after.
func TestDownLeavesNothing(t *testing.T) {
	program, err := filepath.Abs("../../bin/cluster")
	if err != nil {
		t.Fatal(err)
	}
	c := cluster{program: program, state: filepath.Join(t.TempDir(), "state")}
	before := machine(t, c.state)
	t.Cleanup(func() { c.run(t, "clean") })
	c.run(t, "up")
	c.run(t, "kubectl", "run", "hello", "--image=registry.test:5000/base/busybox:1", "--restart=Never", "--command", "--", "sleep", "600")
	c.run(t, "kubectl", "wait", "--for=condition=Ready", "--timeout=60s", "pod/hello")
	processes, relays := inside(t, c.state)
	if len(processes) < 8 {
		t.Fatalf("the cluster has processes %v, want a whole node", processes)
	}

	c.run(t, "down")

	for pid, start := range processes {
		if now, err := startTime(pid); err == nil && now == start {
			t.Errorf("process %d is left", pid)
		}
	}
	for _, address := range relays {
		if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			_ = conn.Close()
			t.Errorf("%s is still listened at", address)
		}
	}
	for what, now := range machine(t, c.state) {
		if now != before[what] {
			t.Errorf("%s are\n%s\nand were\n%s", what, now, before[what])
		}
	}

	start := time.Now()
	c.run(t, "up")
	t.Logf("started again from what was there in %v", time.Since(start).Round(time.Second))
	if pods := c.run(t, "kubectl", "get", "pods", "--no-headers"); !strings.Contains(pods, "hello") {
		t.Errorf("a start forgot the pod:\n%s", pods)
	}
	c.run(t, "clean")
	if entries, err := os.ReadDir(c.state); err == nil && len(entries) > 0 {
		t.Errorf("clean left %v", entries)
	}
}

// machine is what an instance could leave behind on the host. Another instance
// that runs meanwhile has namespaces of its own, and so does not show.
func machine(t *testing.T, state string) map[string]string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var ours []string
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, state) {
			ours = append(ours, line)
		}
	}
	groups, err := filepath.Glob("/sys/fs/cgroup/*/headrace-*")
	if err != nil {
		t.Fatal(err)
	}
	unified, err := filepath.Glob("/sys/fs/cgroup/headrace-*")
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"mounts":         strings.Join(ours, ""),
		"control groups": strings.Join(append(groups, unified...), "\n"),
		"links":          command(t, "ip", "-oneline", "link", "show"),
		"addresses":      command(t, "ip", "-4", "-oneline", "addr", "show"),
		"rules":          command(t, "nft", "list", "tables"),
		"namespaces":     command(t, "ip", "netns", "list"),
	}
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// inside are the processes of the instance, as the host numbers them, with
// their start times; and the host's addresses that lead to it.
func inside(t *testing.T, state string) (map[int]string, map[string]string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(state, "instance.json"))
	if err != nil {
		t.Fatal(err)
	}
	var record struct {
		PID    int
		Relays map[string]string
	}
	if err := json.Unmarshal(raw, &record); err != nil {
		t.Fatal(err)
	}
	found := map[int]string{}
	descend(record.PID, found)
	return found, record.Relays
}

// descend adds a process and all below it.
func descend(pid int, found map[int]string) {
	start, err := startTime(pid)
	if err != nil {
		return
	}
	found[pid] = start
	children, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return
	}
	for _, file := range children {
		raw, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for _, field := range strings.Fields(string(raw)) {
			if child, err := strconv.Atoi(field); err == nil {
				descend(child, found)
			}
		}
	}
}

// startTime tells two processes of the same number apart. One that has ended
// has none.
func startTime(pid int) (string, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" {
		return "", os.ErrProcessDone
	}
	return fields[19], nil
}
