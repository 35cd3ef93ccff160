package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// owner is the field manager of everything the demo applies.
const owner = client.FieldOwner("headrace-demo")

// values fill the ${NAME} places of a manifest.
type values map[string]string

// render reads a manifest and fills its places; $(…), which is Tekton's, stays. A place nobody fills is an
// error: an empty string in its stead would apply, and fail somewhere else.
func render(name string, v values) ([]*unstructured.Unstructured, error) {
	raw, err := manifests.ReadFile("manifests/" + name)
	if err != nil {
		return nil, err
	}
	var missing []string
	text := os.Expand(string(raw), func(key string) string {
		value, ok := v[key]
		if !ok && !slices.Contains(missing, key) {
			missing = append(missing, key)
		}
		return value
	})
	if len(missing) > 0 {
		return nil, fmt.Errorf("manifest %s: no value for %v", name, missing)
	}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewBufferString(text), 4096)
	var objects []*unstructured.Unstructured
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("manifest %s: %w", name, err)
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

// apply renders a manifest and applies it on the server's side.
func (d *Demo) apply(ctx context.Context, name string, v values) error {
	objects, err := render(name, v)
	if err != nil {
		return err
	}
	for _, object := range objects {
		err := d.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), owner, client.ForceOwnership)
		if err != nil {
			return fmt.Errorf("applying %s %s/%s: %w", object.GetKind(), object.GetNamespace(), object.GetName(), err)
		}
	}
	return nil
}
