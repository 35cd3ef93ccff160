package buildah

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/headrace-ci/headrace/pkg/taskcli"
)

// Plan is everything an engine needs to know. It has no paths but absolute
// ones, and no secret values.
type Plan struct {
	Image, ExtraTag        string // repository and tag; another tag of the repository, or ""
	Containerfile, Context string // file and folder
	Format                 string // oci or docker
	Args                   map[string]string
	Labels, Annotations    []string          // key=value, later ones win
	Env                    []string          // NAME=value, in the image
	RunEnv                 []string          // NAME=value, for RUN alone
	Secrets                map[string]string // id to file
	Volumes                []string          // what RUN sees mounted: source:target:options
	Capabilities           []string
	ExtraBases             []string
	Target, Driver         string
	Proxy, NoProxy         string
	Timestamp, Epoch       *int64 // seconds since 1970

	Hermetic, AnyArchitecture, Squash                                   bool
	SkipUnusedStages, InheritLabels, OmitHistory, RewriteTimestampsDown bool
}

// plan checks the params and turns them into a plan.
func (o Options) plan() (Plan, error) {
	var p Plan
	if err := o.validate(); err != nil {
		return p, err
	}
	root, err := filepath.EvalSymlinks(o.SourceDir)
	if err != nil {
		return p, fmt.Errorf("finding the source: %w", err)
	}
	p = Plan{
		Image: o.Image, ExtraTag: o.TaskRunName, Format: o.BuildahFormat, Target: o.TargetStage, Driver: o.StorageDriver,
		Proxy: o.HTTPProxy, NoProxy: o.NoProxy, Hermetic: o.Hermetic, AnyArchitecture: o.AllowCrossPlatformImages,
		Squash: o.Squash, SkipUnusedStages: o.SkipUnusedStages,
		InheritLabels: o.InheritBaseImageLabels, OmitHistory: o.OmitHistory, RewriteTimestampsDown: o.RewriteTimestamp,
		Env: o.Lists.EnvVars, ExtraBases: o.Lists.AdditionalBaseImages, Capabilities: capabilities(o.AddCapabilities),
	}
	if p.Context, err = inside(root, o.Context); err != nil {
		return p, &taskcli.UsageError{Flag: "context", Problem: err.Error(), Fix: "give a folder of the source, relative to its root"}
	}
	if p.Containerfile, err = containerfile(root, p.Context, o.Dockerfile); err != nil {
		return p, err
	}
	if p.Timestamp, err = seconds("build-timestamp", o.BuildTimestamp); err != nil {
		return p, err
	}
	if p.Epoch, err = seconds("source-date-epoch", o.SourceDateEpoch); err != nil {
		return p, err
	}
	if p.Args, err = o.buildArgs(root); err != nil {
		return p, err
	}
	if p.Labels, p.Annotations, err = o.metadata(root, p); err != nil {
		return p, err
	}
	if p.Secrets, err = secrets(o.AdditionalSecret, o.AdditionalSecretDir); err != nil {
		return p, err
	}
	if err := o.repositories(root, &p); err != nil {
		return p, err
	}
	return p, o.prefetched(&p)
}

// rpmArches are what RPM calls this program's architectures.
var rpmArches = map[string]string{"amd64": "x86_64", "arm64": "aarch64", "ppc64le": "ppc64le", "s390x": "s390x"}

// repositories lets RUN see package repository files in place of those of the
// base image: of prefetched RPMs, or else the source's.
func (o Options) repositories(root string, p *Plan) error {
	prefetched := filepath.Join(o.PrefetchDir, "output", "deps", "rpm", rpmArches[runtime.GOARCH], "repos.d")
	if info, err := os.Stat(prefetched); err == nil && info.IsDir() {
		p.Volumes = append(p.Volumes, prefetched+":"+o.YumReposDTarget+":ro")
		return nil
	}
	if o.YumReposDSrc == "" {
		return nil
	}
	dir, err := inside(root, o.YumReposDSrc)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && strings.Contains(dir, ":") {
		err = fmt.Errorf("%q has a colon in it", o.YumReposDSrc)
	}
	if err != nil {
		return &taskcli.UsageError{Flag: "yum-repos-d-src", Problem: err.Error(), Fix: "keep repository files in a folder of the source"}
	}
	p.Volumes = append(p.Volumes, dir+":"+o.YumReposDTarget+":ro")
	return nil
}

// containerfile finds the file below the context, or below the source.
func containerfile(root, context, name string) (string, error) {
	for _, dir := range []string{context, root} {
		file, err := inside(dir, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			file, err = inside(root, strings.TrimPrefix(file, root))
		}
		if err != nil {
			return "", &taskcli.UsageError{Flag: "dockerfile", Problem: err.Error(), Fix: "keep the Containerfile in the repository"}
		}
		return file, nil
	}
	rel, err := filepath.Rel(root, context)
	if err != nil {
		return "", err
	}
	return "", &taskcli.UsageError{
		Flag: "dockerfile", Problem: fmt.Sprintf("%q is neither in folder %q of the source nor in its root", name, rel),
		Fix: "set param dockerfile to the path of the Containerfile, relative to path-context",
	}
}

// inside resolves path below root and refuses one that leads out of it.
func inside(root, path string) (string, error) {
	full, err := filepath.EvalSymlinks(filepath.Join(root, path))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fs.ErrNotExist // without the path of this machine
		}
		return "", fmt.Errorf("%q: %w", path, err)
	}
	if rel, err := filepath.Rel(root, full); err != nil || !filepath.IsLocal(rel) {
		return "", fmt.Errorf("%q leads out of the source", path)
	}
	return full, nil
}

func (o Options) buildArgs(root string) (map[string]string, error) {
	lines, err := pairsFile(root, "build-args-file", o.BuildArgsFile)
	if err != nil {
		return nil, err
	}
	args := map[string]string{}
	for _, pair := range slices.Concat(lines, o.Lists.BuildArgs) {
		name, value, _ := strings.Cut(pair, "=")
		args[name] = value
	}
	return args, nil
}

// pairsFile reads name=value lines of a file in the source.
func pairsFile(root, flag, name string) ([]string, error) {
	if name == "" {
		return nil, nil
	}
	file, err := inside(root, name)
	if err != nil {
		return nil, &taskcli.UsageError{Flag: flag, Problem: err.Error()}
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var pairs []string
	number := 0
	for line := range strings.Lines(string(raw)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if strings.Index(line, "=") < 1 {
			return nil, &taskcli.UsageError{Flag: flag, Problem: fmt.Sprintf("%s, line %d: not of the form name=value", name, number)}
		}
		pairs = append(pairs, line)
	}
	return pairs, nil
}

func seconds(flag, value string) (*int64, error) {
	if value == "" {
		return nil, nil
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		return nil, &taskcli.UsageError{Flag: flag, Problem: fmt.Sprintf("%q is not a number of seconds since 1970", value)}
	}
	return &n, nil
}

func capabilities(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

// secrets are the keys of a mounted secret. Kubernetes mounts them through
// links whose names start with dots.
func secrets(name, dir string) (map[string]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading secret %q: %w", name, err)
	}
	files := map[string]string{}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			files[name+"/"+e.Name()] = filepath.Join(dir, e.Name())
		}
	}
	return files, nil
}

// prefetchMount is where RUN sees prefetched dependencies: their environment
// names files below it.
const prefetchMount = "/cachi2"

// prefetched lets RUN see what was prefetched, if anything was.
func (o Options) prefetched(p *Plan) error {
	raw, err := os.ReadFile(filepath.Join(o.PrefetchDir, "prefetch-env.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the environment of prefetched dependencies: %w", err)
	}
	var variables []struct{ Name, Value string }
	if err := json.Unmarshal(raw, &variables); err != nil {
		return fmt.Errorf("reading the environment of prefetched dependencies: %w", err)
	}
	env := map[string]string{}
	for _, v := range variables {
		env[v.Name] = v.Value
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		p.RunEnv = append(p.RunEnv, name+"="+env[name])
	}
	p.Volumes = append(p.Volumes, o.PrefetchDir+":"+prefetchMount+":ro")
	return nil
}
