package git

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
)

// BasicAuth reads a login for repository from a folder as Konflux mounts it:
// files username and password, or .git-credentials with a line a host.
// Without either it is nil.
func BasicAuth(dir, repository string) (transport.AuthMethod, error) {
	user, uerr := readTrimmed(filepath.Join(dir, "username"))
	password, perr := readTrimmed(filepath.Join(dir, "password"))
	if uerr == nil && perr == nil {
		return &githttp.BasicAuth{Username: user, Password: password}, nil
	}
	lines, err := os.ReadFile(filepath.Join(dir, ".git-credentials"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	want, err := url.Parse(repository)
	if err != nil {
		return nil, nil // not an http URL: no basic auth
	}
	scanner := bufio.NewScanner(bytes.NewReader(lines))
	for number := 1; scanner.Scan(); number++ {
		if strings.TrimSpace(scanner.Text()) == "" {
			continue
		}
		u, err := url.Parse(strings.TrimSpace(scanner.Text()))
		if err != nil || u.User == nil {
			return nil, fmt.Errorf(".git-credentials, line %d: not of the form https://user:password@host", number)
		}
		if u.Scheme == want.Scheme && u.Host == want.Host && strings.HasPrefix(want.Path, u.Path) {
			password, _ := u.User.Password()
			return &githttp.BasicAuth{Username: u.User.Username(), Password: password}, nil
		}
	}
	return nil, scanner.Err()
}

// SSHKey reads a key from a folder as Konflux mounts it: ssh-privatekey or
// id_*, and known_hosts, without which no host can be told from another.
func SSHKey(dir string) (transport.AuthMethod, error) {
	hosts := filepath.Join(dir, "known_hosts")
	if _, err := os.Stat(hosts); err != nil {
		return nil, fmt.Errorf("ssh key without known_hosts: put the git host's keys beside it, as ssh-keyscan prints them")
	}
	keys, err := filepath.Glob(filepath.Join(dir, "id_*"))
	if err != nil {
		return nil, err
	}
	for _, file := range append([]string{filepath.Join(dir, "ssh-privatekey")}, keys...) {
		if strings.HasSuffix(file, ".pub") {
			continue
		}
		if _, err := os.Stat(file); err != nil {
			continue
		}
		auth, err := gitssh.NewPublicKeysFromFile("git", file, "")
		if err != nil {
			return nil, fmt.Errorf("reading ssh key %q: %w", filepath.Base(file), err)
		}
		if auth.HostKeyCallback, err = gitssh.NewKnownHostsCallback(hosts); err != nil {
			return nil, fmt.Errorf("reading known_hosts: %w", err)
		}
		return auth, nil
	}
	return nil, errors.New("ssh folder holds no key: name it ssh-privatekey or id_ed25519")
}

func readTrimmed(file string) (string, error) {
	raw, err := os.ReadFile(file)
	return strings.TrimSpace(string(raw)), err
}
