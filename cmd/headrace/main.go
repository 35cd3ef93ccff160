// Command headrace is every task as a sub-command, for people and laptops: the
// same code, flags and result files as in a Task. It also explains why
// something on a cluster is not released.
package main

import (
	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/explain"
	"github.com/headrace-ci/headrace/pkg/task"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() {
	root := &cobra.Command{Use: "headrace", Short: "Build, test and release container images, a step at a time"}
	for _, cmd := range task.Commands() {
		root.AddCommand(cmd)
	}
	root.AddCommand(explain.Command())
	taskcli.Main(root)
}
