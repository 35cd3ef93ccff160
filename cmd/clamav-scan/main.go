// Command clamav-scan looks for malware in an image.
package main

import (
	"github.com/headrace-ci/headrace/pkg/task/clamavscan"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(clamavscan.Command()) }
