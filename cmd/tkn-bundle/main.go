// Command tkn-bundle packs Tekton objects of a source into a bundle.
package main

import (
	"github.com/headrace-ci/headrace/pkg/task/tknbundle"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(tknbundle.Command()) }
