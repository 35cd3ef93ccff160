// Command rpms-signature-scan counts an image's RPM packages by signing key.
package main

import (
	"github.com/headrace-ci/headrace/pkg/task/rpmssignaturescan"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func main() { taskcli.Main(rpmssignaturescan.Command()) }
