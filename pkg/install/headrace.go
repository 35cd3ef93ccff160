package install

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// manifestDir holds what Headrace itself is made of.
const manifestDir = "bundles/install"

// ours are Headrace's own manifests, those that bundles/install/kustomization.yaml
// lists, with the controller's image in the registry.
func (in *Installer) ours(ctx context.Context, base string) ([]*unstructured.Unstructured, error) {
	content, err := readManifests(filepath.Join(in.Source, manifestDir))
	if err != nil {
		return nil, err
	}
	in.progress.say("building the controller, if it changed")
	builder, err := in.builder(in.Source, in.Registry+"/headrace", base)
	if err != nil {
		return nil, err
	}
	resolved, err := builder.Resolve(ctx, content)
	if err != nil {
		return nil, err
	}
	return decode(resolved)
}

// readManifests joins the resources of a kustomization that is no more than a
// list of files.
func readManifests(dir string) ([]byte, error) {
	file := filepath.Join(dir, "kustomization.yaml")
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var list struct {
		APIVersion string   `json:"apiVersion"`
		Kind       string   `json:"kind"`
		Resources  []string `json:"resources"`
	}
	// Strict: kustomize would do more than we do with any other field.
	if err := yaml.UnmarshalStrict(raw, &list); err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	var all bytes.Buffer
	for _, name := range list.Resources {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&all, "---\n%s\n", bytes.TrimSpace(content))
	}
	return all.Bytes(), nil
}
