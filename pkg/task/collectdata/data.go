package collectdata

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headrace-ci/headrace/pkg/releasedata"
)

// reserved are the release notes that only the owner of the destination, who
// writes the ReleasePlanAdmission, may set: they say what product it is.
var reserved = []string{"allow_custom_live_id", "cpe", "product_id", "product_name", "product_stream", "product_version"}

// ReservedError says that data is where it may not be.
type ReservedError struct {
	Object string   // kind and name
	Keys   []string // below spec.data.releaseNotes
}

func (e *ReservedError) Error() string {
	return fmt.Sprintf("%s sets spec.data.releaseNotes keys %s, which are for the ReleasePlanAdmission alone",
		e.Object, strings.Join(e.Keys, ", "))
}

// Hint says where they go.
func (e *ReservedError) Hint() string {
	return "remove them there, and ask the owner of the managed namespace to set them in the ReleasePlanAdmission"
}

func checkData(object *unstructured.Unstructured) error {
	notes, _, _ := unstructured.NestedMap(dataOf(object), "releaseNotes") // of another type it has no such keys
	var found []string
	for key := range notes {
		if slices.Contains(reserved, key) {
			found = append(found, key)
		}
	}
	if len(found) == 0 {
		return nil
	}
	slices.Sort(found)
	return &ReservedError{Object: object.GetKind() + " " + object.GetNamespace() + "/" + object.GetName(), Keys: found}
}

// dataOf is an object's spec.data, empty when it has none.
func dataOf(object *unstructured.Unstructured) map[string]any {
	data, _, _ := unstructured.NestedMap(object.Object, "spec", "data") // the schema makes it an object
	return data
}

// collected is what the collectors found, the team's first.
func collected(release *unstructured.Unstructured) map[string]any {
	merged := map[string]any{}
	for _, side := range []string{"tenant", "managed"} {
		collectors, _, _ := unstructured.NestedMap(release.Object, "status", "collectors", side) // absent without collectors
		for _, name := range slices.Sorted(maps.Keys(collectors)) {
			if found, ok := collectors[name].(map[string]any); ok {
				merged = releasedata.Merge(merged, found)
			}
		}
	}
	return merged
}

// pipelineOf is where the release's pipeline comes from. What a reference does
// not say is "unknown".
func pipelineOf(admission *unstructured.Unstructured) map[string]string {
	metadata := map[string]string{"org": "unknown", "repo": "unknown", "revision": "unknown", "pathinrepo": "unknown", "sha": "unknown"}
	ref, _, _ := unstructured.NestedMap(admission.Object, "spec", "pipeline", "pipelineRef") // the schema requires it
	params, _ := ref["params"].([]any)
	for _, item := range params {
		param, _ := item.(map[string]any)
		value, _ := param["value"].(string)
		switch {
		case value == "":
		case param["name"] == "url":
			if org, repo, ok := repository(value); ok {
				metadata["org"], metadata["repo"] = org, repo
			}
		case param["name"] == "revision":
			metadata["revision"] = value
		case param["name"] == "pathInRepo":
			metadata["pathinrepo"] = value
		case param["name"] == "bundle":
			metadata["repo"], metadata["sha"], _ = strings.Cut(value, "@")
		}
	}
	return metadata
}

func repository(text string) (org, repo string, ok bool) {
	at, err := url.Parse(text)
	if err != nil {
		return "", "", false
	}
	parts := strings.Split(strings.Trim(strings.TrimSuffix(at.Path, ".git"), "/"), "/")
	if len(parts) < 2 {
		return "", "", false
	}
	return strings.Join(parts[:len(parts)-1], "/"), parts[len(parts)-1], true
}
