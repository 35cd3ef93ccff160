package oci

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
)

// dockerHub is how a docker config names docker.io.
const dockerHub = "https://index.docker.io/v1/"

// Keychain finds a login in the docker config. Its keys may name a registry,
// or a path below one: of the entries that match, the longest is used, so that
// each repository can have a login of its own.
func Keychain() authn.Keychain { return keychain{} }

type keychain struct{}

type dockerConfig struct {
	Auths map[string]authn.AuthConfig `json:"auths"`
}

// Resolve implements authn.Keychain.
func (keychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	config, err := readDockerConfig()
	if err != nil {
		return nil, err
	}
	entry, ok := longest(config.Auths, target.String())
	if !ok {
		return authn.Anonymous, nil
	}
	if entry.Auth != "" && entry.Username == "" {
		user, password, err := splitAuth(entry.Auth)
		if err != nil {
			return nil, fmt.Errorf("docker config: login for %q: %w", target.String(), err)
		}
		entry.Username, entry.Password, entry.Auth = user, password, ""
	}
	return authn.FromConfig(entry), nil
}

func longest(auths map[string]authn.AuthConfig, target string) (authn.AuthConfig, bool) {
	for key := target; ; {
		for _, name := range spellings(key) {
			if entry, ok := auths[name]; ok {
				return entry, true
			}
		}
		cut := strings.LastIndexByte(key, '/')
		if cut < 0 {
			return authn.AuthConfig{}, false
		}
		key = key[:cut]
	}
}

// spellings are the ways a docker config may name a registry or a path.
func spellings(key string) []string {
	names := []string{key, "https://" + key, "https://" + key + "/v1/", "https://" + key + "/v2/"}
	if key == "index.docker.io" || key == "docker.io" {
		names = append(names, dockerHub, "docker.io", "index.docker.io")
	}
	return names
}

func splitAuth(auth string) (user, password string, err error) {
	// The decoder's own error would quote the secret.
	decoded, err := base64.StdEncoding.DecodeString(auth)
	if err != nil {
		return "", "", errors.New("auth is not base64")
	}
	user, password, ok := strings.Cut(string(decoded), ":")
	if !ok {
		return "", "", errors.New("auth is not base64 of user:password")
	}
	return user, strings.TrimRight(password, "\x00\n"), nil
}

func readDockerConfig() (dockerConfig, error) {
	var config dockerConfig
	dir := os.Getenv("DOCKER_CONFIG")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return config, nil // no home, no login
		}
		dir = filepath.Join(home, ".docker")
	}
	raw, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return config, nil
	}
	if err != nil {
		return config, fmt.Errorf("reading docker config: %w", err)
	}
	if err := json.Unmarshal(raw, &config); err != nil {
		return config, fmt.Errorf("docker config %s is not valid JSON", filepath.Join(dir, "config.json"))
	}
	return config, nil
}
