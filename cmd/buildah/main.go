// Command buildah builds an image from a Containerfile and pushes it.
package main

import (
	"github.com/headrace-ci/headrace/cmd/buildah/engine"
	"github.com/headrace-ci/headrace/pkg/task/buildah"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() {
	if engine.Start() {
		return
	}
	taskcli.Main(buildah.Command(engine.Engine{}))
}
