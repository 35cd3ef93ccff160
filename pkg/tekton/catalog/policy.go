package catalog

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"sigs.k8s.io/yaml"

	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/tekton/bundle"
)

// Media types of a policy bundle, as conftest pushes and ec pulls them.
const (
	policyConfig     types.MediaType = "application/vnd.cncf.openpolicyagent.config.v1+json"
	policyLayer      types.MediaType = "application/vnd.cncf.openpolicyagent.policy.layer.v1+rego"
	dataLayer        types.MediaType = "application/vnd.cncf.openpolicyagent.data.layer.v1+json"
	titleKey                         = "org.opencontainers.image.title"
	trustedTasksFile                 = "data/trusted_tasks.yml"
)

// policies pushes the rules and the data they work on, and writes where they
// are into the lock. Part of the data is the list of the tasks just pushed, and
// of those they replaced not long ago: whoever believes it believes those
// bundles and no others.
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
	before, err := published(ctx, p.Before.data(), trustedTasksFile)
	if err != nil {
		return fmt.Errorf("reading the data that was published before: %w", err)
	}
	if data[trustedTasksFile], err = TrustedTasks(lock.Tasks, before, time.Now()); err != nil {
		return err
	}
	if lock.Policy, err = p.pushFiles(ctx, "policy", rules, policyLayer); err != nil {
		return err
	}
	lock.Data, err = p.pushFiles(ctx, "data", data, dataLayer)
	return err
}

// supersededFor is how long a task that a newer one replaced stays trusted:
// what was built with it is still to be released.
const supersededFor = 60 * 24 * time.Hour

// trust is a digest that is trusted, and until when.
type trust struct {
	Ref         string `json:"ref"`
	EffectiveOn string `json:"effective_on,omitempty"`
	ExpiresOn   string `json:"expires_on,omitempty"`
}

// TrustedTasks is the rule data that trusts the given bundles, which are
// references by tag and digest, and for a time those that the data before
// trusted. Without a change it is the data before.
func TrustedTasks(tasks map[string]string, before []byte, now time.Time) ([]byte, error) {
	var data struct {
		Trusted map[string][]trust `json:"trusted_tasks"`
	}
	if err := yaml.Unmarshal(before, &data); err != nil {
		return nil, fmt.Errorf("reading the trusted tasks before: %w", err)
	}
	if data.Trusted == nil {
		data.Trusted = map[string][]trust{}
	}
	current := map[string]bool{}
	for name, ref := range tasks {
		tagged, digest, ok := strings.Cut(ref, "@")
		if !ok {
			return nil, fmt.Errorf("task %s: bundle %q has no digest", name, ref)
		}
		key := "oci://" + tagged
		current[key+"@"+digest] = true
		entries := slices.DeleteFunc(data.Trusted[key], func(t trust) bool { return t.Ref == digest && t.ExpiresOn != "" })
		if !slices.ContainsFunc(entries, func(t trust) bool { return t.Ref == digest }) {
			entries = append([]trust{{Ref: digest, EffectiveOn: now.UTC().Format(time.RFC3339)}}, entries...)
		}
		data.Trusted[key] = entries
	}
	for key, entries := range data.Trusted {
		for i := range entries {
			if entries[i].ExpiresOn == "" && !current[key+"@"+entries[i].Ref] {
				entries[i].ExpiresOn = now.Add(supersededFor).UTC().Format(time.RFC3339)
			}
		}
		data.Trusted[key] = slices.DeleteFunc(entries, func(t trust) bool {
			until, err := time.Parse(time.RFC3339, t.ExpiresOn)
			return t.ExpiresOn != "" && (err != nil || until.Before(now))
		})
	}
	return yaml.Marshal(data)
}

// data is where the data of a publication is, by digest; "" without one.
func (l *Lock) data() string {
	if l == nil {
		return ""
	}
	return l.Data
}

// published returns a file of an artifact that was published before; nothing
// where there is none. It is asked for by digest: what is at the artifact's tag
// now, somebody else may have put there, and trust is not to be had that way.
func published(ctx context.Context, digest, title string) ([]byte, error) {
	if digest == "" {
		return nil, nil
	}
	ref, err := name.NewDigest(digest)
	if err != nil {
		return nil, err
	}
	img, err := remote.Image(ref, oci.Options(ctx)...)
	if oci.NotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, oci.Explain(err)
	}
	manifest, err := img.Manifest()
	if err != nil {
		return nil, err
	}
	for _, descriptor := range manifest.Layers {
		if descriptor.Annotations[titleKey] != title {
			continue
		}
		layer, err := img.LayerByDigest(descriptor.Digest)
		if err != nil {
			return nil, err
		}
		content, err := layer.Compressed() // as it is: a file, and no archive
		if err != nil {
			return nil, err
		}
		defer content.Close()
		return io.ReadAll(content)
	}
	return nil, nil
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
