package prefetch

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/headrace-ci/headrace/pkg/prefetch/bundler"
	"github.com/headrace-ci/headrace/pkg/prefetch/cargo"
	"github.com/headrace-ci/headrace/pkg/prefetch/ecosystem"
	"github.com/headrace-ci/headrace/pkg/prefetch/generic"
	"github.com/headrace-ci/headrace/pkg/prefetch/gomod"
	"github.com/headrace-ci/headrace/pkg/prefetch/npm"
	"github.com/headrace-ci/headrace/pkg/prefetch/pip"
	"github.com/headrace-ci/headrace/pkg/prefetch/pnpm"
	"github.com/headrace-ci/headrace/pkg/prefetch/rpm"
	"github.com/headrace-ci/headrace/pkg/prefetch/yarn"
)

// InputError says that the input asks for something there is no way to do.
type InputError = ecosystem.InputError

// parsers read an entry of the input, by its type.
var parsers = map[string]func([]byte) (ecosystem.Input, error){
	"bundler": bundler.Parse,
	"cargo":   cargo.Parse,
	"generic": generic.Parse,
	"gomod":   gomod.Parse,
	"npm":     npm.Parse,
	"pip":     pip.Parse,
	"pnpm":    pnpm.Parse,
	"rpm":     rpm.Parse,
	"yarn":    yarn.Parse,
}

// Types are what an entry of the input may have as its type.
func Types() []string { return slices.Sorted(maps.Keys(parsers)) }

// unsupported are the other types people may ask for.
var unsupported = []string{"huggingface", "maven", "x-maven"}

// Package is one entry of the input.
type Package struct {
	Type  string // name of a package manager
	Input ecosystem.Input
}

// Request is what is to be fetched.
type Request struct {
	Packages []Package
	Env      []ecosystem.Variable // the build gets besides
}

// ParseInput reads what is to be fetched: the name of a package manager, a
// JSON object such as {"type": "gomod", "path": "."}, a list of those, or an
// object with that list under "packages". Empty input is nothing to fetch.
func ParseInput(input string) (Request, error) {
	input = strings.TrimSpace(input)
	switch {
	case input == "":
		return Request{}, nil
	case strings.HasPrefix(input, "["):
		return parseList(json.RawMessage(input))
	case !strings.HasPrefix(input, "{"):
		entry, err := json.Marshal(map[string]string{"type": input})
		if err != nil {
			return Request{}, badJSON(err)
		}
		return parseEntries([]json.RawMessage{entry})
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(input), &object); err != nil {
		return Request{}, badJSON(err)
	}
	list, ok := object["packages"]
	if !ok {
		return parseEntries([]json.RawMessage{json.RawMessage(input)})
	}
	request, err := parseList(list)
	if err != nil {
		return Request{}, err
	}
	delete(object, "packages")
	if request.Env, err = flags(object["flags"]); err != nil {
		return Request{}, err
	}
	delete(object, "flags")
	if len(object) > 0 {
		return Request{}, &InputError{
			Problem: fmt.Sprintf("keys %q are not supported", slices.Sorted(maps.Keys(object))),
			Fix:     `beside "packages" there can be "flags"; the mode is param mode`,
		}
	}
	return request, nil
}

func parseList(raw json.RawMessage) (Request, error) {
	var entries []json.RawMessage
	if err := json.Unmarshal(raw, &entries); err != nil {
		return Request{}, badJSON(err)
	}
	return parseEntries(entries)
}

func parseEntries(entries []json.RawMessage) (Request, error) {
	var request Request
	for _, raw := range entries {
		pkg, err := parseEntry(raw)
		if err != nil {
			return Request{}, err
		}
		request.Packages = append(request.Packages, pkg)
	}
	return request, nil
}

func parseEntry(raw json.RawMessage) (Package, error) {
	var head struct {
		Type *string `json:"type"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return Package{}, badJSON(err)
	}
	if head.Type == nil || *head.Type == "" {
		return Package{}, &InputError{Problem: "a package has no type", Fix: `write {"type": "gomod", "path": "."}`}
	}
	parse, ok := parsers[*head.Type]
	types := strings.Join(Types(), ", ")
	switch {
	case slices.Contains(unsupported, *head.Type):
		return Package{}, &InputError{
			Problem: fmt.Sprintf("dependencies of type %q cannot be prefetched", *head.Type),
			Fix:     "leave this package out of the input and build it with network (param hermetic false); there are types " + types,
		}
	case !ok:
		return Package{}, &InputError{Problem: fmt.Sprintf("type %q is no package manager", *head.Type), Fix: "there are types " + types}
	}
	input, err := parse(raw)
	var wrong *InputError
	if errors.As(err, &wrong) {
		return Package{}, &InputError{Problem: fmt.Sprintf("type %s: %s", *head.Type, wrong.Problem), Fix: wrong.Fix}
	}
	return Package{Type: *head.Type, Input: input}, err
}

// flags reads the flags of upstream's form.
func flags(raw json.RawMessage) ([]ecosystem.Variable, error) {
	if raw == nil {
		return nil, nil
	}
	var names []string
	if err := json.Unmarshal(raw, &names); err != nil {
		return nil, badJSON(err)
	}
	var env []ecosystem.Variable
	for _, name := range names {
		switch name {
		case "cgo-disable":
			env = []ecosystem.Variable{{Name: "CGO_ENABLED", Value: "0"}}
		case "gomod-vendor", "gomod-vendor-check", "dev-package-managers":
			slog.Warn("flag of the input has no effect and can be left out", "flag", name)
		default:
			return nil, &InputError{Problem: fmt.Sprintf("flag %q is not supported", name), Fix: "cgo-disable is; what a lockfile says is never changed"}
		}
	}
	return env, nil
}

func badJSON(err error) error {
	return &InputError{
		Problem: fmt.Sprintf("not valid JSON: %v", err),
		Fix:     `write a package manager's name, or JSON such as {"type": "gomod", "path": "."}`,
	}
}
