// Command demo takes components from a git commit to a released image.
package main

import (
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/test/demo"
)

func main() { taskcli.Main(demo.Command()) }
