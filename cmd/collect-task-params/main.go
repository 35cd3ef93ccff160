// Command collect-task-params reads values out of a release's data.
package main

import (
	"github.com/headrace-ci/headrace/pkg/task/collecttaskparams"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(collecttaskparams.Command()) }
