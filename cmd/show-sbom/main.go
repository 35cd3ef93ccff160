// Command show-sbom prints what is in an image.
package main

import (
	"github.com/headrace-ci/headrace/pkg/task/showsbom"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(showsbom.Command()) }
