// Command apply-tags gives an image more tags.
package main

import (
	"github.com/headrace-ci/headrace/pkg/task/applytags"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(applytags.Command()) }
