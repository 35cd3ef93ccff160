// Command coverity-availability-check says whether Coverity can be used.
package main

import (
	"github.com/headrace-ci/headrace/pkg/task/coverityavailabilitycheck"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(coverityavailabilitycheck.Command()) }
