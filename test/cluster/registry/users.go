package registry

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/crypto/bcrypt"
)

// User is who may write, and where.
type User struct {
	Name string `json:"name"`
	Hash []byte `json:"hash"` // bcrypt of the password
	// Prefixes are the repositories the user may write: each itself and all
	// below it. "*" is every repository.
	Prefixes []string `json:"prefixes"`
}

func (u *User) mayWrite(repository string) bool {
	for _, prefix := range u.Prefixes {
		if prefix == "*" || repository == prefix || strings.HasPrefix(repository, prefix+"/") {
			return true
		}
	}
	return false
}

// Users are the logins in a file. It is read again when it changes, so that a
// login can be added while the registry runs.
type Users struct {
	file string

	mu     sync.Mutex
	stamp  int64
	byName map[string]*User
	// checked remembers passwords that were right: bcrypt takes long by
	// design, and a push is hundreds of requests.
	checked map[string]string
}

// OpenUsers reads the logins in file, which may not be there yet.
func OpenUsers(file string) *Users { return &Users{file: file} }

var errWrongLogin = errors.New("wrong login")

// login returns who a request comes from; nil means nobody.
func (u *Users) login(r *http.Request) (*User, error) {
	name, password, ok := r.BasicAuth()
	if !ok || name == "" {
		return nil, nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.reload(); err != nil {
		return nil, err
	}
	user, ok := u.byName[name]
	if !ok {
		return nil, errWrongLogin
	}
	if u.checked[name] == password {
		return user, nil
	}
	if bcrypt.CompareHashAndPassword(user.Hash, []byte(password)) != nil {
		return nil, errWrongLogin
	}
	u.checked[name] = password
	return user, nil
}

func (u *Users) reload() error {
	info, err := os.Stat(u.file)
	if err != nil {
		return err
	}
	if stamp := info.ModTime().UnixNano(); stamp != u.stamp {
		users, err := readUsers(u.file)
		if err != nil {
			return err
		}
		u.stamp, u.byName, u.checked = stamp, map[string]*User{}, map[string]string{}
		for i := range users {
			u.byName[users[i].Name] = &users[i]
		}
	}
	return nil
}

func readUsers(file string) ([]User, error) {
	raw, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var users []User
	if err := json.Unmarshal(raw, &users); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return users, nil
}

// Login makes sure that dir/users.json has a user who may write to prefixes,
// and returns a docker config with that login for host. The config is kept in
// dir/logins, so asking again gives the same one.
func Login(dir, host, name string, prefixes []string) ([]byte, error) {
	kept := filepath.Join(dir, "logins", name+".json")
	usersFile := filepath.Join(dir, "users.json")
	users, err := readUsers(usersFile)
	if err != nil {
		return nil, err
	}
	for i := range users {
		if config, err := os.ReadFile(kept); users[i].Name == name && err == nil {
			users[i].Prefixes = prefixes
			return config, writeUsers(usersFile, users)
		}
	}
	password := rand.Text()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	if err != nil {
		return nil, err
	}
	auth := base64.StdEncoding.EncodeToString([]byte(name + ":" + password))
	config := fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, host, auth)
	if err := os.MkdirAll(filepath.Dir(kept), 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(kept, config, 0o600); err != nil {
		return nil, err
	}
	return config, writeUsers(usersFile, append(users, User{Name: name, Hash: hash, Prefixes: prefixes}))
}

func writeUsers(file string, users []User) error {
	raw, err := json.Marshal(users)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".partial", raw, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".partial", file)
}
