package install

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/mod/modfile"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// pin is a program that a module below bundles/platform pins.
type pin struct {
	title  string
	module string // folder below bundles/platform, and path below platform/ in the registry
	path   string // path of the Go module that has the program and its manifests
	takes  string // how long its first build takes
	adapt  func([]*unstructured.Unstructured, edit) ([]*unstructured.Unstructured, error)
}

var (
	tekton = pin{
		title: "Tekton", module: "tekton", path: "github.com/tektoncd/pipeline",
		takes: "8 images, about 6 minutes on two cores", adapt: adaptTekton,
	}
	chains = pin{
		title: "Chains", module: "chains", path: "github.com/tektoncd/chains",
		takes: "1 image, about 5 minutes on two cores", adapt: adaptChains,
	}
)

// dir is the pinning module's folder.
func (p pin) dir(source string) string { return filepath.Join(source, "bundles", "platform", p.module) }

// version is the one that the module requires.
func (p pin) version(source string) (string, error) {
	file := filepath.Join(p.dir(source), "go.mod")
	content, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("reading the pinned version: %w", err)
	}
	mod, err := modfile.ParseLax(file, content, nil)
	if err != nil {
		return "", err
	}
	for _, require := range mod.Require {
		if require.Mod.Path == p.path {
			return require.Mod.Version, nil
		}
	}
	return "", fmt.Errorf("%s does not require %s", file, p.path)
}
