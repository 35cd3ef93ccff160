// Command git-clone clones a repository at a revision.
package main

import (
	"github.com/headrace-ci/headrace/pkg/task/gitclone"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(gitclone.Command()) }
