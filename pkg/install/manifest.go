package install

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// decode reads the documents of a YAML stream.
func decode(content []byte) ([]*unstructured.Unstructured, error) {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
	var objects []*unstructured.Unstructured
	for {
		u := &unstructured.Unstructured{}
		err := decoder.Decode(&u.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading manifests: %w", err)
		}
		if len(u.Object) > 0 {
			objects = append(objects, u)
		}
	}
}

// replaceStrings replaces every string below value that equals from.
func replaceStrings(value any, from, to string) any {
	switch v := value.(type) {
	case map[string]any:
		for key, child := range v {
			v[key] = replaceStrings(child, from, to)
		}
	case []any:
		for i, child := range v {
			v[i] = replaceStrings(child, from, to)
		}
	case string:
		if v == from {
			return to
		}
	}
	return value
}

// edit changes a Deployment in place.
type edit func(*appsv1.Deployment)

// adaptDeployments edits every Deployment of the manifests.
func adaptDeployments(objects []*unstructured.Unstructured, edits ...edit) ([]*unstructured.Unstructured, error) {
	for _, u := range objects {
		if u.GetKind() != "Deployment" {
			continue
		}
		var d appsv1.Deployment
		if err := kruntime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &d); err != nil {
			return nil, fmt.Errorf("reading Deployment %s: %w", u.GetName(), err)
		}
		for _, e := range edits {
			e(&d)
		}
		object, err := kruntime.DefaultUnstructuredConverter.ToUnstructured(&d)
		if err != nil {
			return nil, err
		}
		// Not ours to say, though the type writes them.
		delete(object, "status")
		unstructured.RemoveNestedField(object, "metadata", "creationTimestamp")
		unstructured.RemoveNestedField(object, "spec", "template", "metadata", "creationTimestamp")
		u.Object = object
	}
	return objects, nil
}

// setData sets keys of a ConfigMap and leaves the others.
func setData(u *unstructured.Unstructured, values map[string]string) error {
	data, _, err := unstructured.NestedStringMap(u.Object, "data")
	if err != nil {
		return fmt.Errorf("reading ConfigMap %s: %w", u.GetName(), err)
	}
	if data == nil {
		data = map[string]string{}
	}
	for key, value := range values {
		data[key] = value
	}
	return unstructured.SetNestedStringMap(u.Object, data, "data")
}

// namespacesFirst parts the namespaces from what goes into them.
func namespacesFirst(objects []*unstructured.Unstructured) (namespaces, rest []*unstructured.Unstructured) {
	var kinds, others []*unstructured.Unstructured
	for _, u := range objects {
		switch u.GetKind() {
		case "Namespace":
			namespaces = append(namespaces, u)
		case "CustomResourceDefinition":
			kinds = append(kinds, u)
		default:
			others = append(others, u)
		}
	}
	return namespaces, append(kinds, others...)
}
