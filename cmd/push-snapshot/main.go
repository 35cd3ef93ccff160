// Command push-snapshot copies images to where they are released.
package main

import (
	"github.com/headrace-ci/headrace/pkg/task/pushsnapshot"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(pushsnapshot.Command()) }
