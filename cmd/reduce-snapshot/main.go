// Command reduce-snapshot leaves one component in a Snapshot, where a release is of one.
package main

import (
	"github.com/headrace-ci/headrace/pkg/task/reducesnapshot"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(reducesnapshot.Command()) }
