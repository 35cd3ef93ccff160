// Command update-cr-status writes into a Release what came of it.
package main

import (
	"github.com/headrace-ci/headrace/pkg/task/updatecrstatus"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(updatecrstatus.Command()) }
