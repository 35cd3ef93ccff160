//go:build apiserver

package apiserver_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const corpusFiles = "testdata/corpus/*.yaml"

// corpus is what people write, in every group and version.
func corpus(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	files, err := filepath.Glob(corpusFiles)
	if err != nil {
		t.Fatal(err)
	}
	var all []*unstructured.Unstructured
	for _, file := range files {
		all = append(all, documents(t, file)...)
	}
	if len(all) < 50 {
		t.Fatalf("%s hold %d objects, want 50 at least", corpusFiles, len(all))
	}
	return all
}

// TestCorpus applies the corpus as people do: with kubectl, which has the
// server refuse a field that it does not know.
func TestCorpus(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	first := apply(t, ns)
	for _, line := range first {
		if !strings.HasSuffix(line, " created") {
			t.Errorf("kubectl apply says %q", line)
		}
	}
	written := map[string]bool{}
	for _, o := range corpus(t) {
		t.Run(fmt.Sprintf("%s %s %s", o.GetAPIVersion(), o.GetKind(), o.GetName()), func(t *testing.T) {
			written[o.GetAPIVersion()+" "+o.GetKind()] = true
			got := o.DeepCopy()
			if err := c.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: o.GetName()}, got); err != nil {
				t.Fatal(err)
			}
			for _, field := range []string{"metadata", "spec"} {
				if lost := missing(field, o.Object[field], got.Object[field]); len(lost) > 0 {
					t.Errorf("not kept: %s", strings.Join(lost, ", "))
				}
			}
			status, ok := o.Object["status"]
			if !ok {
				return
			}
			got.Object["status"] = status
			strict := &client.SubResourceUpdateOptions{UpdateOptions: client.UpdateOptions{Raw: &metav1.UpdateOptions{FieldValidation: metav1.FieldValidationStrict}}}
			if err := c.Status().Update(t.Context(), got, strict); err != nil {
				t.Fatal(err)
			}
			if lost := missing("status", status, got.Object["status"]); len(lost) > 0 {
				t.Errorf("not kept: %s", strings.Join(lost, ", "))
			}
		})
	}
	for version := range served(t) {
		if !written[version] {
			t.Errorf("the corpus has no %s", version)
		}
	}
	apply(t, ns)
	for _, o := range corpus(t) {
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: o.GetName()}, o); err != nil || o.GetGeneration() != 1 {
			t.Errorf("applied again, %s %s is of generation %d (%v)", o.GetKind(), o.GetName(), o.GetGeneration(), err)
		}
	}
	table(t, ns)
}

// apply is kubectl apply, and the lines that it says.
func apply(t *testing.T, ns string) []string {
	t.Helper()
	kube, err := output(t.Context(), filepath.Join(root, "bin/cluster"), "build", "--print=kube")
	if err != nil {
		t.Fatal(err)
	}
	said, err := output(t.Context(), kube, "kubectl", "--kubeconfig="+kubeconfig(t), "--cache-dir="+t.TempDir(),
		"apply", "--namespace="+ns, "--validate=strict", "--filename="+filepath.Dir(corpusFiles))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(said, "\n")
}

// missing names the fields of want that got does not have, or otherwise.
func missing(path string, want, got any) []string {
	switch want := want.(type) {
	case map[string]any:
		fields, ok := got.(map[string]any)
		if !ok && len(want) > 0 {
			return []string{path}
		}
		var lost []string
		for key, value := range want {
			lost = append(lost, missing(path+"."+key, value, fields[key])...)
		}
		return lost
	case []any:
		items, ok := got.([]any)
		if !ok || len(items) != len(want) {
			return []string{path}
		}
		var lost []string
		for i, value := range want {
			lost = append(lost, missing(fmt.Sprintf("%s[%d]", path, i), value, items[i])...)
		}
		return lost
	default:
		// As text: a number is read as one type or another.
		if fmt.Sprint(want) != fmt.Sprint(got) {
			return []string{fmt.Sprintf("%s (%v, now %v)", path, want, got)}
		}
		return nil
	}
}

// served are the versions of the kinds of bundles/install.
func served(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "bundles/install/crds/*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no CRDs: %v", err)
	}
	all := map[string]bool{}
	for _, file := range files {
		for _, crd := range documents(t, file) {
			group, _, _ := unstructured.NestedString(crd.Object, "spec", "group")
			kind, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "kind")
			versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
			for _, v := range versions {
				if name, served := v.(map[string]any)["name"], v.(map[string]any)["served"]; served == true {
					all[fmt.Sprintf("%s/%s %s", group, name, kind)] = true
				}
			}
		}
	}
	return all
}

// TestUnknownFields holds for every version what the API server does for
// upstream's: a field that is not in the schema is refused where the client
// asks for that, as kubectl does, and dropped where it does not.
func TestUnknownFields(t *testing.T) {
	c := newClient(t)
	ns := namespace(t, c)
	tried := map[string]bool{}
	for _, o := range corpus(t) {
		kind := o.GetAPIVersion() + " " + o.GetKind()
		if tried[kind] {
			continue
		}
		tried[kind] = true
		t.Run(kind, func(t *testing.T) {
			o.SetNamespace(ns)
			if err := unstructured.SetNestedField(o.Object, "red", "spec", "colour"); err != nil {
				t.Fatal(err)
			}
			err := c.Create(t.Context(), o.DeepCopy(), client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict))
			if err := refusal(err, `unknown field "spec.colour"`); err != nil {
				t.Error(err)
			}
			if err := c.Create(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			if got, found, _ := unstructured.NestedFieldNoCopy(o.Object, "spec", "colour"); found {
				t.Errorf("spec.colour is kept: %v", got)
			}
		})
	}
}

// columns are what kubectl get prints, and a row of the corpus.
var columns = map[string]struct {
	names []string // after Name
	row   []any    // with its name, and without Age
}{
	"appstudio.redhat.com/v1alpha1 applications":             {[]string{"Display name", "Age"}, []any{"tides", "Tide tables"}},
	"appstudio.redhat.com/v1alpha1 components":               {[]string{"Application", "Last image", "Age"}, []any{"dome", "observatory", nil}},
	"konflux-ci.dev/v1alpha1 components":                     {[]string{"Age", "URL", "Repository", "Message"}, []any{"barometer", "https://git.example.com/weather/barometer", "barometer", ""}},
	"appstudio.redhat.com/v1alpha1 snapshots":                {[]string{"Application", "ComponentGroup", "Component", "Tests", "Released", "Age"}, []any{"observatory-20260506-070809-123", "observatory", nil, "telescope", "Passed", "The Snapshot was auto-released"}},
	"appstudio.redhat.com/v1alpha1 integrationtestscenarios": {[]string{"Application", "ComponentGroup", "Optional", "Valid", "Age"}, []any{"of-2022-with-everything", "observatory", nil, nil, "False"}},
	"appstudio.redhat.com/v1beta1 integrationtestscenarios":  {[]string{"Application", "ComponentGroup", "Optional", "Valid", "Age"}, []any{"of-2023", "observatory", nil, "false", nil}},
	"appstudio.redhat.com/v1beta2 integrationtestscenarios":  {[]string{"Application", "ComponentGroup", "Optional", "Valid", "Age"}, []any{"policy", nil, "weather", nil, nil}},
	"appstudio.redhat.com/v1beta2 componentgroups":           {[]string{"Age"}, []any{"weather"}},
	"appstudio.redhat.com/v1beta2 nudgeconfigs":              {[]string{"Stale", "Age"}, []any{"nudge-config", "False"}},
	"appstudio.redhat.com/v1alpha1 releases":                 {[]string{"Snapshot", "ReleasePlan", "Release status", "Age"}, []any{"by-a-person", "by-hand", "to-the-public", "Succeeded"}},
}

// table asks the server for the tables that kubectl get prints.
func table(t *testing.T, ns string) {
	t.Helper()
	https, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	for resource, want := range columns {
		version, plural, _ := strings.Cut(resource, " ")
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.TrimSuffix(config.Host, "/")+"/apis/"+version+"/namespaces/"+ns+"/"+plural, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
		response, err := https.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		var got metav1.Table
		err = json.NewDecoder(response.Body).Decode(&got)
		if response.Body.Close(); err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s (%v)", resource, response.Status, err)
		}
		var names []string
		age := -1
		for i, column := range got.ColumnDefinitions {
			names = append(names, column.Name)
			if column.Name == "Age" {
				age = i
			}
		}
		if diff := cmp.Diff(append([]string{"Name"}, want.names...), names); diff != "" {
			t.Errorf("columns of %s (-want +got):\n%s", resource, diff)
			continue
		}
		found := slices.ContainsFunc(got.Rows, func(row metav1.TableRow) bool {
			return cmp.Equal(want.row, slices.Delete(slices.Clone(row.Cells), age, age+1))
		})
		if !found {
			t.Errorf("%s: no row is %q: %v", resource, want.row, got.Rows)
		}
	}
}
