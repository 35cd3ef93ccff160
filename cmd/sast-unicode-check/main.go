// Command sast-unicode-check looks for control characters in a source.
package main

import (
	"github.com/headrace-ci/headrace/pkg/task/sastunicodecheck"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(sastunicodecheck.Command()) }
