// Command kube is the Kubernetes control plane, the node agents, kubectl and
// etcd in one binary, built from pinned Go modules. The first argument, or the
// name it is called by, picks the program, so one link serves all of them.
package main

import (
	"fmt"
	"os"
)

func main() {
	program, err := pick()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Exit(program())
}
