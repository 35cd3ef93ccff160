// Command artifact passes files between tasks through a registry, by digest.
package main

import (
	"github.com/headrace-ci/headrace/pkg/task/artifact"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(artifact.Command()) }
