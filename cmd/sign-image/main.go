// Command sign-image signs images where they are released.
package main

import (
	"github.com/headrace-ci/headrace/pkg/task/signimage"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(signimage.Command()) }
