package engine_test

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/headrace-ci/headrace/cmd/buildah/engine"
)

// confined says that this process has no more than a step of the Task has.
const confined = "HEADRACE_TEST_CONFINED"

// TestMain gives the tests what the Task's step has: root with three
// capabilities, and no way to more.
func TestMain(m *testing.M) {
	if os.Geteuid() == 0 {
		if engine.Start() {
			return
		}
		if os.Getenv(confined) == "" {
			fmt.Fprintln(os.Stderr, confine())
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// confine starts this program anew; it returns only when it cannot.
func confine() error {
	runtime.LockOSThread()
	keep := map[uintptr]bool{unix.CAP_SETUID: true, unix.CAP_SETGID: true, unix.CAP_SETFCAP: true}
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if keep[c] {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && err != unix.EINVAL {
			return fmt.Errorf("dropping capability %d: %w", c, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(self, os.Args, append(os.Environ(), confined+"=1"))
}
