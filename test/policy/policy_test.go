//go:build policy

// Package policy_test holds images to the release policy as the verify task
// does: its own steps around the real ec, with the arguments that stand in the
// Task, against a real registry and real signatures.
package policy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"sigs.k8s.io/yaml"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/run"
	"github.com/headrace-ci/headrace/pkg/task/verifyconforma"
	"github.com/headrace-ci/headrace/pkg/tekton/catalog"
	"github.com/headrace-ci/headrace/pkg/tekton/testoutput"
)

const root = "../.."

// ec is the program, built from the version that the catalog ships.
var ec string

func TestMain(m *testing.M) {
	code, err := withEC(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withEC(tests func() int) (int, error) {
	if ec = os.Getenv("HEADRACE_EC"); ec != "" {
		return tests(), nil
	}
	var err error
	if ec, err = filepath.Abs(filepath.Join(root, "bin", "ec")); err != nil {
		return 0, err
	}
	fmt.Fprintln(os.Stderr, "building ec, which takes minutes the first time")
	dir := filepath.Join(root, "bundles", "platform", "ec")
	// The flags of the image's build, so that both share what is compiled.
	if err := run.InDir(context.Background(), dir, []string{"CGO_ENABLED=0"}, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=",
		"-o", ec, "."); err != nil {
		return 0, fmt.Errorf("building ec: %w", err)
	}
	return tests(), nil
}

// policy is an EnterpriseContractPolicy's spec that uses the rules of this
// repository, with a catalog as the tasks to trust.
func policy(t *testing.T, tasks map[string]string) string {
	t.Helper()
	trusted, err := catalog.TrustedTasks(tasks, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	rules, data := t.TempDir(), t.TempDir()
	copyFiles(t, filepath.Join(root, "policies", "release"), rules, "_test.rego")
	copyFiles(t, filepath.Join(root, "policies", "data"), data, "")
	if err := os.WriteFile(filepath.Join(data, "trusted_tasks.yml"), trusted, 0o644); err != nil {
		t.Fatal(err)
	}
	spec, err := json.Marshal(v1alpha1.EnterpriseContractPolicySpec{Sources: []v1alpha1.Source{{
		Policy: []string{"file::" + rules}, Data: []string{"file::" + data},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return string(spec)
}

func copyFiles(t *testing.T, from, to, without string) {
	t.Helper()
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if without != "" && strings.HasSuffix(entry.Name(), without) {
			continue
		}
		content, err := os.ReadFile(filepath.Join(from, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, entry.Name()), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// ecStep is the step of the Task that runs ec, with its params' defaults.
func ecStep(t *testing.T, params map[string]string) pipelinev1.Step {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, "tasks", "verify-enterprise-contract", "task.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var task pipelinev1.Task
	if err := yaml.UnmarshalStrict(content, &task); err != nil {
		t.Fatal(err)
	}
	for _, param := range task.Spec.Params {
		if _, given := params[param.Name]; !given && param.Default != nil {
			params[param.Name] = param.Default.StringVal
		}
	}
	for _, step := range task.Spec.Steps {
		if step.Name != "ec" {
			continue
		}
		for i, arg := range step.Args {
			for name, value := range params {
				arg = strings.ReplaceAll(arg, "$(params."+name+")", value)
			}
			step.Args[i] = arg
		}
		return step
	}
	t.Fatal("the Task has no step ec")
	return pipelinev1.Step{}
}

// verify runs the task's three steps and returns its verdict.
func verify(t *testing.T, snapshot v1alpha1.SnapshotSpec, policy string, key []byte) (testoutput.Output, error) {
	t.Helper()
	images, err := json.Marshal(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	dir, home := t.TempDir(), t.TempDir()
	if err := verifyconforma.Prepare(t.Context(), verifyconforma.Options{
		Images: string(images), Policy: policy, PublicKey: string(key), Dir: dir, SingleComponent: "false",
	}); err != nil {
		return testoutput.Output{}, err
	}
	step := ecStep(t, map[string]string{"IGNORE_REKOR": "true"})
	const inPod = "/var/workdir/verify"
	for i := range step.Args {
		step.Args[i] = strings.ReplaceAll(step.Args[i], inPod, dir)
	}
	env := []string{"HOME=" + home}
	for _, e := range step.Env {
		if e.Name != "SSL_CERT_DIR" { // the registry is on loopback, without TLS
			env = append(env, e.Name+"="+strings.ReplaceAll(e.Value, inPod, dir))
		}
	}
	code := 0
	var failed *run.Error
	switch err := (run.Command{Name: ec, Args: step.Args, Env: env}).Run(t.Context()); {
	case errors.As(err, &failed):
		code = failed.Code
		t.Log(failed)
	case err != nil:
		t.Fatal(err)
	}
	exitCode := filepath.Join(home, "exitCode")
	if err := os.WriteFile(exitCode, []byte(strconv.Itoa(code)), 0o644); err != nil {
		t.Fatal(err)
	}
	return verifyconforma.Assert(verifyconforma.AssertOptions{Dir: dir, ExitCodeFile: exitCode, Strict: true})
}
