// Package collecttaskparams is the task collect-task-params: it reads values
// out of a release's data, for params of the tasks that follow.
package collecttaskparams

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/releasedata"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/result"
)

// maxValues bounds the list: a result is small.
const maxValues = 100

// Options are the task's params.
type Options struct {
	Folder   releasedata.Folder
	DataPath string // of the release's data in the folder
	Keys     string // JSON list of wanted
}

// wanted is a value to read, and its place in the list.
type wanted struct {
	Index   *int    `json:"resultIndex"`
	Key     string  `json:"key"`
	Default *string `json:"default"`
}

// Command returns the task's command.
func Command() *cobra.Command {
	var opts Options
	var results result.Writer
	cmd := &cobra.Command{
		Use: "collect-task-params", Short: "Read values out of a release's data", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			values, err := Run(cmd.Context(), opts)
			if err != nil {
				return err
			}
			return results.Write(values)
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.DataPath, "data-path", "", "Path of the release's data in the data folder")
	f.StringVar(&opts.Keys, "keys-to-extract", "", "What to read, as a JSON list of resultIndex, key and default")
	opts.Folder.AddFlags(f)
	results.AddFlag(f)
	return cmd
}

// MissingError says that the data lacks a value that has no default.
type MissingError struct{ Key string }

func (e *MissingError) Error() string { return fmt.Sprintf("the release's data has no %s", e.Key) }

// Hint says where to set it.
func (e *MissingError) Hint() string {
	return "set spec.data" + e.Key + " in the ReleasePlanAdmission"
}

// Run reads, and returns the task's results.
func Run(ctx context.Context, opts Options) (map[string]string, error) {
	var keys []wanted
	if err := json.Unmarshal([]byte(opts.Keys), &keys); err != nil {
		return nil, &taskcli.UsageError{Flag: "keys-to-extract", Problem: fmt.Sprintf("is no JSON list: %v", err)}
	}
	if err := opts.Folder.Open(ctx); err != nil {
		return nil, err
	}
	var data map[string]any
	if err := opts.Folder.Read(opts.DataPath, &data); err != nil {
		return nil, err
	}
	var list []string
	for i, key := range keys {
		if key.Index != nil {
			i = *key.Index
		}
		if i < 0 || i >= maxValues || !strings.HasPrefix(key.Key, ".") {
			return nil, &taskcli.UsageError{Flag: "keys-to-extract", Problem: fmt.Sprintf("key %q at %d: want a path such as .sign.cosignSecretName at 0 to %d", key.Key, i, maxValues-1)}
		}
		value, err := key.value(data)
		if err != nil {
			return nil, err
		}
		for len(list) <= i {
			list = append(list, "")
		}
		list[i] = value
	}
	text, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	return map[string]string{"extractedValues": string(text)}, nil
}

// value follows the key. Text is given as it is, everything else as JSON.
func (w wanted) value(data map[string]any) (string, error) {
	var at any = data
	for step := range strings.SplitSeq(strings.Trim(w.Key, "."), ".") {
		object, _ := at.(map[string]any) // nil has no fields
		at = object[step]
	}
	switch found := at.(type) {
	case nil:
		if w.Default == nil {
			return "", &MissingError{Key: w.Key}
		}
		return *w.Default, nil
	case string:
		return found, nil
	default:
		raw, err := json.Marshal(found)
		return string(raw), err
	}
}
