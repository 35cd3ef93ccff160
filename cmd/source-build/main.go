// Command source-build makes an image of the sources of an image.
package main

import (
	"github.com/headrace-ci/headrace/pkg/task/sourcebuild"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(sourcebuild.Command()) }
