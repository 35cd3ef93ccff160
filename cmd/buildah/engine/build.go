package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/containers/buildah/define"
	"github.com/containers/buildah/imagebuildah"
	"github.com/sirupsen/logrus"
	nettypes "go.podman.io/common/libnetwork/types"
	"go.podman.io/common/pkg/config"
	"go.podman.io/image/v5/types"
	"go.podman.io/storage/pkg/archive"
	"go.podman.io/storage/pkg/reexec"

	task "github.com/headrace-ci/headrace/pkg/task/buildah"
)

// request is what the child reads from its standard input; its answer, the
// image's ID, is what it writes to the file in Answer.
type request struct {
	Site   *site
	Plan   task.Plan
	Answer string
}

// build runs the child and returns the ID of the image it made.
func (s *site) build(ctx context.Context, plan task.Plan) (string, error) {
	raw, err := json.Marshal(request{Site: s, Plan: plan, Answer: s.file("id")})
	if err != nil {
		return "", err
	}
	cmd := reexec.CommandContext(ctx, childName)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(raw), os.Stderr, os.Stderr
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if plan.Hermetic {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWNET
	}
	slog.InfoContext(ctx, "building", "hermetic", plan.Hermetic)
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", &buildError{file: plan.Containerfile, context: plan.Context, hermetic: plan.Hermetic, reason: s.reason(err)}
	}
	id, err := os.ReadFile(s.file("id"))
	return string(id), err
}

// maxReason is how much of a reason is worth repeating, in bytes: a RUN may be
// a program of its own.
const maxReason = 400

// reason is what the child said last, or else how it ended.
func (s *site) reason(ended error) string {
	raw, err := os.ReadFile(s.file("reason"))
	if err != nil || len(raw) == 0 {
		return ended.Error()
	}
	reason := string(raw)
	if step, ok := strings.CutPrefix(reason, "building at STEP "); ok {
		reason = "at step " + step
	}
	if len(reason) > maxReason {
		half := maxReason / 2
		reason = strings.ToValidUTF8(reason[:half], "") + " [...] " + strings.ToValidUTF8(reason[len(reason)-half:], "")
	}
	return reason
}

// buildError says that the build itself failed.
type buildError struct {
	file, context, reason string
	hermetic              bool
}

func (e *buildError) Error() string {
	return fmt.Sprintf("building %q: %s", strings.TrimPrefix(e.file, e.context+"/"), e.reason)
}

// Hint points at the reason.
func (e *buildError) Hint() string {
	hint := "the lines above show what the instruction printed"
	if e.hermetic {
		hint += "; the build had no network: what it needs must be prefetched (param prefetch-input), or hermetic be false"
	}
	return hint
}

// childMain builds, in the namespaces it was started in. Why it could not, it
// leaves for the parent in a file.
func childMain() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	var r request
	if err := json.NewDecoder(os.Stdin).Decode(&r); err != nil {
		fmt.Fprintln(os.Stderr, "reading the plan:", err)
		os.Exit(1)
	}
	// Below a warning the library tells of its own doings: "forcing host network"
	// is of the namespace this process is in, and frightens in a hermetic build.
	logrus.SetLevel(logrus.WarnLevel)
	if err := child(ctx, r); err != nil {
		if werr := os.WriteFile(r.Site.file("reason"), []byte(err.Error()), 0o600); werr != nil {
			fmt.Fprintln(os.Stderr, errors.Join(err, werr))
		}
		os.Exit(1)
	}
}

func child(ctx context.Context, r request) error {
	if r.Plan.Hermetic {
		if err := loopbackUp(); err != nil {
			return err
		}
	}
	if err := showToRun(r.Plan.RunEnv); err != nil {
		return err
	}
	store, err := r.Site.store()
	if err != nil {
		return err
	}
	id, _, err := imagebuildah.BuildDockerfiles(ctx, store, r.Site.options(r.Plan), r.Plan.Containerfile)
	_, serr := store.Shutdown(false)
	if err := errors.Join(err, serr); err != nil {
		return err
	}
	return os.WriteFile(r.Answer, []byte(id), 0o600)
}

// showToRun gives RUN variables that the image does not keep. The library
// has one list of such, meant for proxies, and reads their values from this
// process's environment.
func showToRun(variables []string) error {
	var names []string
	for _, v := range variables {
		name, value, _ := strings.Cut(v, "=")
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("setting %s for the build: %w", name, err)
		}
		names = append(names, name)
	}
	config.ProxyEnv = names
	return nil
}

func (s *site) options(p task.Plan) define.BuildOptions {
	opts := define.BuildOptions{
		ContextDirectory:    p.Context,
		PullPolicy:          define.PullNever, // every base was pulled before, by digest
		Isolation:           define.IsolationChroot,
		NamespaceOptions:    define.NamespaceOptions{{Name: "network", Host: true}},
		NetworkInterface:    noNetwork{},
		SystemContext:       s.system(),
		SignaturePolicyPath: s.file("policy.json"),
		OutputFormat:        mediaType(p.Format),
		Compression:         archive.Gzip,
		Args:                maps.Clone(p.Args),
		Labels:              p.Labels,
		Annotations:         p.Annotations,
		Envs:                p.Env,
		AddCapabilities:     p.Capabilities,
		Target:              p.Target,
		Squash:              p.Squash,
		SkipUnusedStages:    types.NewOptionalBool(p.SkipUnusedStages),
		InheritLabels:       types.NewOptionalBool(p.InheritLabels),
		RewriteTimestamp:    p.RewriteTimestampsDown,
		Timestamp:           moment(p.Timestamp),
		SourceDateEpoch:     moment(p.Epoch),
		CommonBuildOpts: &define.CommonBuildOptions{
			OmitHistory: p.OmitHistory, HTTPProxy: true, Volumes: p.Volumes, Secrets: secrets(p.Secrets),
			Ulimit: []string{"nofile=4096:4096"}, IdentityLabel: types.OptionalBoolFalse,
		},
		NoCache: true, RemoveIntermediateCtrs: true, ForceRmIntermediateCtrs: true,
		Out: os.Stderr, Err: os.Stderr, ReportWriter: os.Stderr,
	}
	return opts
}

func secrets(files map[string]string) []string {
	var list []string
	for _, id := range slices.Sorted(maps.Keys(files)) {
		list = append(list, "id="+id+",type=file,src="+files[id])
	}
	return list
}

func moment(seconds *int64) *time.Time {
	if seconds == nil {
		return nil
	}
	t := time.Unix(*seconds, 0).UTC()
	return &t
}

// noNetwork stands where the library wants a network to set up. Builds use
// the namespace they run in, so nothing is ever asked of it.
type noNetwork struct{ nettypes.ContainerNetwork }
