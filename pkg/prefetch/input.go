package prefetch

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// Package is one thing whose dependencies are wanted.
type Package struct {
	Type string // name of a package manager
	Path string // folder below the source
}

// supported is what Run can fetch for.
const supported = "gomod"

// known are the other package managers people may ask for.
var known = []string{"bundler", "cargo", "generic", "huggingface", "maven", "npm", "pip", "pnpm", "rpm", "yarn"}

// InputError says that the input asks for something there is no way to do.
type InputError struct{ Problem, Fix string }

func (e *InputError) Error() string { return e.Problem }

// Hint is the fix.
func (e *InputError) Hint() string { return e.Fix }

// ParseInput reads what is to be fetched: the name of a package manager, a
// JSON object such as {"type": "gomod", "path": "."}, a list of those, or an
// object with that list under "packages". Empty input is nothing to fetch.
func ParseInput(input string) ([]Package, error) {
	input = strings.TrimSpace(input)
	switch {
	case input == "":
		return nil, nil
	case !strings.HasPrefix(input, "{") && !strings.HasPrefix(input, "["):
		return check([]map[string]any{{"type": input}})
	}
	var entries []map[string]any
	if strings.HasPrefix(input, "[") {
		if err := json.Unmarshal([]byte(input), &entries); err != nil {
			return nil, badJSON(err)
		}
		return check(entries)
	}
	var entry map[string]any
	if err := json.Unmarshal([]byte(input), &entry); err != nil {
		return nil, badJSON(err)
	}
	list, ok := entry["packages"]
	if !ok {
		return check([]map[string]any{entry})
	}
	delete(entry, "packages")
	if len(entry) > 0 {
		return nil, unsupportedKeys(entry)
	}
	raw, err := json.Marshal(list)
	if err != nil {
		return nil, badJSON(err)
	}
	if err := json.Unmarshal(raw, &entries); err != nil {
		return nil, badJSON(err)
	}
	return check(entries)
}

func check(entries []map[string]any) ([]Package, error) {
	var packages []Package
	for _, entry := range entries {
		pkg := Package{Path: "."}
		for key, field := range map[string]*string{"type": &pkg.Type, "path": &pkg.Path} {
			value, ok := entry[key]
			if !ok {
				continue
			}
			text, ok := value.(string)
			if !ok {
				return nil, &InputError{Problem: fmt.Sprintf("%q is %v, which is not a string", key, value)}
			}
			*field = text
			delete(entry, key)
		}
		switch {
		case pkg.Type == "":
			return nil, &InputError{Problem: "a package has no type", Fix: `write {"type": "gomod", "path": "."}`}
		case slices.Contains(known, pkg.Type):
			return nil, &InputError{
				Problem: fmt.Sprintf("dependencies of type %q cannot be prefetched yet", pkg.Type),
				Fix:     "leave this package out of the input and build it with network (param hermetic false); type gomod is supported",
			}
		case pkg.Type != supported:
			return nil, &InputError{Problem: fmt.Sprintf("type %q is no package manager", pkg.Type), Fix: "type gomod is supported"}
		case len(entry) > 0:
			return nil, unsupportedKeys(entry)
		case !filepath.IsLocal(pkg.Path):
			return nil, &InputError{Problem: fmt.Sprintf("path %q leaves the source", pkg.Path), Fix: "give a folder relative to the root of the repository"}
		}
		packages = append(packages, pkg)
	}
	return packages, nil
}

func unsupportedKeys(entry map[string]any) error {
	keys := slices.Sorted(maps.Keys(entry))
	return &InputError{Problem: fmt.Sprintf("keys %q are not supported", keys), Fix: `a package of type gomod has "type" and "path"`}
}

func badJSON(err error) error {
	return &InputError{
		Problem: fmt.Sprintf("not valid JSON: %v", err),
		Fix:     `write a package manager's name, or JSON such as {"type": "gomod", "path": "."}`,
	}
}
