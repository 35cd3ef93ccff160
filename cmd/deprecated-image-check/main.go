// Command deprecated-image-check looks for base images nobody maintains.
package main

import (
	"github.com/headrace-ci/headrace/pkg/task/deprecatedimagecheck"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(deprecatedimagecheck.Command()) }
