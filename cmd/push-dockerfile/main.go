// Command push-dockerfile keeps the Containerfile of an image beside it.
package main

import (
	"github.com/headrace-ci/headrace/pkg/task/pushdockerfile"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(pushdockerfile.Command()) }
