// Command get-snapshot writes the Snapshot under test to a file.
package main

import (
	"github.com/headrace-ci/headrace/pkg/task/getsnapshot"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(getsnapshot.Command()) }
