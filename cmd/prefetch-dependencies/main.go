// Command prefetch-dependencies fetches what a build without network needs.
package main

import (
	"github.com/headrace-ci/headrace/pkg/task/prefetchdependencies"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(prefetchdependencies.Command()) }
