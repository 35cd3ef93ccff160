// Package artifact is the step that hands files from one task to the next:
// first in a Task that takes some, last in a Task that gives some.
package artifact

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/artifact"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/result"
)

// Command is `artifact use` and `artifact create`.
func Command() *cobra.Command {
	cmd := &cobra.Command{Use: "artifact", Short: "Pass files between tasks through a registry, by digest"}
	cmd.AddCommand(use(), create())
	return cmd
}

func use() *cobra.Command {
	return &cobra.Command{
		Use: "use URI=DESTINATION...", Short: "Fetch artifacts and unpack them", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, arg := range args {
				// A URI holds no '=', and a destination may.
				uri, dest, ok := strings.Cut(arg, "=")
				if !ok || dest == "" {
					return &taskcli.UsageError{Flag: "", Problem: "argument " + arg + " is not URI=DESTINATION"}
				}
				if err := artifact.Use(cmd.Context(), uri, dest); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func create() *cobra.Command {
	var opts artifact.CreateOptions
	var results result.Writer
	cmd := &cobra.Command{
		Use: "create --store=REPOSITORY:TAG RESULT=PATH...", Short: "Archive paths and push them", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Paths = map[string]string{}
			for _, arg := range args {
				name, path, ok := strings.Cut(arg, "=")
				if !ok || name == "" || path == "" {
					return &taskcli.UsageError{Flag: "", Problem: "argument " + arg + " is not RESULT=PATH"}
				}
				opts.Paths[name] = path
			}
			uris, err := artifact.Create(cmd.Context(), opts)
			if err != nil {
				return err
			}
			return results.Write(uris)
		},
	}
	cmd.Flags().StringVar(&opts.Store, "store", "", "Repository and tag to keep the archives at")
	cmd.Flags().StringVar(&opts.ExpiresAfter, "expires-after", "", "When a registry may delete them, such as 5d; never when empty")
	results.AddFlag(cmd.Flags())
	return cmd
}
