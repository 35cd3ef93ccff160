// Package program builds the cluster's programs from the pinned modules beside
// it and keeps them by content: the same sources and toolchain are built once.
package program

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Program is something to build.
type Program struct {
	Name   string
	Dir    string // of its package, below the cluster module
	Flags  []string
	Expect time.Duration // of a build from nothing, on two cores
}

// All is every program of the cluster.
var All = []Program{
	{Name: "kube", Dir: "kube", Expect: 4 * time.Minute, Flags: []string{
		"-ldflags=-s -w -buildid= -X k8s.io/component-base/version.gitVersion=v1.35.4" +
			" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=35"}},
	{Name: "dns", Dir: "dns", Expect: time.Minute, Flags: []string{"-ldflags=-s -w -buildid="}},
	{Name: "pause", Dir: "pause", Expect: 5 * time.Second, Flags: []string{"-ldflags=-s -w -buildid="}},
}

// CacheDir is $HEADRACE_CACHE, or .cache/headrace in the home folder.
func CacheDir() (string, error) {
	if dir := os.Getenv("HEADRACE_CACHE"); dir != "" {
		return dir, nil
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".cache", "headrace"), err
}

// Build builds what is missing of all programs, telling out how far it is, and
// returns their paths by name.
func Build(ctx context.Context, source string, out io.Writer) (map[string]string, error) {
	cache, err := CacheDir()
	if err != nil {
		return nil, err
	}
	paths := map[string]string{}
	for _, p := range All {
		dir := filepath.Join(source, p.Dir)
		key, err := contentKey(dir, p.Flags)
		if err != nil {
			return nil, err
		}
		path := filepath.Join(cache, "bin", p.Name+"-"+key)
		paths[p.Name] = path
		if _, err := os.Stat(path); err == nil {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
		if err := p.build(ctx, dir, path, out); err != nil {
			return nil, fmt.Errorf("building %s: %w", p.Name, err)
		}
	}
	return paths, nil
}

func (p Program) build(ctx context.Context, dir, path string, out io.Writer) error {
	packages, err := command(ctx, dir, "list", "-deps", ".").Output()
	if err != nil {
		return err
	}
	total := strings.Count(string(packages), "\n")
	fmt.Fprintf(out, "building %s: %d packages, about %v when nothing is compiled yet\n", p.Name, total, p.Expect)
	args := append([]string{"build", "-v", "-trimpath", "-buildvcs=false", "-o", path + ".partial"}, p.Flags...)
	build := command(ctx, dir, append(args, ".")...)
	stderr, err := build.StderrPipe()
	if err != nil {
		return err
	}
	start := time.Now()
	if err := build.Start(); err != nil {
		return err
	}
	if text := progress(stderr, out, p.Name, total, start); text != "" {
		defer fmt.Fprint(out, text)
	}
	if err := build.Wait(); err != nil {
		return err
	}
	fmt.Fprintf(out, "built %s in %v\n", p.Name, time.Since(start).Round(time.Second))
	return os.Rename(path+".partial", path)
}

// progress counts the packages that the compiler names as it finishes them,
// and returns what else it said.
func progress(in io.Reader, out io.Writer, name string, total int, start time.Time) string {
	var other strings.Builder
	done, last := 0, start
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if strings.ContainsAny(lines.Text(), " :") {
			fmt.Fprintln(&other, lines.Text())
			continue
		}
		done++
		if time.Since(last) > 10*time.Second {
			last = time.Now()
			fmt.Fprintf(out, "  %s: %d of at most %d packages, %v\n", name, done, total, time.Since(start).Round(time.Second))
		}
	}
	return other.String()
}

func command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	return cmd
}

// contentKey names a program by what goes into it. go.sum pins every module,
// so the sources beside it and the toolchain are all there is to add.
func contentKey(dir string, flags []string) (string, error) {
	var files []string
	for _, pattern := range []string{"*.go", "go.mod", "go.sum", "../go.mod"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return "", err
		}
		files = append(files, found...)
	}
	slices.Sort(files)
	sum := sha256.New()
	fmt.Fprintln(sum, runtime.Version(), runtime.GOARCH, flags)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%s %d\n%s", filepath.Base(file), len(content), content)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8]), nil
}
