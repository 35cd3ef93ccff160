package run

import (
	"errors"
	"os/exec"
)

// Find returns the path of a program, by name or path, or false when it is not
// there.
func Find(name string) (file string, ok bool, err error) {
	file, err = exec.LookPath(name)
	if errors.Is(err, exec.ErrNotFound) {
		return "", false, nil
	}
	return file, err == nil, err
}
