package git

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/crypto/ssh"
)

// Auth returns the login for a repository; nil for none. It is asked for every
// repository by itself, so that a login is not shown to another host.
type Auth func(repository string) (transport.AuthMethod, error)

// method is the login for a repository: the one in its URL where there is one.
func (a Auth) method(repository string) (transport.AuthMethod, error) {
	if u, err := url.Parse(repository); err == nil && u.User != nil && (u.Scheme == "http" || u.Scheme == "https") {
		password, _ := u.User.Password()
		return &githttp.BasicAuth{Username: u.User.Username(), Password: password}, nil
	}
	if a == nil {
		return nil, nil
	}
	return a(repository)
}

// WorkspaceError says that a folder with a login is not one.
type WorkspaceError struct{ Problem, Fix string }

func (e *WorkspaceError) Error() string { return e.Problem }

// Hint says what belongs into the folder.
func (e *WorkspaceError) Hint() string { return e.Fix }

// Logins reads logins from folders as Konflux mounts them; "" is for none.
//
// basicDir is for http and https. It holds username and password, or password
// or token alone, which are for the host of main and no other; or
// .git-credentials with a line a host or a path of it.
//
// sshDir is for ssh. It holds ssh-privatekey or id_*, and known_hosts.
func Logins(basicDir, sshDir, main string) Auth {
	return func(repository string) (transport.AuthMethod, error) {
		e, err := transport.NewEndpoint(repository)
		if err != nil {
			return nil, errors.New("the URL is not one of a repository")
		}
		switch {
		case e.Protocol == "ssh" && sshDir != "":
			return sshKey(sshDir, e)
		case e.Protocol == "ssh":
			return nil, &WorkspaceError{Problem: "cloning by ssh needs a key", Fix: "bind a Secret with an ssh key and known_hosts to workspace ssh-directory"}
		case basicDir != "":
			return basicAuth(basicDir, repository, main)
		}
		return nil, nil
	}
}

func basicAuth(dir, repository, main string) (transport.AuthMethod, error) {
	want, err := url.Parse(repository)
	if err != nil {
		return nil, errors.New("the URL is not one of a repository")
	}
	lines, err := os.ReadFile(filepath.Join(dir, ".git-credentials"))
	if err == nil {
		return fromCredentials(lines, want)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	user, err := readTrimmed(filepath.Join(dir, "username"))
	if err != nil {
		user = "git" // hosts that take tokens do not look at it
	}
	for _, name := range []string{"password", "token", "git-provider-token"} {
		password, err := readTrimmed(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		if u, err := url.Parse(main); err != nil || u.Scheme != want.Scheme || u.Host != want.Host {
			return nil, nil
		}
		return &githttp.BasicAuth{Username: user, Password: password}, nil
	}
	return nil, &WorkspaceError{
		Problem: "workspace basic-auth holds no login", Fix: "bind a Secret with keys username and password, or with key .git-credentials",
	}
}

func fromCredentials(lines []byte, want *url.URL) (transport.AuthMethod, error) {
	scanner := bufio.NewScanner(bytes.NewReader(lines))
	for number := 1; scanner.Scan(); number++ {
		line := strings.TrimSpace(scanner.Text())
		if line == "" {
			continue
		}
		u, err := url.Parse(line)
		if err != nil || u.User == nil {
			return nil, &WorkspaceError{
				Problem: fmt.Sprintf("workspace basic-auth: .git-credentials, line %d: not of the form https://user:password@host", number),
				Fix:     "write a line for each host, with special characters percent-encoded",
			}
		}
		if u.Scheme == want.Scheme && u.Host == want.Host && below(strings.TrimSuffix(want.Path, ".git"), strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), ".git")) {
			password, _ := u.User.Password()
			return &githttp.BasicAuth{Username: u.User.Username(), Password: password}, nil
		}
	}
	return nil, scanner.Err()
}

// below reports whether a slash-separated path is another or in it.
func below(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir+"/")
}

// keyLogin logs in by key to a host that known_hosts tells from others.
type keyLogin struct {
	*gitssh.PublicKeys
	algorithms []string // of the keys that known_hosts has for the host
}

// ClientConfig implements gitssh.AuthMethod. The host is asked for a key of a
// kind that known_hosts has: it may have several, and show another.
func (k *keyLogin) ClientConfig() (*ssh.ClientConfig, error) {
	config, err := k.PublicKeys.ClientConfig()
	if err != nil {
		return nil, err
	}
	config.HostKeyAlgorithms = k.algorithms
	return config, nil
}

func sshKey(dir string, e *transport.Endpoint) (transport.AuthMethod, error) {
	hosts := filepath.Join(dir, "known_hosts")
	if _, err := os.Stat(hosts); err != nil {
		return nil, &WorkspaceError{
			Problem: "workspace ssh-directory holds a key and no known_hosts",
			Fix:     "put the git host's keys beside it, as ssh-keyscan prints them: without them any host could pass for it",
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "config")); err == nil {
		slog.Warn("the ssh configuration is not read", "file", "config")
	}
	known, err := gitssh.NewKnownHostsDb(hosts)
	if err != nil {
		return nil, fmt.Errorf("reading known_hosts: %w", err)
	}
	keys, err := filepath.Glob(filepath.Join(dir, "id_*"))
	if err != nil {
		return nil, err
	}
	user := e.User
	if user == "" {
		user = "git"
	}
	for _, file := range append([]string{filepath.Join(dir, "ssh-privatekey")}, keys...) {
		if _, err := os.Stat(file); err != nil || strings.HasSuffix(file, ".pub") {
			continue
		}
		auth, err := gitssh.NewPublicKeysFromFile(user, file, "")
		if err != nil {
			return nil, fmt.Errorf("reading ssh key %q: %w", filepath.Base(file), err)
		}
		port := e.Port
		if port <= 0 {
			port = gitssh.DefaultPort
		}
		host := net.JoinHostPort(e.Host, strconv.Itoa(port))
		auth.HostKeyCallback = known.HostKeyCallback()
		return &keyLogin{PublicKeys: auth, algorithms: known.HostKeyAlgorithms(host)}, nil
	}
	return nil, &WorkspaceError{Problem: "workspace ssh-directory holds no key", Fix: "name it ssh-privatekey or id_ed25519"}
}

func readTrimmed(file string) (string, error) {
	raw, err := os.ReadFile(file)
	return strings.TrimSpace(string(raw)), err
}
