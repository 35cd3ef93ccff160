// Package getsnapshot is the task get-snapshot: it writes the spec of the
// Snapshot under test to a file. A test run gets a large Snapshot by its name,
// and no program takes a thousand components as an argument.
package getsnapshot

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/result"
	"github.com/headrace-ci/headrace/pkg/tekton/snapshotparam"
)

// Options are the task's params.
type Options struct {
	Snapshot string // its spec as JSON, or its name
	File     string // to write the spec to
	Cluster  snapshotparam.Cluster
}

// Command returns the task's command.
func Command() *cobra.Command {
	opts := Options{Cluster: snapshotparam.Here()}
	var results result.Writer
	cmd := &cobra.Command{
		Use: "get-snapshot", Short: "Write the Snapshot under test to a file", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			values, err := Run(cmd.Context(), opts)
			if err != nil {
				return err
			}
			return results.Write(values)
		},
	}
	cmd.Flags().StringVar(&opts.Snapshot, "snapshot", "", "The Snapshot's spec as JSON, or its name")
	cmd.Flags().StringVar(&opts.File, "output-file", "", "File to write the spec to")
	results.AddFlag(cmd.Flags())
	return cmd
}

// Run writes the file and returns the task's results.
func Run(ctx context.Context, opts Options) (map[string]string, error) {
	text, err := opts.Cluster.Spec(ctx, opts.Snapshot)
	if err != nil {
		return nil, err
	}
	var spec struct {
		Application    string            `json:"application"`
		ComponentGroup string            `json:"componentGroup"`
		Components     []json.RawMessage `json:"components"`
	}
	if err := json.Unmarshal(text, &spec); err != nil {
		return nil, &taskcli.UsageError{Flag: "snapshot", Problem: "is not a Snapshot's spec: " + err.Error()}
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, text, "", "  "); err != nil {
		return nil, err
	}
	indented.WriteByte('\n')
	if err := os.WriteFile(opts.File, indented.Bytes(), 0o644); err != nil {
		return nil, fmt.Errorf("writing the Snapshot: %w", err)
	}
	return map[string]string{
		"application": spec.Application, "component-group": spec.ComponentGroup, "component-count": strconv.Itoa(len(spec.Components)),
	}, nil
}
