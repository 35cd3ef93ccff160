// Command summary prints what a build made.
package main

import (
	"github.com/headrace-ci/headrace/pkg/task/summary"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(summary.Command()) }
