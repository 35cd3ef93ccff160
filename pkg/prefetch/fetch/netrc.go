package fetch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// login is an entry of a .netrc file. The one for any other machine has no
// machine.
type login struct{ machine, user, password string }

// readNetrc reads a .netrc file. No file is no login.
func readNetrc(file string) ([]login, error) {
	if file == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading logins: %w", err)
	}
	return parseNetrc(string(raw)), nil
}

// parseNetrc leaves out what it does not know, as every other reader does.
func parseNetrc(text string) []login {
	var logins []login
	words := strings.Fields(text)
	for i := 0; i < len(words); i++ {
		if words[i] == "default" {
			logins = append(logins, login{})
			continue
		}
		if i+1 == len(words) {
			break
		}
		value := words[i+1]
		switch words[i] {
		case "machine":
			logins = append(logins, login{machine: value})
		case "login":
			if len(logins) > 0 {
				logins[len(logins)-1].user = value
			}
		case "password":
			if len(logins) > 0 {
				logins[len(logins)-1].password = value
			}
		case "account":
		case "macdef":
			return logins // a macro has no end that words can show
		default:
			continue
		}
		i++
	}
	return logins
}

func findLogin(logins []login, host string) (login, bool) {
	for _, l := range logins {
		if l.machine == host || l.machine == "" {
			return l, true
		}
	}
	return login{}, false
}
