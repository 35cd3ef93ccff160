// Command build-image-index makes one index of the images of a build.
package main

import (
	"github.com/headrace-ci/headrace/pkg/task/buildimageindex"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(buildimageindex.Command()) }
