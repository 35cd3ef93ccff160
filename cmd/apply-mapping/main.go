// Command apply-mapping says where each component of a release goes.
package main

import (
	"github.com/headrace-ci/headrace/pkg/task/applymapping"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(applymapping.Command()) }
