// Command controller makes Snapshots and Releases, and runs their pipelines.
package main

import (
	"github.com/headrace-ci/headrace/pkg/controllers/manager"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(manager.Command()) }
