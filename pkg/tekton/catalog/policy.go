package catalog

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"sigs.k8s.io/yaml"

	"github.com/headrace-ci/headrace/pkg/tekton/bundle"
)

// Media types of a policy bundle, as conftest pushes and ec pulls them.
const (
	policyConfig types.MediaType = "application/vnd.cncf.openpolicyagent.config.v1+json"
	policyLayer  types.MediaType = "application/vnd.cncf.openpolicyagent.policy.layer.v1+rego"
	dataLayer    types.MediaType = "application/vnd.cncf.openpolicyagent.data.layer.v1+json"
	titleKey                     = "org.opencontainers.image.title"
)

// policies pushes the rules and the data they work on, and writes where they
// are into the lock. Part of the data is the list of the tasks just pushed:
// whoever believes it believes those bundles and no others.
func (p Publisher) policies(ctx context.Context, lock *Lock) error {
	rules, err := files(filepath.Join(p.Root, "policies", "release"), "policy", func(name string) bool {
		return strings.HasSuffix(name, ".rego") && !strings.HasSuffix(name, "_test.rego")
	})
	if err != nil {
		return err
	}
	data, err := files(filepath.Join(p.Root, "policies", "data"), "data", func(name string) bool { return strings.HasSuffix(name, ".yml") })
	if err != nil {
		return err
	}
	if data["data/trusted_tasks.yml"], err = TrustedTasks(lock.Tasks); err != nil {
		return err
	}
	if lock.Policy, err = p.pushFiles(ctx, "policy", rules, policyLayer); err != nil {
		return err
	}
	lock.Data, err = p.pushFiles(ctx, "data", data, dataLayer)
	return err
}

// TrustedTasks is the rule data that trusts exactly the given bundles, which
// are references by tag and digest.
func TrustedTasks(tasks map[string]string) ([]byte, error) {
	type entry struct {
		Ref         string `json:"ref"`
		EffectiveOn string `json:"effective_on"`
	}
	trusted := map[string][]entry{}
	for name, ref := range tasks {
		tagged, digest, ok := strings.Cut(ref, "@")
		if !ok {
			return nil, fmt.Errorf("task %s: bundle %q has no digest", name, ref)
		}
		trusted["oci://"+tagged] = []entry{{Ref: digest, EffectiveOn: "2026-01-01T00:00:00Z"}}
	}
	return yaml.Marshal(map[string]any{"trusted_tasks": trusted})
}

// files reads those of a folder that are wanted, by the name they are to have.
func files(dir, under string, wanted func(string) bool) (map[string][]byte, error) {
	found := map[string][]byte{}
	err := filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !wanted(entry.Name()) {
			return err
		}
		content, err := os.ReadFile(file)
		found[path.Join(under, entry.Name())] = content
		return err
	})
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("%s holds nothing to publish", dir)
	}
	return found, err
}

// pushFiles pushes files as the layers of one artifact.
func (p Publisher) pushFiles(ctx context.Context, name string, contents map[string][]byte, media types.MediaType) (string, error) {
	img, err := FileArtifact(contents, media)
	if err != nil {
		return "", err
	}
	ref, _, err := bundle.Push(ctx, p.Registry+"/catalog/"+name, []string{"latest"}, img)
	if err != nil {
		return "", err
	}
	return ref.String(), nil
}

// FileArtifact is an artifact of files, each a layer with its name as title.
func FileArtifact(contents map[string][]byte, media types.MediaType) (v1.Image, error) {
	var layers []mutate.Addendum
	for _, name := range slices.Sorted(maps.Keys(contents)) {
		layers = append(layers, mutate.Addendum{
			Layer: static.NewLayer(bytes.Clone(contents[name]), media), Annotations: map[string]string{titleKey: name},
		})
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), policyConfig)
	return mutate.Append(img, layers...)
}
