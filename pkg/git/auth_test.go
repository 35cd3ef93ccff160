package git_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headrace-ci/headrace/pkg/git"
	"github.com/headrace-ci/headrace/test/fixture"
)

func sha(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

// basicAuth is a workspace with a Secret's keys.
func basicAuth(t *testing.T, keys map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range keys {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// private lets in who has the login, and counts the others that sent one.
func private(g *fixture.Git, user, password string, strangers *int) *fixture.Git {
	return g.Through(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			u, p, sent := r.BasicAuth()
			if u == user && p == password {
				next.ServeHTTP(w, r)
				return
			}
			if sent {
				*strangers++
			}
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
		})
	})
}

func TestBasicAuth(t *testing.T) {
	inner := fixture.NewGit(t)
	inner.Push("app", "main", map[string]string{"file": "1"})
	strangers := 0
	server := private(inner, "git", "p@ss:word", &strangers)
	host := strings.TrimPrefix(server.URL, "http://")
	line := "http://git:p%40ss%3Aword@" + host
	cases := map[string]struct {
		keys map[string]string
		want string // of the error; "" for none
	}{
		"user name and password":           {map[string]string{"username": "git\n", "password": "p@ss:word\n"}, ""},
		"a password alone":                 {map[string]string{"password": "p@ss:word"}, ""},
		"a token":                          {map[string]string{"token": "p@ss:word"}, ""},
		"credentials of the host":          {map[string]string{".git-credentials": "http://a:b@other.example\n\n" + line + "\n", ".gitconfig": "[credential]"}, ""},
		"credentials of the repository":    {map[string]string{".git-credentials": line + "/git/test/app.git"}, ""},
		"credentials of the owner":         {map[string]string{".git-credentials": line + "/git/test/"}, ""},
		"credentials of a like repository": {map[string]string{".git-credentials": line + "/git/test/ap"}, "needs a login"},
		"credentials of another host":      {map[string]string{".git-credentials": "http://git:x@other.example"}, "needs a login"},
		"credentials that are none":        {map[string]string{".git-credentials": "hunter2"}, "line 1"},
		"a wrong password":                 {map[string]string{"username": "git", "password": "hunter2"}, "refused the login"},
		"another Secret":                   {map[string]string{"config.json": "{}"}, "holds no login"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			opts := git.CloneOptions{URL: server.Repo("app"), Depth: 1, Auth: git.Logins(basicAuth(t, tc.keys), "", server.Repo("app"))}
			if tc.want == "" {
				clone(t, opts)
				return
			}
			err := refused(t, opts)
			if !strings.Contains(err.Error(), tc.want) || hint(err) == "" || strings.Contains(err.Error()+hint(err), "hunter2") {
				t.Errorf("Clone() = %v, want %q", err, tc.want)
			}
		})
	}
}

func TestALoginInTheURL(t *testing.T) {
	inner := fixture.NewGit(t)
	inner.Push("app", "main", map[string]string{"file": "1"})
	strangers := 0
	server := private(inner, "me", "hunter2", &strangers)
	_, dir := clone(t, git.CloneOptions{URL: strings.Replace(server.Repo("app"), "://", "://me:hunter2@", 1), Depth: 1})
	config, err := os.ReadFile(filepath.Join(dir, ".git", "config"))
	if err != nil || strings.Contains(string(config), "hunter2") {
		t.Errorf(".git/config (%v) holds the password:\n%s", err, config)
	}
	err = refused(t, git.CloneOptions{URL: strings.Replace(server.Repo("app"), "://", "://me:hunter3@", 1), Depth: 1})
	if !strings.Contains(err.Error(), "refused the login") || strings.Contains(err.Error(), "hunter") {
		t.Errorf("Clone() = %v", err)
	}
}

func TestSSH(t *testing.T) {
	server := fixture.NewGit(t)
	want := server.Push("app", "main", map[string]string{"file": "1"})
	server.Push("parent", "main", map[string]string{"file": "1"})
	ssh := server.SSH()
	url := ssh.URL + "/test/app.git"

	for _, revision := range []string{"", "main", want} {
		cloned, _ := clone(t, git.CloneOptions{URL: url, Revision: revision, Depth: 1, Auth: git.Logins("", ssh.KeyDir, url)})
		if cloned.Commit.Hash.String() != want {
			t.Errorf("commit is %s, want %s", cloned.Commit.Hash, want)
		}
	}
	stranger, bare, other := t.TempDir(), t.TempDir(), t.TempDir()
	known, err := os.ReadFile(filepath.Join(ssh.KeyDir, "known_hosts"))
	if err != nil {
		t.Fatal(err)
	}
	fixture.NewSSHKey(t, stranger)
	fixture.NewSSHKey(t, bare)
	fixture.NewSSHKey(t, other)
	for dir, content := range map[string]string{stranger: string(known), other: "unknown.example " + strings.SplitN(string(known), " ", 2)[1]} {
		if err := os.WriteFile(filepath.Join(dir, "known_hosts"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cases := map[string]struct{ url, dir, want, hint string }{
		"a key that is not let in":   {url, stranger, "refused the login", "ssh-directory"},
		"a key without known_hosts":  {url, bare, "no known_hosts", "ssh-keyscan"},
		"a host that is not known":   {url, other, "key is unknown", ""},
		"a folder without a key":     {url, basicAuth(t, map[string]string{"known_hosts": string(known)}), "holds no key", "id_ed25519"},
		"no folder":                  {url, "", "needs a key", "ssh-directory"},
		"a repository that is not":   {ssh.URL + "/test/nope.git", ssh.KeyDir, "does not exist", "param url"},
		"a key file that is not one": {url, basicAuth(t, map[string]string{"known_hosts": string(known), "id_rsa": "hunter2"}), `"id_rsa"`, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			err := refused(t, git.CloneOptions{URL: tc.url, Depth: 1, Auth: git.Logins("", tc.dir, tc.url)})
			if !strings.Contains(err.Error(), tc.want) || !strings.Contains(hint(err), tc.hint) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("Clone() = %v (%s), want %q", err, hint(err), tc.want)
			}
		})
	}
}

func TestALoginIsForItsHostOnly(t *testing.T) {
	inner := fixture.NewGit(t)
	strangers, mine := 0, 0
	library := private(inner, "nobody", "nothing", &strangers)
	server := private(inner, "me", "pw", &mine)
	inner.Push("lib", "main", map[string]string{"file": "1"})
	inner.Push("app", "main", map[string]string{".gitmodules": "[submodule \"lib\"]\n\tpath = lib\n\turl = " + library.Repo("lib") + "\n"})
	inner.Link("app", "main", "lib", inner.Run("lib", "rev-parse", "main"))
	auth := git.Logins(basicAuth(t, map[string]string{"username": "me", "password": "pw"}), "", server.Repo("app"))

	err := refused(t, git.CloneOptions{URL: server.Repo("app"), Depth: 1, Submodules: true, Auth: auth})
	if !strings.Contains(err.Error(), `submodule "lib"`) || !strings.Contains(err.Error(), "needs a login") {
		t.Errorf("Clone() = %v", err)
	}
	if strangers != 0 {
		t.Error("another host was shown the login")
	}
}
