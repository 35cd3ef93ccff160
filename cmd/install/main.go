// Command install puts Tekton, Chains and Headrace on a cluster.
package main

import (
	"github.com/headrace-ci/headrace/pkg/install"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(install.Command()) }
