// Package ko builds container images of Go programs with ko, and fills their
// references into YAML.
package ko

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/headrace-ci/headrace/pkg/run"
)

// Builder builds from one module into one place of a registry.
type Builder struct {
	Program    string    // path of ko
	Module     string    // folder with the go.mod that the programs are pinned in
	Repository string    // an image goes to Repository/<last element of its import path>
	Base       string    // base image, by digest so that a new one makes new images
	Arch       string    // architecture to build for, in Go's words; "" for amd64
	Log        io.Writer // what ko says; nil for nothing
}

// Resolve replaces every ko:// reference of the YAML by that of an image it
// builds and pushes, by digest.
func (b Builder) Resolve(ctx context.Context, yaml []byte) ([]byte, error) {
	goroot, err := run.Output(ctx, "go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	cmd := run.Command{
		Name: b.Program, Dir: b.Module, Stdin: bytes.NewReader(yaml), Stdout: &out, Stderr: b.Log,
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
