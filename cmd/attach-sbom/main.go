// Command attach-sbom lists what a built image holds and attaches the list.
package main

import (
	"github.com/headrace-ci/headrace/pkg/task/attachsbom"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(attachsbom.Command()) }
