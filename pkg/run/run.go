// Package run is the one place that starts another program. It takes an
// argument vector and never a shell's line, so no value needs quoting; a
// caller that passes on a user's value puts "--" before it.
package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// tail is how much of a failed program's output its error carries, in bytes.
const tail = 4 << 10

// Error says that a program ran and failed.
type Error struct {
	Program string
	Code    int    // exit code; -1 when a signal ended it
	Output  string // the last of what it wrote, at most 4 KiB
}

func (e *Error) Error() string {
	if e.Output == "" {
		return fmt.Sprintf("%s exited with %d", e.Program, e.Code)
	}
	return fmt.Sprintf("%s exited with %d: %s", e.Program, e.Code, e.Output)
}

// Command is a program to run.
type Command struct {
	Name   string
	Args   []string
	Dir    string    // working directory; "" for this process's
	Env    []string  // added to this process's environment
	Stdin  io.Reader // nil for none
	Stdout io.Writer // nil for none
	Stderr io.Writer // nil for none; the error carries its end either way
}

// Run runs the command to its end. Cancelling ctx kills it.
func (c Command) Run(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, c.Name, c.Args...)
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout = c.Dir, append(os.Environ(), c.Env...), c.Stdin, c.Stdout
	var last tailWriter
	cmd.Stderr = &last
	if c.Stderr != nil {
		cmd.Stderr = io.MultiWriter(c.Stderr, &last)
	}
	err := cmd.Run()
	if ctx.Err() != nil {
		return fmt.Errorf("running %s: %w", c.Name, ctx.Err())
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return &Error{Program: c.Name, Code: exit.ExitCode(), Output: strings.TrimSpace(string(last.buf))}
	}
	if err != nil {
		return fmt.Errorf("running %s: %w", c.Name, err)
	}
	return nil
}

// Output runs a program and returns what it wrote to standard output.
func Output(ctx context.Context, name string, args ...string) ([]byte, error) {
	var out bytes.Buffer
	err := Command{Name: name, Args: args, Stdout: &out}.Run(ctx)
	return out.Bytes(), err
}

// InDir runs a program in dir with env added, its output going where this
// program's errors go.
func InDir(ctx context.Context, dir string, env []string, name string, args ...string) error {
	return Command{Name: name, Args: args, Dir: dir, Env: env, Stdout: os.Stderr, Stderr: os.Stderr}.Run(ctx)
}

// tailWriter keeps the last bytes written to it.
type tailWriter struct{ buf []byte }

func (w *tailWriter) Write(p []byte) (int, error) {
	w.buf = append(w.buf, p...)
	if over := len(w.buf) - tail; over > 0 {
		w.buf = append(w.buf[:0], w.buf[over:]...)
	}
	return len(p), nil
}
