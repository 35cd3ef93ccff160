package releasedata

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
)

// Merge merges what a release is told in several places, the later of them
// winning: objects merge deep, lists become one without duplicates, sorted by
// their JSON, and null overrides nothing.
func Merge(places ...map[string]any) map[string]any {
	merged := map[string]any{}
	for _, place := range places {
		merged = mergeObjects(merged, place)
	}
	return merged
}

func mergeObjects(base, more map[string]any) map[string]any {
	out := maps.Clone(base)
	for key, value := range more {
		out[key] = mergeValues(out[key], value)
	}
	return out
}

func mergeValues(base, more any) any {
	if more == nil {
		return base
	}
	switch m := more.(type) {
	case map[string]any:
		if b, ok := base.(map[string]any); ok {
			return mergeObjects(b, m)
		}
		return mergeObjects(map[string]any{}, m)
	case []any:
		b, _ := base.([]any)
		return union(b, m)
	}
	return more
}

func union(a, b []any) []any {
	byText := map[string]any{}
	for _, item := range slices.Concat(a, b) {
		text, err := json.Marshal(item)
		if err != nil {
			continue // it came from JSON
		}
		byText[string(text)] = item
	}
	list := []any{}
	for _, text := range slices.SortedFunc(maps.Keys(byText), cmp.Compare[string]) {
		list = append(list, byText[text])
	}
	return list
}
