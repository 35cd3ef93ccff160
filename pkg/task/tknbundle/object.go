package tknbundle

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/yaml"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/bundle"
)

// maxFile bounds a file with objects, in bytes.
const maxFile = 8 << 20

const versionLabel = "app.kubernetes.io/version"

// read reads the objects of files.
func read(root *os.Root, files []string) ([]bundle.Object, error) {
	var objects []bundle.Object
	for _, file := range files {
		info, err := root.Stat(file)
		if err != nil {
			return nil, fmt.Errorf("reading the source: %w", err)
		}
		if info.Size() > maxFile {
			return nil, fmt.Errorf("%s is larger than %d bytes", file, maxFile)
		}
		raw, err := root.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading the source: %w", err)
		}
		found, err := parse(file, raw)
		if err != nil {
			return nil, err
		}
		objects = append(objects, found...)
	}
	return objects, nil
}

// parse reads the objects of one file, which may have several documents. What
// stays as it was written keeps its comments.
func parse(file string, raw []byte) ([]bundle.Object, error) {
	var objects []bundle.Object
	reader := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(raw)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		var head struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
			Metadata   struct {
				Name string `json:"name"`
			} `json:"metadata"`
		}
		if err := sigsyaml.Unmarshal(document, &head); err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		if head.Kind == "" && head.APIVersion == "" && len(bytes.TrimSpace(document)) == 0 {
			continue
		}
		if !strings.HasPrefix(head.APIVersion, "tekton.dev/") || head.Kind == "" || head.Metadata.Name == "" {
			return nil, &taskcli.UsageError{
				Flag: "context", Problem: fmt.Sprintf("%s holds something that is no Tekton object: apiVersion %q, kind %q, name %q", file, head.APIVersion, head.Kind, head.Metadata.Name),
				Fix: "leave it out of param CONTEXT, with !" + file,
			}
		}
		objects = append(objects, bundle.Object{APIVersion: head.APIVersion, Kind: head.Kind, Name: head.Metadata.Name, Raw: document})
	}
}

// about is what users are told of a bundle.
type about struct{ version, description string }

func describe(objects []bundle.Object) (about, error) {
	if len(objects) == 0 {
		return about{}, &taskcli.UsageError{Flag: "context", Problem: "the files hold no object"}
	}
	var first struct {
		Metadata struct {
			Labels map[string]string `json:"labels"`
		} `json:"metadata"`
		Spec struct {
			Description string `json:"description"`
		} `json:"spec"`
	}
	if err := sigsyaml.Unmarshal(objects[0].Raw, &first); err != nil {
		return about{}, err
	}
	version := strings.TrimSpace(first.Metadata.Labels[versionLabel])
	if version == "" {
		return about{}, &versionError{kind: objects[0].Kind, name: objects[0].Name}
	}
	return about{version: version, description: strings.TrimSpace(first.Spec.Description)}, nil
}

// versionError says that an object has no version.
type versionError struct{ kind, name string }

func (e *versionError) Error() string {
	return fmt.Sprintf("%s %q has no label %s", e.kind, e.name, versionLabel)
}

// Hint says what to write.
func (e *versionError) Hint() string {
	return "set metadata.labels[\"" + versionLabel + "\"] to the version of what is packed, such as \"0.1\""
}

// replacement is the image that steps are to run.
type replacement struct {
	image  string
	steps  []string // by name; all when empty
	except bool     // all but steps
}

func parseReplacement(image, names string) (replacement, error) {
	r := replacement{image: image}
	if image == "" {
		return r, nil
	}
	for i, step := range list(names) {
		bare, except := strings.CutPrefix(step, "!")
		if i > 0 && except != r.except {
			return r, &taskcli.UsageError{
				Flag: "steps-image-step-names", Problem: fmt.Sprintf("%q has names with ! and without", names),
				Fix: "name either the steps that are to run the image, or with ! those that are not",
			}
		}
		r.except, r.steps = except, append(r.steps, bare)
	}
	return r, nil
}

// in replaces the images of an object's steps.
func (r replacement) in(o *bundle.Object) error {
	if r.image == "" {
		return nil
	}
	var object map[string]any
	if err := sigsyaml.Unmarshal(o.Raw, &object); err != nil {
		return err
	}
	spec, _ := object["spec"].(map[string]any)
	steps, _ := spec["steps"].([]any)
	for _, s := range steps {
		step, _ := s.(map[string]any)
		if _, has := step["image"]; !has {
			continue // it runs a StepAction
		}
		named, _ := step["name"].(string)
		if len(r.steps) == 0 || slices.Contains(r.steps, named) != r.except {
			step["image"] = r.image
		}
	}
	raw, err := sigsyaml.Marshal(object)
	o.Raw = raw
	return err
}
