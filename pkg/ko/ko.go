// Package ko builds container images of Go programs with ko, and fills their
// references into YAML.
package ko

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/headrace-ci/headrace/pkg/run"
)

const scheme = "ko://"

var references = regexp.MustCompile(scheme + `[\w./-]+`)

// Builder builds from one module into one place of a registry.
type Builder struct {
	Program    string    // path of ko
	Module     string    // folder with the go.mod that the programs are pinned in
	Repository string    // an image goes to Repository/<last element of its import path>
	Base       string    // base image, by digest so that a new one makes new images
	Arch       string    // architecture to build for, in Go's words; "" for amd64
	Log        io.Writer // what ko says; nil for nothing
}

// Build builds an image of each program, given by import path, side by side,
// and pushes it. The result is the images' references, by digest.
func (b Builder) Build(ctx context.Context, programs []string) (map[string]string, error) {
	images := map[string]string{}
	for _, program := range programs {
		images[program] = scheme + program
	}
	raw, err := yaml.Marshal(images)
	if err != nil {
		return nil, err
	}
	if raw, err = b.Resolve(ctx, raw); err != nil {
		return nil, err
	}
	clear(images)
	if err := yaml.Unmarshal(raw, &images); err != nil {
		return nil, fmt.Errorf("reading the references of the images of %s: %w", b.Module, err)
	}
	return images, nil
}

// Programs are the import paths that the texts refer to, each once, in order.
func Programs(texts ...[]byte) []string {
	var programs []string
	for _, text := range texts {
		for _, reference := range references.FindAll(text, -1) {
			programs = append(programs, string(reference[len(scheme):]))
		}
	}
	slices.Sort(programs)
	return slices.Compact(programs)
}

// Fill replaces the references to programs by those of their images. One
// without an image stays.
func Fill(text []byte, images map[string]string) []byte {
	return references.ReplaceAllFunc(text, func(reference []byte) []byte {
		if image := images[string(reference[len(scheme):])]; image != "" {
			return []byte(image)
		}
		return reference
	})
}

// Resolve replaces every ko:// reference of the YAML by that of an image it
// builds and pushes, by digest.
func (b Builder) Resolve(ctx context.Context, manifests []byte) ([]byte, error) {
	goroot, err := run.Output(ctx, "go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	cmd := run.Command{
		Name: b.Program, Dir: b.Module, Stdin: bytes.NewReader(manifests), Stdout: &out, Stderr: b.Log,
		Args: []string{"resolve", "--base-import-paths", "--sbom=none", "--platform=linux/" + cmp.Or(b.Arch, "amd64"), "--filename=-"},
		Env: []string{
			"KO_DOCKER_REPO=" + b.Repository, "KO_DEFAULTBASEIMAGE=" + b.Base,
			// A ko built with -trimpath does not know its toolchain's place.
			"GOROOT=" + strings.TrimSpace(string(goroot)), "GOFLAGS=-mod=readonly -buildvcs=false",
		},
	}
	if err := cmd.Run(ctx); err != nil {
		return nil, fmt.Errorf("building images of %s: %w", b.Module, err)
	}
	return out.Bytes(), nil
}
