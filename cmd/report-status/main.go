// Command report-status tells a git host what became of tests.
package main

import (
	"github.com/headrace-ci/headrace/pkg/task/reportstatus"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(reportstatus.Command()) }
