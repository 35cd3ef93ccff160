package git_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headrace-ci/headrace/pkg/git"
	"github.com/headrace-ci/headrace/test/fixture"
)

func TestCloneRevisions(t *testing.T) {
	server := fixture.NewGit(t)
	first := server.Push("app", "main", map[string]string{"file": "1"})
	second := server.Push("app", "main", map[string]string{"file": "2"})
	side := server.Push("app", "side", map[string]string{"file": "side"})
	cases := map[string]struct {
		revision, commit, content string
		depth                     int
	}{
		"the default branch":             {"", second, "2", 1},
		"HEAD":                           {"HEAD", second, "2", 1},
		"a branch":                       {"side", side, "side", 1},
		"a full ref":                     {"refs/heads/side", side, "side", 1},
		"a commit at a branch's end":     {second, second, "2", 1},
		"a commit in a branch's history": {first, first, "1", 1},
		"the same with all of history":   {first, first, "1", 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()

			cloned, err := git.Clone(t.Context(), git.CloneOptions{URL: server.Repo("app"), Revision: tc.revision, Depth: tc.depth, Dir: dir})

			if err != nil {
				t.Fatal(err)
			}
			content, err := os.ReadFile(filepath.Join(dir, "file"))
			commit := cloned.Commit
			if commit.Hash.String() != tc.commit || string(content) != tc.content {
				t.Errorf("commit %s with %q (%v), want %s with %q", commit.Hash, content, err, tc.commit, tc.content)
			}
		})
	}
}

func TestCloneErrorsNameWhatToCheck(t *testing.T) {
	server := fixture.NewGit(t)
	server.Push("app", "main", map[string]string{"file": "1"})
	cases := map[string]struct{ url, revision, message, hint string }{
		"a repository that is not there": {server.Repo("nope"), "", `nope.git": the repository does not exist`, "param url"},
		"a branch that is not there":     {server.Repo("app"), "nope", `no branch, tag or commit "nope"`, "param revision"},
		"a commit that is not there":     {server.Repo("app"), strings.Repeat("a", 40), "no branch, tag or commit", "param revision"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := git.Clone(t.Context(), git.CloneOptions{URL: tc.url, Revision: tc.revision, Depth: 1, Dir: t.TempDir(), Attempts: 1})

			var hinter interface{ Hint() string }
			if !errors.As(err, &hinter) || !strings.Contains(err.Error(), tc.message) || !strings.Contains(hinter.Hint(), tc.hint) {
				t.Errorf("Clone() = %v, want %q and a hint with %q", err, tc.message, tc.hint)
			}
		})
	}
}

func TestCloneLeavesNoLoginBehind(t *testing.T) {
	server := fixture.NewGit(t)
	server.Push("app", "main", map[string]string{"file": "1"})
	dir := t.TempDir()
	url := strings.Replace(server.Repo("app"), "://", "://me:hunter2@", 1)
	if _, err := git.Clone(t.Context(), git.CloneOptions{URL: url, Dir: dir}); err == nil {
		config, err := os.ReadFile(filepath.Join(dir, ".git", "config"))
		if err != nil || strings.Contains(string(config), "hunter2") {
			t.Errorf(".git/config (%v) holds the password:\n%s", err, config)
		}
	} else if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error quotes the password: %v", err)
	}
}

func TestCheckSymlinks(t *testing.T) {
	cases := map[string]struct {
		link, target, ignore string
		want                 bool
	}{
		"inside":                    {"a/link", "../file", "", true},
		"inside, to nothing":        {"link", "later", "", true},
		"above":                     {"link", "../secret", "", false},
		"above and back":            {"a/link", "../../x/file", "", false},
		"absolute":                  {"link", "/etc/passwd", "", false},
		"through another link":      {"link", "a/out/x", "", false},
		"outside but to be ignored": {"vendor/link", "/etc/passwd", "vendor/*", true},
		"ignored in any folder":     {"vendor/link", "/etc/passwd", "*/link", true},
		"a pattern of elsewhere":    {"vendor/link", "/etc/passwd", "other/*", false},
		"a pattern of less":         {"vendor/link", "/etc/passwd", "vendor", false},
		"an absolute pattern":       {"vendor/link", "/etc/passwd", "/vendor/*", false},
		"a dot is a dot":            {"vendor/link", "/etc/passwd", "vendor.link", false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, d := range []string{"a", "vendor"} {
				if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			if tc.target == "a/out/x" {
				if err := os.Symlink("../..", filepath.Join(dir, "a", "out")); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Symlink(tc.target, filepath.Join(dir, tc.link)); err != nil {
				t.Fatal(err)
			}
			err := git.CheckSymlinks(dir, strings.Fields(tc.ignore))
			if tc.want != (err == nil) {
				t.Fatalf("CheckSymlinks() = %v, want ok %v", err, tc.want)
			}
			if err != nil && !strings.Contains(err.Error(), "cloned repository contains symlink") {
				t.Errorf("message is %q", err)
			}
		})
	}
}

func TestCheckURL(t *testing.T) {
	for url, ok := range map[string]bool{
		"https://github.com/org/repo": true, "http://git.svc:3000/o/r.git": true, "ssh://git@host/o/r": true, "git@host:o/r.git": true,
		"": false, "file:///etc": false, "/etc": false, "ext::sh -c id": false, "ext::sh": false, "-oProxyCommand=id": false,
		"--upload-pack=id": false, "https://": false, "https://host": false, "https://-host/x": false, "ftp://h/x": false,
		"https://h/a b": false, "https://h/a\nb": false, "fd::17": false,
	} {
		if err := git.CheckURL(url); (err == nil) != ok {
			t.Errorf("CheckURL(%q) = %v, want ok %v", url, err, ok)
		}
	}
}

func FuzzCheckURL(f *testing.F) {
	for _, s := range []string{"https://h/x", "ext::sh -c id", "git@h:x", "file:///x", "-x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if git.CheckURL(s) != nil {
			return
		}
		if strings.HasPrefix(s, "-") || strings.Contains(s, "::") || strings.HasPrefix(strings.ToLower(s), "file:") {
			t.Errorf("CheckURL took %q", s)
		}
		_ = git.Redact(s)
	})
}

func FuzzCheckRevision(f *testing.F) {
	for _, s := range []string{"main", "v1.0", "--upload-pack=x", "a..b", "refs/heads/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if git.CheckRevision(s) == nil && (strings.HasPrefix(s, "-") || strings.ContainsAny(s, " \n")) {
			t.Errorf("CheckRevision took %q", s)
		}
	})
}

func TestCheckRefspec(t *testing.T) {
	for spec, ok := range map[string]bool{
		"main": true, "refs/pull/1/head": true, "+refs/heads/*:refs/remotes/origin/*": true, "refs/heads/main:refs/heads/x": true,
		"": false, "+": false, ":refs/heads/x": false, "main:config": false, "main:../x": false, "main:refs/../../x": false,
		"--upload-pack=x": false, "a:-x": false, "a b": false, "a:refs/b:refs/c": false, "refs/*/*:refs/x/*": false,
	} {
		if err := git.CheckRefspec(spec); (err == nil) != ok {
			t.Errorf("CheckRefspec(%q) = %v, want ok %v", spec, err, ok)
		}
	}
}

func FuzzCheckRefspec(f *testing.F) {
	for _, s := range []string{"main", "+refs/heads/*:refs/remotes/origin/*", "a:refs/../b", "-x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if git.CheckRefspec(s) != nil {
			return
		}
		_, local, both := strings.Cut(s, ":")
		if strings.HasPrefix(s, "-") || both && (!strings.HasPrefix(local, "refs/") || strings.Contains(local, "..")) {
			t.Errorf("CheckRefspec took %q", s)
		}
	})
}
