// Command cluster runs a real one-node Kubernetes with a registry on a bare
// machine, in namespaces of its own.
package main

import (
	"fmt"
	"os"

	"github.com/headrace-ci/headrace/test/cluster/command"
)

func main() {
	if err := command.Root().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}
