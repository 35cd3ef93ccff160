// Command collect-data gathers what a release is about.
package main

import (
	"github.com/headrace-ci/headrace/pkg/task/collectdata"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(collectdata.Command()) }
