package gitclone_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/pkg/task/gitclone"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/test/fixture"
)

// run runs the command as a step does, and returns its results, exit code and
// what it said.
func run(t *testing.T, output string, args ...string) (map[string]string, int, string) {
	t.Helper()
	dir := t.TempDir()
	cmd := gitclone.Command()
	cmd.SetArgs(append([]string{"--results-dir=" + dir, "--output-dir=" + output, "--network-errors=0"}, args...))
	var log bytes.Buffer
	code := taskcli.Run(t.Context(), cmd, &log)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	results := map[string]string{}
	for _, e := range entries {
		raw, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		results[e.Name()] = string(raw)
	}
	return results, code, log.String()
}

func TestResults(t *testing.T) {
	server := fixture.NewGit(t)
	commit := server.Push("app", "main", map[string]string{"file": "1"})
	when := server.Run("app", "log", "-1", "--format=%ct", "main")
	output := t.TempDir()
	url := strings.Replace(server.Repo("app"), "://", "://me:hunter2@", 1)

	got, code, log := run(t, output, "--url="+url, "--revision=main", "--short-commit-length=9")

	want := map[string]string{
		"commit": commit, "short-commit": commit[:9], "url": server.Repo("app"), "commit-timestamp": when,
		"CHAINS-GIT_COMMIT": commit, "CHAINS-GIT_URL": server.Repo("app"), "merged_sha": "",
	}
	if diff := cmp.Diff(want, got); code != 0 || diff != "" {
		t.Errorf("exit code %d: %s\nresults (-want +got):\n%s", code, log, diff)
	}
	if content, err := os.ReadFile(filepath.Join(output, "source", "file")); string(content) != "1" {
		t.Errorf("source/file holds %q, %v", content, err)
	}
	err := filepath.WalkDir(output, func(file string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(file)
		if bytes.Contains(raw, []byte("hunter2")) {
			t.Errorf("%s holds the password", file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(log, "hunter2") {
		t.Errorf("the log holds the password: %s", log)
	}
}

func TestMergeIsAResult(t *testing.T) {
	server := fixture.NewGit(t)
	server.Push("app", "main", map[string]string{"file": "1"})
	server.Run("app", "branch", "topic", "main")
	commit := server.Push("app", "topic", map[string]string{"topic": "1"})
	server.Push("app", "main", map[string]string{"new": "1"})

	got, code, log := run(t, t.TempDir(), "--url="+server.Repo("app"), "--revision=topic", "--merge-target-branch", "--merge-source-depth=1")

	if code != 0 || got["commit"] != commit || len(got["merged_sha"]) != 40 || got["merged_sha"] == commit {
		t.Errorf("exit code %d, commit %s, merged_sha %q\n%s", code, got["commit"], got["merged_sha"], log)
	}
}

func TestALinkOutOfTheRepositoryFails(t *testing.T) {
	server := fixture.NewGit(t)
	server.Push("app", "main", map[string]string{"d/link": "symlink:/dev/null", "file": "1"})

	got, code, log := run(t, t.TempDir(), "--url="+server.Repo("app"))
	if code != 1 || !strings.Contains(log, `cloned repository contains symlink "d/link"`) || !strings.Contains(log, "hint: ") || len(got) != 0 {
		t.Errorf("exit code %d, results %v, log:\n%s", code, got, log)
	}
	for _, arg := range []string{"--enable-symlink-check=false", "--symlink-check-ignore-pattern= other , */link "} {
		if _, code, log := run(t, t.TempDir(), "--url="+server.Repo("app"), arg); code != 0 {
			t.Errorf("%s: exit code %d:\n%s", arg, code, log)
		}
	}
}

func TestWhatIsThereAlready(t *testing.T) {
	server := fixture.NewGit(t)
	server.Push("app", "main", map[string]string{"file": "1"})
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "precious"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		args []string
		make func(output string) error
		want []string // files of the output; nil when it fails
	}{
		"a clone of before": {
			nil, func(o string) error { return os.MkdirAll(filepath.Join(o, "source", "old", "dir"), 0o755) },
			[]string{".git", "file"},
		},
		"a link out": {
			nil, func(o string) error { return os.Symlink(outside, filepath.Join(o, "source")) },
			[]string{".git", "file"},
		},
		"something that is to stay": {
			[]string{"--delete-existing=false"}, func(o string) error { return os.MkdirAll(filepath.Join(o, "source", "old"), 0o755) },
			nil,
		},
		"something, and the clone goes beside it": {
			[]string{"--subdirectory="}, func(o string) error { return os.Symlink(outside, filepath.Join(o, "old")) },
			[]string{".git", "file"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			output := t.TempDir()
			if err := tc.make(output); err != nil {
				t.Fatal(err)
			}
			_, code, log := run(t, output, append(tc.args, "--url="+server.Repo("app"))...)
			if tc.want == nil {
				if code != 2 || !strings.Contains(log, "is not empty") {
					t.Errorf("exit code %d:\n%s", code, log)
				}
				return
			}
			dir := filepath.Join(output, "source")
			if slices.Contains(tc.args, "--subdirectory=") {
				dir = output
			}
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range entries {
				got = append(got, e.Name())
			}
			if diff := cmp.Diff(tc.want, got); code != 0 || diff != "" {
				t.Errorf("exit code %d (-want +got):\n%s\n%s", code, diff, log)
			}
			if _, err := os.Stat(filepath.Join(outside, "precious")); err != nil {
				t.Errorf("what a link leads to was deleted: %v", err)
			}
		})
	}
}

func TestWrongParams(t *testing.T) {
	cases := map[string]struct{ arg, want string }{
		"a program as URL":         {"--url=ext::sh", "--url:"},
		"a file as URL":            {"--url=file:///etc", "--url:"},
		"no URL":                   {"--url=", "--url:"},
		"an option as revision":    {"--revision=--upload-pack=id", "--revision:"},
		"a refspec out of refs":    {"--refspec=main:../../x", "--refspec:"},
		"an option as refspec":     {"--refspec=--exec=id", "--refspec:"},
		"a negative depth":         {"--depth=-1", "--depth:"},
		"a long short commit":      {"--short-commit-length=41", "--short-commit-length:"},
		"a subdirectory above":     {"--subdirectory=../x", "--subdirectory:"},
		"a sparse folder above":    {"--sparse-checkout-directories=a,../b", "--sparse-checkout-directories:"},
		"a depth that is no depth": {"--merge-source-depth=all", "--merge-source-depth:"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, code, log := run(t, t.TempDir(), "--url=https://host.example/o/r", tc.arg)
			if code != 2 || !strings.Contains(log, tc.want) || len(got) > 0 {
				t.Errorf("exit code %d, results %v, want %q:\n%s", code, got, tc.want, log)
			}
		})
	}
	for _, arg := range []string{"--target-branch=", "--target-branch=-x", "--merge-source-repo-url=file:///x"} {
		if _, code, log := run(t, t.TempDir(), "--url=https://host.example/o/r", "--merge-target-branch", arg); code != 2 {
			t.Errorf("%s: exit code %d:\n%s", arg, code, log)
		}
	}
}

func TestHostileParams(t *testing.T) {
	server := fixture.NewGit(t)
	server.Push("app", "main", map[string]string{"file": "1"})
	fixture.Hostile(t, gitclone.Command, "--url="+server.Repo("app"), "--output-dir="+t.TempDir(), "--network-errors=0", "--merge-target-branch")
}
