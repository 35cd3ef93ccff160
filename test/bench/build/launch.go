//go:build linux

package build

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// launcherName is this program's name when it is about to become a step.
const launcherName = "headrace-bench-step"

// Files that the launcher inherits besides the usual three.
const (
	requestFile = 3
	answerFile  = 4
)

// Of prctl(2); package syscall does not have them.
const (
	dropFromBoundingSet = 24
	setNoNewPrivileges  = 38
)

// capabilities that steps keep, by their numbers in capabilities(7).
var capabilities = map[string]uintptr{"SETGID": 6, "SETUID": 7, "SETFCAP": 31}

// launch is a step ready to run.
type launch struct {
	Root   string
	Binds  []bind
	Argv   []string
	Env    []string
	Dir    string
	UID    uint32
	GID    uint32
	Keep   []string
	Locked bool
}

// bind puts a folder or file of this machine at a path below the root.
type bind struct{ From, To string }

// run runs the step to its end and says how long it took, from its exec to its
// exit: making its mounts is not its work. What it prints goes to log.
func (l launch) run(ctx context.Context, log io.Writer) (time.Duration, error) {
	request, err := saved(l)
	if err != nil {
		return 0, err
	}
	defer request.Close()
	answer, theirs, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer answer.Close()
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args = []string{launcherName}
	cmd.Env = []string{} // the step's own is in the request
	cmd.ExtraFiles = []*os.File{request, theirs}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	// The child dies with the thread that started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		return 0, fmt.Errorf("starting a step bare, which needs root: %w", err)
	}
	// The other end closes at the exec, and only a failure writes before.
	reason, err := io.ReadAll(answer)
	start := time.Now()
	ended := cmd.Wait()
	took := time.Since(start)
	if err != nil {
		return 0, err
	}
	if len(reason) > 0 {
		return 0, fmt.Errorf("starting %s bare: %s", l.Argv[0], reason)
	}
	if ended != nil {
		return 0, fmt.Errorf("running %q bare: %w", l.Argv, ended)
	}
	return took, nil
}

// saved is a file without a name that holds the launch.
func saved(l launch) (*os.File, error) {
	raw, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	file, err := os.CreateTemp("", "launch-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, err
	}
	if _, err := io.Copy(file, bytes.NewReader(raw)); err != nil {
		return nil, err
	}
	_, err = file.Seek(0, io.SeekStart)
	return file, err
}

// launcher is what runs in the child: it becomes the step, or says why not.
func launcher() {
	syscall.CloseOnExec(requestFile)
	syscall.CloseOnExec(answerFile)
	answer := os.NewFile(answerFile, "answer")
	if err := become(os.NewFile(requestFile, "request")); err != nil {
		fmt.Fprint(answer, err)
	}
	os.Exit(1)
}

func become(request io.Reader) error {
	var l launch
	if err := json.NewDecoder(request).Decode(&l); err != nil {
		return fmt.Errorf("reading what to launch: %w", err)
	}
	// Capabilities belong to a thread, and that which calls exec is what stays.
	runtime.LockOSThread()
	if err := l.enter(); err != nil {
		return err
	}
	if err := l.restrict(); err != nil {
		return err
	}
	return fmt.Errorf("exec %s: %w", l.Argv[0], syscall.Exec(l.Argv[0], l.Argv, l.Env))
}

// enter makes Root the root of this mount namespace, with the binds in it. A
// chroot would not do: who is in one may not make user namespaces.
func (l launch) enter() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	binds := append([]bind{{l.Root, "/"}, {"/proc", "/proc"}, {"/sys", "/sys"}, {"/dev", "/dev"}}, l.Binds...)
	for _, b := range binds {
		if err := syscall.Mount(b.From, filepath.Join(l.Root, b.To), "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
			return fmt.Errorf("mounting %s at %s: %w", b.From, b.To, err)
		}
	}
	if err := syscall.Chdir(l.Root); err != nil {
		return err
	}
	if err := syscall.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("changing the root: %w", err)
	}
	if err := syscall.Unmount(".", syscall.MNT_DETACH); err != nil {
		return fmt.Errorf("leaving the machine's root: %w", err)
	}
	return syscall.Chdir(l.Dir)
}

// restrict gives up what the pod did not have.
func (l launch) restrict() error {
	kept := map[uintptr]bool{}
	for _, name := range l.Keep {
		number, ok := capabilities[name]
		if !ok {
			return fmt.Errorf("capability %q is not one that steps are known to keep", name)
		}
		kept[number] = true
	}
	for number := uintptr(0); ; number++ {
		if kept[number] {
			continue
		}
		_, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, dropFromBoundingSet, number, 0)
		if errno == syscall.EINVAL {
			break // past the last one that this kernel has
		}
		if errno != 0 {
			return fmt.Errorf("dropping capability %d: %w", number, errno)
		}
	}
	if l.Locked {
		if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, setNoNewPrivileges, 1, 0); errno != 0 {
			return fmt.Errorf("giving up new privileges: %w", errno)
		}
	}
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("leaving groups: %w", err)
	}
	if err := syscall.Setgid(int(l.GID)); err != nil {
		return fmt.Errorf("becoming group %d: %w", l.GID, err)
	}
	if err := syscall.Setuid(int(l.UID)); err != nil {
		return fmt.Errorf("becoming user %d: %w", l.UID, err)
	}
	return nil
}
