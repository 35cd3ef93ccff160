package pipeline

import (
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"k8s.io/apimachinery/pkg/selection"
)

// Where the tasks of a build hand on what they made.
const (
	source   = "$(tasks.prefetch-dependencies.results.SOURCE_ARTIFACT)"
	cachi2   = "$(tasks.prefetch-dependencies.results.CACHI2_ARTIFACT)"
	imageURL = "$(tasks.build-image-index.results.IMAGE_URL)"
	digest   = "$(tasks.build-image-index.results.IMAGE_DIGEST)"
)

// dockerBuildOCITA builds one image from a Containerfile, handing everything
// on as trusted artifacts.
func dockerBuildOCITA() *tektonv1.Pipeline {
	var tasks []tektonv1.PipelineTask
	for _, part := range [][]tektonv1.PipelineTask{sources(), buildContainer(), index(), checks()} {
		tasks = append(tasks, part...)
	}
	return named("docker-build-oci-ta", "0.1.0", map[string]string{
		"pipelines.openshift.io/used-by": "build-cloud", "pipelines.openshift.io/runtime": "generic",
		"pipelines.openshift.io/strategy": "docker",
	}, tektonv1.PipelineSpec{
		Description: "Builds an image from a Containerfile at a git commit, checks source and image, and records what it built from.",
		Params:      buildParams(),
		Workspaces: []tektonv1.PipelineWorkspaceDeclaration{
			{Name: "git-auth", Optional: true, Description: "Secret with a login to the git host."},
			{Name: "netrc", Optional: true, Description: "Secret with logins to the hosts of dependencies."},
		},
		Tasks: tasks,
		Results: []tektonv1.PipelineResult{
			result("IMAGE_URL", imageURL),
			result("IMAGE_DIGEST", digest),
			result("CHAINS-GIT_URL", "$(tasks.clone-repository.results.url)"),
			result("CHAINS-GIT_COMMIT", "$(tasks.clone-repository.results.commit)"),
		},
	})
}

func buildParams() []tektonv1.ParamSpec {
	return []tektonv1.ParamSpec{
		param("git-url", "Repository to build from."),
		param("revision", "Branch, tag or commit to build.", ""),
		param("output-image", "Repository and tag of the image to build."),
		param("path-context", "Folder of the source to build in.", "."),
		param("dockerfile", "Path of the Containerfile below path-context.", "Dockerfile"),
		param("skip-checks", "Leave out the checks of source and image.", "false"),
		param("hermetic", "Build without network.", "false"),
		param("prefetch-input", "Dependencies to fetch before the build, as JSON.", ""),
		param("image-expires-after", "When the registry may delete what is built, such as 5d; never when empty.", ""),
		param("build-image-index", "Make an index of the image, also of one.", "false"),
		param("buildah-format", "Media types of the image: oci or docker.", "docker"),
		param("enable-cache-proxy", "Go through the cluster's caching proxy.", "false"),
		param("enable-package-registry-proxy", "Fetch dependencies through the cluster's proxy for them.", "true"),
		param("sast-target-dirs", "Folders of the source to check, separated by commas.", "."),
		arrayParam("build-args", "Build arguments, as NAME=value."),
		param("build-args-file", "File in the source with build arguments.", ""),
		param("privileged-nested", "Run the build privileged.", "false"),
		param("source-date-epoch", "Time of the image, in seconds since 1970.", ""),
		param("rewrite-timestamp", "Set the files' times to source-date-epoch.", "false"),
		param("omit-history", "Leave the history out of the image.", "false"),
	}
}

func sources() []tektonv1.PipelineTask {
	clone := task("clone-repository", "git-clone-oci-ta", with(
		"url", "$(params.git-url)", "revision", "$(params.revision)",
		"ociStorage", "$(params.output-image).git", "ociArtifactExpiresAfter", "$(params.image-expires-after)",
	), "init")
	clone.Workspaces = []tektonv1.WorkspacePipelineTaskBinding{{Name: "basic-auth", Workspace: "git-auth"}}
	prefetch := task("prefetch-dependencies", "prefetch-dependencies-oci-ta", with(
		"input", "$(params.prefetch-input)", "SOURCE_ARTIFACT", "$(tasks.clone-repository.results.SOURCE_ARTIFACT)",
		"ociStorage", "$(params.output-image).prefetch", "ociArtifactExpiresAfter", "$(params.image-expires-after)",
		"enable-package-registry-proxy", "$(params.enable-package-registry-proxy)",
	), "clone-repository")
	prefetch.Workspaces = []tektonv1.WorkspacePipelineTaskBinding{
		{Name: "git-basic-auth", Workspace: "git-auth"}, {Name: "netrc", Workspace: "netrc"},
	}
	return []tektonv1.PipelineTask{
		task("init", "init", with("enable-cache-proxy", "$(params.enable-cache-proxy)")), clone, prefetch,
	}
}

func buildContainer() []tektonv1.PipelineTask {
	return []tektonv1.PipelineTask{task("build-container", "buildah-oci-ta", with(
		"IMAGE", "$(params.output-image)", "DOCKERFILE", "$(params.dockerfile)", "CONTEXT", "$(params.path-context)",
		"HERMETIC", "$(params.hermetic)", "PREFETCH_INPUT", "$(params.prefetch-input)",
		"IMAGE_EXPIRES_AFTER", "$(params.image-expires-after)", "COMMIT_SHA", "$(tasks.clone-repository.results.commit)",
		"SOURCE_URL", "$(tasks.clone-repository.results.url)", "BUILD_ARGS_FILE", "$(params.build-args-file)",
		"PRIVILEGED_NESTED", "$(params.privileged-nested)", "SOURCE_ARTIFACT", source, "CACHI2_ARTIFACT", cachi2,
		"BUILDAH_FORMAT", "$(params.buildah-format)", "HTTP_PROXY", "$(tasks.init.results.http-proxy)",
		"NO_PROXY", "$(tasks.init.results.no-proxy)", "SOURCE_DATE_EPOCH", "$(params.source-date-epoch)",
		"REWRITE_TIMESTAMP", "$(params.rewrite-timestamp)", "OMIT_HISTORY", "$(params.omit-history)",
	).list("BUILD_ARGS", "$(params.build-args[*])"), "prefetch-dependencies")}
}

func index() []tektonv1.PipelineTask {
	return []tektonv1.PipelineTask{task("build-image-index", "build-image-index", with(
		"IMAGE", "$(params.output-image)", "ALWAYS_BUILD_INDEX", "$(params.build-image-index)",
		"BUILDAH_FORMAT", "$(params.buildah-format)",
	).list("IMAGES", "$(tasks.build-container.results.IMAGE_URL)@$(tasks.build-container.results.IMAGE_DIGEST)"), "build-container")}
}

// checks look at the source and at the image; skip-checks leaves them out.
func checks() []tektonv1.PipelineTask {
	tasks := []tektonv1.PipelineTask{
		task("sast-unicode-check", "sast-unicode-check-oci-ta", with(
			"image-url", imageURL, "image-digest", digest, "SOURCE_ARTIFACT", source, "CACHI2_ARTIFACT", cachi2,
			"TARGET_DIRS", "$(params.sast-target-dirs)",
		), "build-image-index"),
		task("rpms-signature-scan", "rpms-signature-scan", with("image-url", imageURL, "image-digest", digest), "build-image-index"),
	}
	for i := range tasks {
		tasks[i].When = tektonv1.WhenExpressions{{Input: "$(params.skip-checks)", Operator: selection.In, Values: []string{"false"}}}
	}
	return tasks
}
