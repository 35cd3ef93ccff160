// Command sast-snyk-check runs Snyk Code over a source.
package main

import (
	"github.com/headrace-ci/headrace/pkg/task/sastsnykcheck"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(sastsnykcheck.Command()) }
