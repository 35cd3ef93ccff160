// Command test-metadata tells an integration test what it tests.
package main

import (
	"github.com/headrace-ci/headrace/pkg/task/testmetadata"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(testmetadata.Command()) }
