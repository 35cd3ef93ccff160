package git_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/pkg/git"
	"github.com/headrace-ci/headrace/pkg/run"
	"github.com/headrace-ci/headrace/test/fixture"
)

// in runs git in a clone and returns what it says.
func in(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := run.Output(t.Context(), "git", append([]string{"-c", "safe.directory=*", "-C", dir}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// files are the files of a clone, without git's own.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(file string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == ".git" {
			return filepath.SkipDir
		}
		if err == nil && !d.IsDir() {
			found = append(found, strings.TrimPrefix(file, dir+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	return found
}

func clone(t *testing.T, opts git.CloneOptions) (*git.Cloned, string) {
	t.Helper()
	opts.Dir = filepath.Join(t.TempDir(), "clone")
	cloned, err := git.Clone(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return cloned, opts.Dir
}

// refused is the error of a clone that must fail.
func refused(t *testing.T, opts git.CloneOptions) error {
	t.Helper()
	opts.Dir = filepath.Join(t.TempDir(), "clone")
	_, err := git.Clone(t.Context(), opts)
	if err == nil {
		t.Fatal("Clone() did it")
	}
	return err
}

func hint(err error) string {
	var hinter interface{ Hint() string }
	if errors.As(err, &hinter) {
		return hinter.Hint()
	}
	return ""
}

func TestCloneIsWhatGitWouldHaveMade(t *testing.T) {
	server := fixture.NewGit(t)
	server.Push("app", "main", map[string]string{"a/b/c.txt": "c", "run.sh": "#!/bin/sh", "link": "symlink:a/b/c.txt", "empty": "", "große Datei.txt": "ä"})
	_, dir := clone(t, git.CloneOptions{URL: server.Repo("app"), Depth: 1})
	theirs := filepath.Join(t.TempDir(), "theirs")
	in(t, "/", "clone", "--quiet", server.Repo("app"), theirs)

	if status := in(t, dir, "status", "--porcelain"); status != "" {
		t.Errorf("git sees changes:\n%s", status)
	}
	in(t, dir, "fsck", "--strict")
	if diff := cmp.Diff(files(t, theirs), files(t, dir)); diff != "" {
		t.Errorf("files (-git +ours):\n%s", diff)
	}
	if got := in(t, dir, "rev-list", "--count", "HEAD"); got != "1" {
		t.Errorf("%s commits of history", got)
	}
	if target, err := os.Readlink(filepath.Join(dir, "link")); target != "a/b/c.txt" {
		t.Errorf("link says %q, %v", target, err)
	}
}

func TestCloneDepth(t *testing.T) {
	server := fixture.NewGit(t)
	for i := range 5 {
		server.Push("app", "main", map[string]string{"file": fmt.Sprint(i)})
	}
	for depth, want := range map[int]string{1: "1", 3: "3", 0: "5"} {
		_, dir := clone(t, git.CloneOptions{URL: server.Repo("app"), Depth: depth})
		if got := in(t, dir, "rev-list", "--count", "HEAD"); got != want {
			t.Errorf("depth %d gives %s commits, want %s", depth, got, want)
		}
	}
}

func TestCloneRefs(t *testing.T) {
	server := fixture.NewGit(t)
	tagged := server.Push("app", "main", map[string]string{"file": "1"})
	server.Run("app", "-c", "user.name=t", "-c", "user.email=t@example.com", "tag", "-a", "-m", "one", "v1", tagged)
	server.Run("app", "tag", "light", tagged)
	server.Push("app", "main", map[string]string{"file": "2"})
	pr := server.Push("app", "topic", map[string]string{"file": "pr"})
	server.Run("app", "update-ref", "refs/pull/7/head", pr)
	server.Run("app", "update-ref", "-d", "refs/heads/topic")
	server.Push("app", "v1", map[string]string{"file": "a branch called v1"})
	cases := map[string]struct {
		revision string
		refspecs []string
		want     string
	}{
		"an annotated tag":                   {"refs/tags/v1", nil, tagged},
		"a light tag":                        {"light", nil, tagged},
		"a pull request's ref":               {"refs/pull/7/head", nil, pr},
		"a pull request's ref in short":      {"pull/7/head", nil, pr},
		"a commit that only a ref has":       {pr, nil, pr},
		"a commit that a refspec brings":     {pr, []string{"+refs/pull/7/head:refs/remotes/origin/pr"}, pr},
		"the name that a refspec gives":      {"origin/pr", []string{"+refs/pull/7/head:refs/remotes/origin/pr"}, pr},
		"what a refspec without name brings": {"FETCH_HEAD", []string{"refs/pull/7/head"}, pr},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			cloned, _ := clone(t, git.CloneOptions{URL: server.Repo("app"), Revision: tc.revision, Refspecs: tc.refspecs, Depth: 1})
			if cloned.Commit.Hash.String() != tc.want {
				t.Errorf("commit is %s, want %s", cloned.Commit.Hash, tc.want)
			}
		})
	}
	_, dir := clone(t, git.CloneOptions{URL: server.Repo("app"), Revision: "main", Depth: 1, Tags: true})
	if got := in(t, dir, "tag", "--list"); got != "light\nv1" {
		t.Errorf("tags are %q", got)
	}
	err := refused(t, git.CloneOptions{URL: server.Repo("app"), Refspecs: []string{"refs/pull/8/head"}, Depth: 1})
	if !strings.Contains(err.Error(), `"refs/pull/8/head"`) || !strings.Contains(hint(err), "refspec") {
		t.Errorf("a refspec of nothing: %v", err)
	}
}

func TestCloneSparse(t *testing.T) {
	server := fixture.NewGit(t)
	server.Push("app", "main", map[string]string{"root": "", "a/file": "", "a/b/file": "", "a/b/c/file": "", "a/bc/file": "", "z/file": ""})
	_, dir := clone(t, git.CloneOptions{URL: server.Repo("app"), Depth: 1, Sparse: []string{"a/b"}})

	if diff := cmp.Diff([]string{"a/b/c/file", "a/b/file", "a/file", "root"}, files(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if status := in(t, dir, "status", "--porcelain"); status != "" {
		t.Errorf("git takes what is left out for deleted:\n%s", status)
	}
}

func TestHostileTreesAreRefused(t *testing.T) {
	server := fixture.NewGit(t)
	for name, want := range map[string]string{".git": "git's own folder", ".GIT": "git's own folder", "git~1": "git's own folder", "..": "not a file name", ".": "not a file name"} {
		t.Run(name, func(t *testing.T) {
			repo := "evil-" + fmt.Sprintf("%x", name)
			server.Push(repo, "main", map[string]string{"hooks/post-checkout": "#!/bin/sh"})
			inner := server.Run(repo, "rev-parse", "main:hooks")
			server.Tree(repo, "main", "40000 "+name, inner)

			err := refused(t, git.CloneOptions{URL: server.Repo(repo), Depth: 1})
			if !strings.Contains(err.Error(), want) {
				t.Errorf("Clone() = %v, want %q", err, want)
			}
		})
	}
}

func TestRetriesOnlyWhatTimeMayMend(t *testing.T) {
	inner := fixture.NewGit(t)
	inner.Push("app", "main", map[string]string{"file": "1"})
	cases := map[string]struct {
		fail  func(w http.ResponseWriter)
		calls int64 // that fail
		want  string
	}{
		"a busy host":           {func(w http.ResponseWriter) { w.WriteHeader(503) }, 3, ""},
		"a host with a limit":   {func(w http.ResponseWriter) { w.WriteHeader(429) }, 3, ""},
		"a broken connection":   {func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, 3, ""},
		"a host that stays bad": {func(w http.ResponseWriter) { w.WriteHeader(500) }, 4, "listing refs"},
		"no such repository":    {func(w http.ResponseWriter) { w.WriteHeader(404) }, 1, "does not exist"},
		"a login that is asked": {func(w http.ResponseWriter) { w.WriteHeader(401) }, 1, "needs a login"},
		"a login that is bad":   {func(w http.ResponseWriter) { w.WriteHeader(403) }, 1, "refused the login"},
		"a strange answer":      {func(w http.ResponseWriter) { w.WriteHeader(410) }, 1, "listing refs"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int64
			server := inner.Through(func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if calls.Add(1) <= tc.calls {
						tc.fail(w)
						return
					}
					next.ServeHTTP(w, r)
				})
			})
			opts := git.CloneOptions{URL: server.Repo("app"), Depth: 1, Attempts: 4, Backoff: time.Microsecond}
			if tc.want == "" {
				clone(t, opts)
				return
			}
			if err := refused(t, opts); !strings.Contains(err.Error(), tc.want) || calls.Load() != tc.calls {
				t.Errorf("after %d calls: %v, want %q after %d", calls.Load(), err, tc.want, tc.calls)
			}
		})
	}
}

func TestCertificates(t *testing.T) {
	inner := fixture.NewGit(t)
	inner.Push("app", "main", map[string]string{"file": "1"})
	server := inner.TLS()
	err := refused(t, git.CloneOptions{URL: server.Repo("app"), Depth: 1, Attempts: 5, Backoff: time.Hour})
	if !strings.Contains(err.Error(), "certificate") || !strings.Contains(hint(err), "caTrustConfigMapName") {
		t.Errorf("Clone() = %v (%s)", err, hint(err))
	}
	clone(t, git.CloneOptions{URL: server.Repo("app"), Depth: 1, CAFile: server.CAFile})
	clone(t, git.CloneOptions{URL: server.Repo("app"), Depth: 1, SkipTLSVerify: true})
}

func TestLFS(t *testing.T) {
	const content = "large\n"
	inner := fixture.NewGit(t)
	pointer := func(oid string) string {
		return fmt.Sprintf("version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n", oid, len(content))
	}
	sum, oid := sha(content), sha("gone")
	inner.Push("app", "main", map[string]string{
		".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n", "d/big.bin": pointer(sum), "d/text.txt": pointer(sum),
	})
	inner.Push("gone", "main", map[string]string{".gitattributes": "*.bin filter=lfs\n", "big.bin": pointer(oid)})
	inner.Push("bad", "main", map[string]string{".gitattributes": "*.bin filter=lfs\n", "big.bin": pointer(strings.Repeat("0", 64))})
	var auth string
	server := inner.Through(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasSuffix(r.URL.Path, "/info/lfs/objects/batch"):
				auth, _, _ = r.BasicAuth()
				var request struct{ Objects []map[string]any }
				if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
					http.Error(w, err.Error(), 400)
				}
				for _, o := range request.Objects {
					if o["oid"] == oid {
						o["error"] = map[string]any{"code": 404, "message": "Object does not exist"}
					} else {
						o["actions"] = map[string]any{"download": map[string]any{"href": "http://" + r.Host + "/blob", "header": map[string]string{"X-Token": "t"}}}
					}
				}
				_ = json.NewEncoder(w).Encode(map[string]any{"objects": request.Objects})
			case r.URL.Path == "/blob" && r.Header.Get("X-Token") == "t":
				fmt.Fprint(w, content)
			default:
				next.ServeHTTP(w, r)
			}
		})
	})
	dir := basicAuth(t, map[string]string{"username": "me", "password": "pw"})
	_, got := clone(t, git.CloneOptions{URL: server.Repo("app"), Depth: 1, Auth: git.Logins(dir, "", server.Repo("app"))})
	for file, want := range map[string]string{"d/big.bin": content, "d/text.txt": pointer(sum)} {
		if raw, err := os.ReadFile(filepath.Join(got, file)); string(raw) != want {
			t.Errorf("%s holds %q (%v), want %q", file, raw, err, want)
		}
	}
	if auth != "me" {
		t.Errorf("the batch API was asked as %q", auth)
	}
	for repo, want := range map[string]string{"gone": "404: Object does not exist", "bad": "not what the pointer says"} {
		if err := refused(t, git.CloneOptions{URL: server.Repo(repo), Depth: 1, Attempts: 1}); !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", repo, err, want)
		}
	}
	if err := refused(t, git.CloneOptions{URL: inner.Repo("app"), Depth: 1, Attempts: 1}); !strings.Contains(err.Error(), "Git LFS") || !strings.Contains(err.Error(), "404") {
		t.Errorf("a host without LFS: %v", err)
	}
	ssh := inner.SSH()
	err := refused(t, git.CloneOptions{URL: ssh.URL + "/test/app.git", Depth: 1, Auth: git.Logins("", ssh.KeyDir, "")})
	if !strings.Contains(err.Error(), "cloned by ssh") || !strings.Contains(hint(err), "https://") {
		t.Errorf("by ssh: %v", err)
	}
}

func TestAnEmptyRepositoryIsNamed(t *testing.T) {
	server := fixture.NewGit(t)
	server.Push("app", "main", map[string]string{"file": "1"})
	server.Run("app", "update-ref", "-d", "refs/heads/main")
	if err := refused(t, git.CloneOptions{URL: server.Repo("app")}); !strings.Contains(err.Error(), "has no commit yet") {
		t.Errorf("Clone() = %v", err)
	}
}
