package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
)

const (
	beginReference = "<!-- reference: generated from the YAML; do not edit -->"
	endReference   = "<!-- /reference -->"
)

// README returns the entry's README with its reference block as the YAML has
// it now. A README without the block gets one at its end; an entry without a
// README gets one that says what its description says.
func (e Entry) README() ([]byte, error) {
	current, err := os.ReadFile(filepath.Join(e.Dir, "README.md"))
	if errors.Is(err, fs.ErrNotExist) {
		current = fmt.Appendf(nil, "# %s\n\n%s\n", e.Name, strings.TrimSpace(e.description()))
	} else if err != nil {
		return nil, err
	}
	block := beginReference + "\n\n" + e.reference() + "\n" + endReference
	begin, end := bytes.Index(current, []byte(beginReference)), bytes.Index(current, []byte(endReference))
	if begin < 0 || end < begin {
		return fmt.Appendf(nil, "%s\n\n%s\n", bytes.TrimRight(current, "\n"), block), nil
	}
	return []byte(string(current[:begin]) + block + string(current[end+len(endReference):])), nil
}

func (e Entry) description() string {
	if e.Task != nil {
		return e.Task.Spec.Description
	}
	return e.Pipeline.Spec.Description
}

func (e Entry) reference() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Version %s.\n", e.Version)
	if e.Task != nil {
		params(&b, e.Task.Spec.Params)
		for i, r := range e.Task.Spec.Results {
			if i == 0 {
				b.WriteString("\n## Results\n\n| Name | Meaning |\n| --- | --- |\n")
			}
			fmt.Fprintf(&b, "| `%s` | %s |\n", r.Name, cell(r.Description))
		}
		for i, w := range e.Task.Spec.Workspaces {
			if i == 0 {
				b.WriteString("\n## Workspaces\n\n| Name | Optional | Meaning |\n| --- | --- | --- |\n")
			}
			fmt.Fprintf(&b, "| `%s` | %v | %s |\n", w.Name, w.Optional, cell(w.Description))
		}
		b.WriteString("\nExit codes: 0 done, 1 failed, 2 called wrongly.\n")
		return b.String()
	}
	params(&b, e.Pipeline.Spec.Params)
	for i, r := range e.Pipeline.Spec.Results {
		if i == 0 {
			b.WriteString("\n## Results\n\n| Name | From |\n| --- | --- |\n")
		}
		fmt.Fprintf(&b, "| `%s` | `%s` |\n", r.Name, r.Value.StringVal)
	}
	graph(&b, e.Pipeline.Spec)
	return b.String()
}

func params(b *strings.Builder, specs []tektonv1.ParamSpec) {
	for i, p := range specs {
		if i == 0 {
			b.WriteString("\n## Params\n\n| Name | Default | Meaning |\n| --- | --- | --- |\n")
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", p.Name, defaultOf(p), cell(p.Description))
	}
}

func defaultOf(p tektonv1.ParamSpec) string {
	switch {
	case p.Default == nil:
		return "required"
	case p.Default.Type == tektonv1.ParamTypeArray:
		return fmt.Sprintf("`%q`", p.Default.ArrayVal)
	}
	return fmt.Sprintf("`%q`", p.Default.StringVal)
}

// graph draws which task waits for which.
func graph(b *strings.Builder, spec tektonv1.PipelineSpec) {
	b.WriteString("\n## Order\n\n```mermaid\ngraph LR\n")
	for _, t := range spec.Tasks {
		fmt.Fprintf(b, "  %s\n", t.Name)
	}
	for _, t := range spec.Tasks {
		for _, before := range t.Deps() {
			fmt.Fprintf(b, "  %s --> %s\n", before, t.Name)
		}
	}
	b.WriteString("```\n")
}

func cell(s string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", "\\|")
}
