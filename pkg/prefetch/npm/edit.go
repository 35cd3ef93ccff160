package npm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/headrace-ci/headrace/pkg/prefetch/ecosystem"
)

// dependencyKinds are the keys of package.json that hold dependencies.
var dependencyKinds = []string{"dependencies", "devDependencies", "optionalDependencies", "peerDependencies"}

// edits make npm find the fetched archives: in the lockfile they are files, and
// dependencies that were given by a URL are given by name alone.
func (i Input) edits(job ecosystem.Job, name string, raw []byte, lock lockfile, all map[string]dependency) ([]ecosystem.Edit, error) {
	local := map[string]string{} // by what the lockfile says
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if d := all[key]; d.file.URL != "" {
			local[d.Resolved] = "file://" + job.Mounted(d.file.Path)
		}
	}
	changed, err := replaceStrings(raw, func(at []string, value string) (string, bool) {
		last := at[len(at)-1]
		if file, ok := local[value]; ok && last == "resolved" {
			return quote(file), true
		}
		if len(at) == 4 && at[0] == "packages" && slices.Contains(dependencyKinds, at[2]) {
			return withoutURL(value)
		}
		if len(at) == 3 && at[0] == "packages" && last == "version" && lock.Packages[at[1]].Resolved == "" {
			if d, ok := all[at[1]]; ok && d.file.URL != "" {
				return quote(value) + `, "resolved": ` + quote(local[d.Resolved]), true
			}
		}
		return "", false
	})
	if err != nil {
		return nil, &ecosystem.LockError{File: name, Problem: err.Error(), Fix: outdatedFix}
	}
	edits := []ecosystem.Edit{{Path: name, Content: changed}}
	for _, key := range slices.Sorted(maps.Keys(lock.Packages)) {
		if strings.Contains(key, modules) {
			continue
		}
		file := path.Join(i.Path, key, manifest)
		if key != "" && !job.Exists(file) {
			continue // an archive of the source, not a folder
		}
		raw, err := job.ReadLock(file, "commit it beside the lockfile")
		if err != nil {
			return nil, err
		}
		changed, err := replaceStrings(raw, func(at []string, value string) (string, bool) {
			if len(at) == 2 && slices.Contains(dependencyKinds, at[0]) {
				return withoutURL(value)
			}
			return "", false
		})
		if err != nil {
			return nil, &ecosystem.LockError{File: file, Problem: err.Error(), Fix: "correct the JSON"}
		}
		if !bytes.Equal(raw, changed) {
			edits = append(edits, ecosystem.Edit{Path: file, Content: changed})
		}
	}
	return edits, nil
}

// withoutURL is the version to ask for instead of a URL: any.
func withoutURL(version string) (string, bool) {
	return `""`, strings.HasPrefix(version, "http://") || strings.HasPrefix(version, "https://")
}

func quote(text string) string {
	raw, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string always has a JSON form
	}
	return string(raw)
}

// replaceStrings replaces string values of a JSON text where change says so,
// and leaves every other byte as it is: the order of keys means something to
// people, and to npm. The path of a value is the keys that lead to it.
func replaceStrings(raw []byte, change func(at []string, value string) (string, bool)) ([]byte, error) {
	if !json.Valid(raw) { // which also bounds how deep values stand in others
		return nil, fmt.Errorf("not valid JSON")
	}
	w := walker{raw: raw, decoder: json.NewDecoder(bytes.NewReader(raw)), change: change}
	if err := w.value(nil); err != nil {
		return nil, err
	}
	w.out.Write(raw[w.copied:])
	return w.out.Bytes(), nil
}

type walker struct {
	raw     []byte
	decoder *json.Decoder
	change  func([]string, string) (string, bool)
	out     bytes.Buffer
	copied  int // bytes of raw that are in out, or were replaced
}

func (w *walker) value(at []string) error {
	before := w.decoder.InputOffset()
	token, err := w.decoder.Token()
	if err != nil {
		return err
	}
	switch token := token.(type) {
	case json.Delim:
		for w.decoder.More() {
			inner := at
			if token == '{' {
				key, err := w.decoder.Token()
				if err != nil {
					return err
				}
				inner = append(slices.Clip(at), fmt.Sprint(key))
			}
			if err := w.value(inner); err != nil {
				return err
			}
		}
		_, err = w.decoder.Token()
	case string:
		if len(at) == 0 {
			break
		}
		if replacement, ok := w.change(at, token); ok {
			start := int(before) + bytes.IndexByte(w.raw[before:], '"')
			w.out.Write(w.raw[w.copied:start])
			w.out.WriteString(replacement)
			w.copied = int(w.decoder.InputOffset())
		}
	}
	return err
}
