// Command catalog generates, checks and publishes the tasks and pipelines.
package main

import (
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/catalog"
)

func main() { taskcli.Main(catalog.Command()) }
