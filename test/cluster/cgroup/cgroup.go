// Package cgroup makes and removes the control group that an instance's pods
// live in, on hosts of either version.
package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// root is where hosts mount their control groups.
const root = "/sys/fs/cgroup"

// Create makes the group, with processors and memory nodes to run on.
func Create(name string) error {
	if unified() {
		// A group can only limit what its parent hands down.
		for _, controller := range []string{"cpuset", "cpu", "io", "memory", "pids"} {
			err := os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+"+controller), 0o644)
			if err != nil && controller != "io" && controller != "cpuset" {
				return fmt.Errorf("handing controller %s down: %w", controller, err)
			}
		}
		return os.MkdirAll(filepath.Join(root, name), 0o755)
	}
	for _, hierarchy := range hierarchies() {
		if err := os.MkdirAll(filepath.Join(hierarchy, name), 0o755); err != nil {
			return err
		}
	}
	// A new cpuset is empty, and nothing can run in an empty one.
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(root, "cpuset", file))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(root, "cpuset", name, file), value, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Remove removes the group and all below it. Processes that are being killed
// hold theirs for a moment, so it tries until timeout.
func Remove(name string, timeout time.Duration) error {
	for deadline := time.Now().Add(timeout); ; time.Sleep(100 * time.Millisecond) {
		var failed error
		for _, dir := range Folders(name) {
			failed = errors.Join(failed, removeTree(dir))
		}
		if failed == nil || time.Now().After(deadline) {
			return failed
		}
	}
}

// Folders are the group's folders that exist.
func Folders(name string) []string {
	var found []string
	// The runtime makes the group in the one of version 2 as well, where a host
	// has both.
	for _, parent := range append(hierarchies(), filepath.Join(root, "unified"), root) {
		dir := filepath.Join(parent, name)
		if _, err := os.Stat(dir); err == nil {
			found = append(found, dir)
		}
	}
	return found
}

func removeTree(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	slices.Reverse(dirs)
	for _, d := range dirs {
		// Only the folder goes: the files in it are the kernel's.
		if err := os.Remove(d); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func unified() bool {
	_, err := os.Stat(filepath.Join(root, "cgroup.controllers"))
	return err == nil
}

// hierarchies are the mounts of version 1: one a controller.
func hierarchies() []string {
	if unified() {
		return nil
	}
	var found []string
	for _, controller := range []string{"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "hugetlb", "systemd", "net_cls", "net_prio", "perf_event"} {
		dir := filepath.Join(root, controller)
		if info, err := os.Lstat(dir); err == nil && info.IsDir() {
			found = append(found, dir)
		}
	}
	return found
}
