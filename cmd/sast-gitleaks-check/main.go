// Command sast-gitleaks-check looks for secrets in a source, by the rules of
// gitleaks.
package main

import (
	"github.com/headrace-ci/headrace/cmd/sast-gitleaks-check/gitleaks"
	"github.com/headrace-ci/headrace/pkg/task/sastgitleakscheck"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(sastgitleakscheck.Command(gitleaks.New)) }
