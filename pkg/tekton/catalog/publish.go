package catalog

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"sigs.k8s.io/yaml"

	"github.com/headrace-ci/headrace/pkg/ko"
	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/tekton/bundle"
)

// Publisher pushes the catalog to a registry.
type Publisher struct {
	Root     string // the repository
	Registry string // host and optional prefix
	Ko       string // path of ko
	Before   *Lock  // of the last publication there; nil for none
	Out      io.Writer
}

// Lock is what a registry holds of the catalog: references by tag and digest.
type Lock struct {
	Registry  string            `json:"registry"`
	Tasks     map[string]string `json:"tasks"`
	Pipelines map[string]string `json:"pipelines"`
	Policy    string            `json:"policy,omitempty"` // rules, for ec
	Data      string            `json:"data,omitempty"`   // what the rules work on, for ec
}

// ReadLock reads what Publish returned, from a file.
func ReadLock(file string) (*Lock, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var l Lock
	if err := yaml.UnmarshalStrict(raw, &l); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &l, nil
}

// Publish builds the tasks' images, packs every task and pipeline and pushes
// what the registry does not have.
func (p Publisher) Publish(ctx context.Context) (*Lock, error) {
	lock := &Lock{Registry: p.Registry, Tasks: map[string]string{}, Pipelines: map[string]string{}}
	tasks, err := Tasks(filepath.Join(p.Root, "tasks"))
	if err != nil {
		return nil, err
	}
	pipelines, err := Pipelines(filepath.Join(p.Root, "pipelines"))
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(p.Out, "building the images of %d tasks\n", len(tasks))
	if err := p.images(ctx, tasks); err != nil {
		return nil, err
	}
	pushed := 0
	for _, e := range tasks {
		ref, changed, err := p.push(ctx, e, e.Raw)
		if err != nil {
			return nil, err
		}
		lock.Tasks[e.Name] = ref
		pushed += one(changed)
	}
	for _, e := range pipelines {
		raw, err := withBundles(e.Pipeline, lock.Tasks)
		if err != nil {
			return nil, err
		}
		ref, changed, err := p.push(ctx, e, raw)
		if err != nil {
			return nil, err
		}
		lock.Pipelines[e.Name] = ref
		pushed += one(changed)
	}
	if err := p.policies(ctx, lock); err != nil {
		return nil, fmt.Errorf("publishing the policy: %w", err)
	}
	fmt.Fprintf(p.Out, "%d of %d bundles were new\n", pushed, len(tasks)+len(pipelines))
	return lock, nil
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// elsewhere are the folders of programs that are pinned in a module of their
// own.
var elsewhere = []string{"cmd/buildah", "cmd/sast-gitleaks-check", "bundles/platform/ec"}

// images fills the references of images into the tasks. Programs are built in
// the module that pins them: most in ours, some in one of their own.
func (p Publisher) images(ctx context.Context, tasks []Entry) error {
	base, err := oci.Digest(ctx, p.Registry+"/platform/base:1")
	if err != nil {
		return fmt.Errorf("finding the base image: %w", err)
	}
	raws := make([][]byte, len(tasks))
	for i := range tasks {
		raws[i] = tasks[i].Raw
	}
	programs := map[string][]string{}
	for _, program := range ko.Programs(raws...) {
		module := moduleOf(program)
		programs[module] = append(programs[module], program)
	}
	for module, wanted := range programs {
		builder := ko.Builder{
			Program: p.Ko, Module: filepath.Join(p.Root, module), Repository: p.Registry + "/headrace", Base: base.String(), Log: p.Out,
		}
		images, err := builder.Build(ctx, wanted)
		if err != nil {
			return err
		}
		for i := range tasks {
			tasks[i].Raw = ko.Fill(tasks[i].Raw, images)
		}
	}
	return nil
}

// moduleOf is the folder of the module that a program is built in.
func moduleOf(program string) string {
	folder := strings.TrimPrefix(program, "github.com/headrace-ci/headrace/")
	if slices.Contains(elsewhere, folder) {
		return folder
	}
	return "."
}

func (p Publisher) push(ctx context.Context, e Entry, raw []byte) (string, bool, error) {
	img, err := bundle.Image([]bundle.Object{{APIVersion: "tekton.dev/v1", Kind: e.Kind, Name: e.Name, Raw: raw}},
		map[string]string{bundle.VersionKey: e.Version})
	if err != nil {
		return "", false, err
	}
	ref, changed, err := bundle.Push(ctx, p.Registry+"/catalog/"+e.Repository(), e.Tags(), img)
	if err != nil {
		return "", false, err
	}
	return tagged(ref, e.Version), changed, nil
}

// tagged is a reference with both tag and digest: policies want to see one and
// resolvers use the other.
func tagged(ref name.Digest, tag string) string {
	return ref.Context().Tag(tag).String() + "@" + ref.DigestStr()
}

// withBundles turns the pipeline's references by name into references to
// bundles.
func withBundles(p *tektonv1.Pipeline, tasks map[string]string) ([]byte, error) {
	p = p.DeepCopy()
	for _, list := range [][]tektonv1.PipelineTask{p.Spec.Tasks, p.Spec.Finally} {
		for i, t := range list {
			if t.TaskRef == nil || t.TaskRef.Name == "" {
				continue
			}
			ref, ok := tasks[t.TaskRef.Name]
			if !ok {
				return nil, fmt.Errorf("pipeline %s: task %q has no bundle", p.Name, t.TaskRef.Name)
			}
			list[i].TaskRef = Bundle("task", t.TaskRef.Name, ref)
		}
	}
	return yaml.Marshal(p)
}

// Bundle is a reference for Tekton's bundles resolver.
func Bundle(kind, name, ref string) *tektonv1.TaskRef {
	param := func(name, value string) tektonv1.Param {
		return tektonv1.Param{Name: name, Value: *tektonv1.NewStructuredValues(value)}
	}
	return &tektonv1.TaskRef{ResolverRef: tektonv1.ResolverRef{
		Resolver: "bundles",
		Params:   tektonv1.Params{param("name", name), param("bundle", ref), param("kind", kind)},
	}}
}
