package pipeline

import (
	"slices"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"k8s.io/apimachinery/pkg/selection"
)

// Where the tasks of a build hand on what they made. After the prefetch, its
// source is the one to use: it may have rewritten what it got.
const (
	source   = "$(tasks.prefetch-dependencies.results.SOURCE_ARTIFACT)"
	cachi2   = "$(tasks.prefetch-dependencies.results.CACHI2_ARTIFACT)"
	imageURL = "$(tasks.build-image-index.results.IMAGE_URL)"
	digest   = "$(tasks.build-image-index.results.IMAGE_DIGEST)"
)

// dockerBuildOCITA builds one image from a Containerfile, handing everything
// on as trusted artifacts.
func dockerBuildOCITA() *tektonv1.Pipeline {
	return build("docker-build-oci-ta", "0.2.0", labels("docker"),
		"Builds an image from a Containerfile at a git commit, checks source and image, and records what it built from.",
		append(commonParams(), containerfileParams()...),
		sources(), buildContainer(), index("$(tasks.build-container.results.IMAGE_URL)@$(tasks.build-container.results.IMAGE_DIGEST)", "$(params.buildah-format)", "build-container"),
		sourceImage(), checks(sourceChecks(), imageChecks()), tags(), containerfile(),
	)
}

// dockerBuildMultiPlatformOCITA builds an image for several platforms, each in
// a task of its own, and makes one index of them.
func dockerBuildMultiPlatformOCITA() *tektonv1.Pipeline {
	images := buildContainer()
	each := &images[0]
	each.Name, each.TaskRef.Name = "build-images", "buildah-remote-oci-ta"
	each.Params = append(each.Params, with("IMAGE_APPEND_PLATFORM", "true")...)
	each.Matrix = &tektonv1.Matrix{Params: tektonv1.Params(with("PLATFORM", "$(params.build-platforms[*])"))}
	params := append(commonParams(), containerfileParams()...)
	for i := range params {
		if params[i].Name == "build-image-index" {
			params[i].Default = tektonv1.NewStructuredValues("true")
		}
	}
	platforms := arrayParam("build-platforms", "Platforms to build for, such as linux/x86_64.")
	platforms.Default.ArrayVal = []string{"linux/x86_64"}
	return build("docker-build-multi-platform-oci-ta", "0.1.0", labels("docker"),
		"Builds an image for several platforms from a Containerfile at a git commit, checks source and images, and records what they were built from.",
		append(params, platforms),
		sources(), images, index("$(tasks.build-images.results.IMAGE_REF[*])", "$(params.buildah-format)", "build-images"),
		sourceImage(), checks(sourceChecks(), imageChecks()), tags(), containerfile(),
	)
}

// tektonBundleBuilderOCITA packs Tekton objects into a bundle.
func tektonBundleBuilderOCITA() *tektonv1.Pipeline {
	bundle := task("build-container", "tkn-bundle-oci-ta", with(
		"IMAGE", "$(params.output-image)", "CONTEXT", "$(params.path-context)",
		"URL", "$(tasks.clone-repository.results.url)", "REVISION", "$(tasks.clone-repository.results.commit)", "SOURCE_ARTIFACT", source,
	), "prefetch-dependencies")
	return build("tekton-bundle-builder-oci-ta", "0.1.0", labels("tekton-bundle"),
		"Packs Tekton tasks or pipelines at a git commit into a bundle, checks their source, and records what it packed.",
		without(commonParams(), "build-source-image", "buildah-format", "dockerfile", "hermetic"),
		sources(), []tektonv1.PipelineTask{bundle},
		index("$(tasks.build-container.results.IMAGE_URL)@$(tasks.build-container.results.IMAGE_DIGEST)", "oci", "build-container"),
		checks(sourceChecks()), tags(),
	)
}

// build is a pipeline that makes an image of a commit.
func build(name, version string, labels map[string]string, description string, params []tektonv1.ParamSpec, parts ...[]tektonv1.PipelineTask) *tektonv1.Pipeline {
	var tasks []tektonv1.PipelineTask
	for _, part := range parts {
		tasks = append(tasks, part...)
	}
	return named(name, version, labels, tektonv1.PipelineSpec{
		Description: description,
		Params:      params,
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

// labels are those by which a pipeline is found, and by which a policy tells
// what it builds.
func labels(strategy string) map[string]string {
	return map[string]string{
		"pipelines.openshift.io/used-by": "build-cloud", "pipelines.openshift.io/runtime": "generic", "pipelines.openshift.io/strategy": strategy,
	}
}

func commonParams() []tektonv1.ParamSpec {
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
		param("build-source-image", "Make an image of the sources too.", "false"),
		param("build-image-index", "Make an index of the image, also of one.", "false"),
		param("buildah-format", "Media types of the image: oci or docker.", "docker"),
		param("enable-cache-proxy", "Go through the cluster's caching proxy.", "false"),
		param("enable-package-registry-proxy", "Fetch dependencies through the cluster's proxy for them.", "true"),
		param("sast-target-dirs", "Folders of the source to check, separated by commas.", "."),
	}
}

func containerfileParams() []tektonv1.ParamSpec {
	return []tektonv1.ParamSpec{
		arrayParam("build-args", "Build arguments, as NAME=value."),
		param("build-args-file", "File in the source with build arguments.", ""),
		param("privileged-nested", "Run the build privileged.", "false"),
		param("source-date-epoch", "Time of the image, in seconds since 1970.", ""),
		param("rewrite-timestamp", "Set the files' times to source-date-epoch.", "false"),
		param("omit-history", "Leave the history out of the image.", "false"),
	}
}

// without is params less those that a pipeline has no use for.
func without(params []tektonv1.ParamSpec, names ...string) []tektonv1.ParamSpec {
	return slices.DeleteFunc(params, func(p tektonv1.ParamSpec) bool { return slices.Contains(names, p.Name) })
}

// sources clones, and fetches dependencies ahead of the build.
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

// index makes the index of what the task after built.
func index(images, format, after string) []tektonv1.PipelineTask {
	return []tektonv1.PipelineTask{task("build-image-index", "build-image-index", with(
		"IMAGE", "$(params.output-image)", "ALWAYS_BUILD_INDEX", "$(params.build-image-index)", "BUILDAH_FORMAT", format,
	).list("IMAGES", images), after)}
}

// sourceImage keeps the sources, for who asks for it.
func sourceImage() []tektonv1.PipelineTask {
	t := task("build-source-image", "source-build-oci-ta", with(
		"BINARY_IMAGE", imageURL, "BINARY_IMAGE_DIGEST", digest, "SOURCE_ARTIFACT", source, "CACHI2_ARTIFACT", cachi2,
	), "build-image-index")
	t.When = whenIs("$(params.build-source-image)", "true")
	return []tektonv1.PipelineTask{t}
}

// checks are left out by skip-checks.
func checks(lists ...[]tektonv1.PipelineTask) []tektonv1.PipelineTask {
	var tasks []tektonv1.PipelineTask
	for _, list := range lists {
		for _, t := range list {
			t.When = append(whenIs("$(params.skip-checks)", "false"), t.When...)
			tasks = append(tasks, t)
		}
	}
	return tasks
}

func sourceChecks() []tektonv1.PipelineTask {
	return []tektonv1.PipelineTask{
		task("sast-unicode-check", "sast-unicode-check-oci-ta", with(
			"image-url", imageURL, "image-digest", digest, "SOURCE_ARTIFACT", source, "CACHI2_ARTIFACT", cachi2,
			"TARGET_DIRS", "$(params.sast-target-dirs)",
		), "build-image-index"),
	}
}

func imageChecks() []tektonv1.PipelineTask {
	return []tektonv1.PipelineTask{
		task("rpms-signature-scan", "rpms-signature-scan", with("image-url", imageURL, "image-digest", digest), "build-image-index"),
	}
}

func tags() []tektonv1.PipelineTask {
	return []tektonv1.PipelineTask{task("apply-tags", "apply-tags", with("IMAGE_URL", imageURL, "IMAGE_DIGEST", digest), "build-image-index")}
}

// containerfile keeps what the image was built from.
func containerfile() []tektonv1.PipelineTask {
	return []tektonv1.PipelineTask{task("push-dockerfile", "push-dockerfile-oci-ta", with(
		"IMAGE", imageURL, "IMAGE_DIGEST", digest, "DOCKERFILE", "$(params.dockerfile)", "CONTEXT", "$(params.path-context)", "SOURCE_ARTIFACT", source,
	), "build-image-index")}
}

func whenIs(input, value string) tektonv1.WhenExpressions {
	return tektonv1.WhenExpressions{{Input: input, Operator: selection.In, Values: []string{value}}}
}
