package buildah

import (
	"fmt"
	"strings"

	"github.com/headrace-ci/headrace/pkg/taskcli"
)

// Lists are the params that hold several values. They come as arguments after
// "--", each list after its name; a value always has a character that no name
// has, so that none can be taken for a name.
type Lists struct {
	BuildArgs, Labels, Annotations, EnvVars []string // NAME=value
	AdditionalBaseImages                    []string // references with tag or digest
}

func parseLists(args []string) (Lists, error) {
	var lists Lists
	byName := map[string]*[]string{
		"build-args": &lists.BuildArgs, "labels": &lists.Labels, "annotations": &lists.Annotations,
		"env-vars": &lists.EnvVars, "additional-base-images": &lists.AdditionalBaseImages,
	}
	name := ""
	for _, arg := range args {
		switch {
		case byName[arg] != nil:
			name = arg
		case name == "":
			return lists, fmt.Errorf("argument %q comes before the name of a list", arg)
		case name == "additional-base-images" && !strings.ContainsAny(arg, ":@"):
			return lists, &taskcli.UsageError{Flag: name, Problem: fmt.Sprintf("%q has neither tag nor digest", arg)}
		case name != "additional-base-images" && strings.Index(arg, "=") < 1:
			return lists, &taskcli.UsageError{Flag: name, Problem: fmt.Sprintf("%q is not of the form name=value", arg)}
		default:
			*byName[name] = append(*byName[name], arg)
		}
	}
	return lists, nil
}
