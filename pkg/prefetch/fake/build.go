package fake

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/headrace-ci/headrace/pkg/prefetch/ecosystem"
	"github.com/headrace-ci/headrace/pkg/run"
)

// Tool skips the test when this machine does not have the program, since the
// test would then prove nothing.
func Tool(t testing.TB, name string) {
	t.Helper()
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode().IsRegular() {
			return
		}
	}
	t.Skipf("NOT PROVED: there is no %s here to build with", name)
}

// Build runs programs in the folder dir of the source as a build would: with
// the edits made, the variables set, and no registry that could be reached. It
// returns what the last of them wrote.
func Build(t testing.TB, source, dir string, result *ecosystem.Result, env []string, commands ...[]string) string {
	t.Helper()
	for _, edit := range result.Edits {
		file := filepath.Join(source, edit.Path)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, edit.Content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	nowhere := "http://127.0.0.1:1"
	env = append([]string{
		"HOME=" + t.TempDir(), "http_proxy=" + nowhere, "https_proxy=" + nowhere, "HTTP_PROXY=" + nowhere, "HTTPS_PROXY=" + nowhere,
	}, env...)
	for _, v := range result.Env {
		env = append(env, v.Name+"="+v.Value)
	}
	var out bytes.Buffer
	for _, command := range commands {
		out.Reset()
		err := run.Command{Name: command[0], Args: command[1:], Dir: filepath.Join(source, dir), Env: env, Stdout: &out}.Run(t.Context())
		if err != nil {
			t.Fatalf("%q: %v", command, err)
		}
	}
	return out.String()
}
