package engine

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/openshift/imagebuilder"
	"github.com/openshift/imagebuilder/dockerfile/parser"

	task "github.com/headrace-ci/headrace/pkg/task/buildah"
)

// bases are the images that a build needs, each once, in the order of their
// use: what stages start from, and what they copy from or mount.
func bases(plan task.Plan) ([]task.Base, error) {
	node, err := imagebuilder.ParseFile(plan.Containerfile)
	if err != nil {
		return nil, fmt.Errorf("reading the Containerfile: %w", err)
	}
	builder := imagebuilder.NewBuilder(plan.Args)
	stages, err := imagebuilder.NewStages(node, builder)
	if err != nil {
		return nil, fmt.Errorf("reading the Containerfile: %w", err)
	}
	last := len(stages) - 1
	if plan.Target != "" {
		if stages, err = upTo(stages, plan.Target); err != nil {
			return nil, err
		}
		last = len(stages) - 1
	}
	l := list{stages: map[string]string{}}
	for i, stage := range stages {
		from, err := stage.Builder.From(stage.Node)
		if err != nil {
			return nil, fmt.Errorf("reading the Containerfile, stage %d: %w", i, err)
		}
		l.add(task.Base{Name: from, Stage: i, Final: i == last})
		for _, child := range stage.Node.Children {
			for _, name := range mentioned(child) {
				l.add(task.Base{Name: name, Stage: i, Copied: true})
			}
		}
		origin := cmp.Or(l.stages[from], from)
		l.stages[stage.Name], l.stages[strconv.Itoa(i)] = origin, origin
	}
	for _, name := range plan.ExtraBases {
		l.add(task.Base{Name: name, Stage: last, Copied: true})
	}
	return l.bases, nil
}

func upTo(stages imagebuilder.Stages, target string) (imagebuilder.Stages, error) {
	through, ok := stages.ThroughTarget(target)
	if !ok {
		return nil, fmt.Errorf("the Containerfile has no stage %q", target)
	}
	return through, nil
}

// list is the images so far, and the names that are stages and not images,
// with the image that each stage grew from.
type list struct {
	stages map[string]string
	bases  []task.Base
}

func (l *list) add(base task.Base) {
	if origin := l.stages[base.Name]; origin != "" {
		if !base.Final {
			return
		}
		base.Name = origin // a stage on a stage has that one's base
	}
	if base.Name == "" || base.Name == imagebuilder.NoBaseImageSpecifier {
		return
	}
	same := slices.IndexFunc(l.bases, func(b task.Base) bool { return b.Name == base.Name })
	if same < 0 {
		l.bases = append(l.bases, base)
		return
	}
	// An image that is both is the base of the result before anything else.
	l.bases[same].Final = l.bases[same].Final || base.Final
	l.bases[same].Copied = l.bases[same].Copied && base.Copied
}

// mentioned are the names behind COPY --from and RUN --mount=from. Arguments
// in them are not filled in, as the builder does not do so either.
func mentioned(node *parser.Node) []string {
	var names []string
	for _, flag := range node.Flags {
		if name, ok := strings.CutPrefix(flag, "--from="); ok {
			names = append(names, name)
		}
		mount, ok := strings.CutPrefix(flag, "--mount=")
		if !ok {
			continue
		}
		for option := range strings.SplitSeq(mount, ",") {
			if name, ok := strings.CutPrefix(option, "from="); ok {
				names = append(names, name)
			}
		}
	}
	return names
}
