// Command sast-shell-check runs ShellCheck over a source.
package main

import (
	"github.com/headrace-ci/headrace/pkg/task/sastshellcheck"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(sastshellcheck.Command()) }
