package prefetch

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/headrace-ci/headrace/pkg/prefetch/ecosystem"
)

// ConflictError says that two inputs want one variable to have two values.
type ConflictError struct{ Variable, One, Other string }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("the build would need variable %s to be both %q and %q", e.Variable, e.One, e.Other)
}

// Hint says what to do.
func (e *ConflictError) Hint() string {
	return "two inputs cannot be built with one environment: build them as two components"
}

// mergeEnv joins variables, sorted by name.
func mergeEnv(have, more []ecosystem.Variable) ([]ecosystem.Variable, error) {
	for _, v := range more {
		at, ok := slices.BinarySearchFunc(have, v, func(a, b ecosystem.Variable) int { return strings.Compare(a.Name, b.Name) })
		switch {
		case !ok:
			have = slices.Insert(have, at, v)
		case have[at].Value != v.Value:
			return nil, &ConflictError{Variable: v.Name, One: have[at].Value, Other: v.Value}
		}
	}
	return have, nil
}

// WriteEnv writes variables below dir in the shapes that builders read: two
// files for a shell, and one in JSON.
func WriteEnv(dir string, variables []ecosystem.Variable) error {
	var lines strings.Builder
	for _, v := range variables {
		fmt.Fprintf(&lines, "export %s=%s\n", v.Name, quote(v.Value))
	}
	if variables == nil {
		variables = []ecosystem.Variable{}
	}
	list, err := json.Marshal(variables)
	if err != nil {
		return err
	}
	for name, content := range map[string]string{
		"cachi2.env": lines.String(), "prefetch.env": lines.String(), "prefetch-env.json": string(list) + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// quote makes a shell take the value as it is.
func quote(value string) string {
	plain := strings.Trim(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-") == ""
	if plain && value != "" {
		return value
	}
	return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
}
