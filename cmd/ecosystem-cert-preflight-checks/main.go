// Command ecosystem-cert-preflight-checks checks an image for what Red Hat's
// certification asks of it.
package main

import (
	"github.com/headrace-ci/headrace/pkg/task/ecosystemcertpreflightchecks"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(ecosystemcertpreflightchecks.Command()) }
