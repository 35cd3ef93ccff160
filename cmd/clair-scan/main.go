// Command clair-scan lists an image's known vulnerabilities.
package main

import (
	"github.com/headrace-ci/headrace/pkg/task/clairscan"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(clairscan.Command()) }
