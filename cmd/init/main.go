// Command init says which proxy a build goes through.
package main

import (
	"github.com/headrace-ci/headrace/pkg/task/initialize"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(initialize.Command()) }
