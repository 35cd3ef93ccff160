// Command snapshot-gc deletes the Snapshots that a cluster keeps no longer.
package main

import (
	"github.com/headrace-ci/headrace/pkg/snapshotgc"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(snapshotgc.Command()) }
