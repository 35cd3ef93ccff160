// Command verify-conforma is the steps around ec that hold images to a policy.
package main

import (
	"github.com/headrace-ci/headrace/pkg/task/verifyconforma"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(verifyconforma.Command()) }
