package pipeline

import (
	"slices"
	"strings"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
)

// dockerBuild is docker-build-oci-ta with a volume in the place of artifacts.
func dockerBuild() *tektonv1.Pipeline {
	return inWorkspace(dockerBuildOCITA(), "docker-build", "0.1.0")
}

// tektonBundleBuilder is tekton-bundle-builder-oci-ta with a volume in the
// place of artifacts. Nothing that it makes can expire.
func tektonBundleBuilder() *tektonv1.Pipeline {
	return inWorkspace(tektonBundleBuilderOCITA(), "tekton-bundle-builder", "0.1.0", "image-expires-after")
}

// volume is the pipelines' workspace for what tasks hand on.
const volume = "workspace"

// sourceWorkspaces are the names of that workspace in tasks that do not call it
// workspace.
var sourceWorkspaces = map[string]string{
	"git-clone": "output", "prefetch-dependencies": "source", "buildah": "source", "tkn-bundle": "source",
}

// inWorkspace is a pipeline whose tasks hand on files in a volume, made from one
// whose tasks hand on trusted artifacts: each task is the one that is named
// like it without -oci-ta. Anything that runs in the namespace can change what
// is in the volume, so a policy that asks for trusted artifacts refuses what it
// builds, unless all its tasks are trusted.
func inWorkspace(p *tektonv1.Pipeline, name, version string, unused ...string) *tektonv1.Pipeline {
	const suffix = "-oci-ta"
	p = p.DeepCopy()
	p.Name, p.Labels["app.kubernetes.io/version"] = name, version
	p.Spec.Params = without(p.Spec.Params, unused...)
	p.Spec.Workspaces = append([]tektonv1.PipelineWorkspaceDeclaration{
		{Name: volume, Description: "Volume for the source and what was prefetched for it."},
	}, p.Spec.Workspaces...)
	for i := range p.Spec.Tasks {
		t := &p.Spec.Tasks[i]
		ref, ok := strings.CutSuffix(t.TaskRef.Name, suffix)
		if !ok {
			continue
		}
		t.TaskRef.Name = ref
		t.Params = slices.DeleteFunc(t.Params, func(p tektonv1.Param) bool {
			return strings.HasSuffix(p.Name, "_ARTIFACT") || p.Name == "ociStorage" || p.Name == "ociArtifactExpiresAfter"
		})
		inTask, ok := sourceWorkspaces[ref]
		if !ok {
			inTask = volume
		}
		t.Workspaces = append([]tektonv1.WorkspacePipelineTaskBinding{{Name: inTask, Workspace: volume}}, t.Workspaces...)
	}
	return p
}
