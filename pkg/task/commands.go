// Package task lists the tasks' commands, for whoever needs all of them: the
// headrace command, and the test that holds Tasks and programs together.
package task

import (
	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/task/applymapping"
	"github.com/headrace-ci/headrace/pkg/task/applytags"
	"github.com/headrace-ci/headrace/pkg/task/artifact"
	"github.com/headrace-ci/headrace/pkg/task/attachsbom"
	"github.com/headrace-ci/headrace/pkg/task/buildah"
	"github.com/headrace-ci/headrace/pkg/task/buildimageindex"
	"github.com/headrace-ci/headrace/pkg/task/clairscan"
	"github.com/headrace-ci/headrace/pkg/task/clamavscan"
	"github.com/headrace-ci/headrace/pkg/task/collectdata"
	"github.com/headrace-ci/headrace/pkg/task/collecttaskparams"
	"github.com/headrace-ci/headrace/pkg/task/coverityavailabilitycheck"
	"github.com/headrace-ci/headrace/pkg/task/deprecatedimagecheck"
	"github.com/headrace-ci/headrace/pkg/task/ecosystemcertpreflightchecks"
	"github.com/headrace-ci/headrace/pkg/task/getsnapshot"
	"github.com/headrace-ci/headrace/pkg/task/gitclone"
	"github.com/headrace-ci/headrace/pkg/task/initialize"
	"github.com/headrace-ci/headrace/pkg/task/prefetchdependencies"
	"github.com/headrace-ci/headrace/pkg/task/pushdockerfile"
	"github.com/headrace-ci/headrace/pkg/task/pushsnapshot"
	"github.com/headrace-ci/headrace/pkg/task/reducesnapshot"
	"github.com/headrace-ci/headrace/pkg/task/reportstatus"
	"github.com/headrace-ci/headrace/pkg/task/rpmssignaturescan"
	"github.com/headrace-ci/headrace/pkg/task/sastgitleakscheck"
	"github.com/headrace-ci/headrace/pkg/task/sastshellcheck"
	"github.com/headrace-ci/headrace/pkg/task/sastsnykcheck"
	"github.com/headrace-ci/headrace/pkg/task/sastunicodecheck"
	"github.com/headrace-ci/headrace/pkg/task/showsbom"
	"github.com/headrace-ci/headrace/pkg/task/signimage"
	"github.com/headrace-ci/headrace/pkg/task/sourcebuild"
	"github.com/headrace-ci/headrace/pkg/task/summary"
	"github.com/headrace-ci/headrace/pkg/task/testmetadata"
	"github.com/headrace-ci/headrace/pkg/task/tknbundle"
	"github.com/headrace-ci/headrace/pkg/task/updatecrstatus"
	"github.com/headrace-ci/headrace/pkg/task/verifyconforma"
)

// Commands is every command by the name of its program.
func Commands() map[string]*cobra.Command {
	commands := map[string]*cobra.Command{}
	for _, cmd := range []*cobra.Command{
		artifact.Command(),
		attachsbom.Command(),
		buildah.Command(nil), // its engine is in a module of its own
		buildimageindex.Command(),
		gitclone.Command(),
		applytags.Command(),
		pushdockerfile.Command(),
		showsbom.Command(),
		sourcebuild.Command(),
		summary.Command(),
		tknbundle.Command(),
		initialize.Command(),
		prefetchdependencies.Command(),
		rpmssignaturescan.Command(),
		sastshellcheck.Command(),
		sastsnykcheck.Command(),
		coverityavailabilitycheck.Command(),
		clairscan.Command(),
		deprecatedimagecheck.Command(),
		clamavscan.Command(),
		sastgitleakscheck.Command(nil),
		ecosystemcertpreflightchecks.Command(),
		sastunicodecheck.Command(),
		applymapping.Command(),
		collectdata.Command(),
		collecttaskparams.Command(),
		pushsnapshot.Command(),
		reducesnapshot.Command(),
		reportstatus.Command(),
		signimage.Command(),
		updatecrstatus.Command(),
		getsnapshot.Command(),
		testmetadata.Command(),
		verifyconforma.Command(),
	} {
		commands[cmd.Name()] = cmd
	}
	return commands
}
