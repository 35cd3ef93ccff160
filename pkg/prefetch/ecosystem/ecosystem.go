// Package ecosystem holds what the package managers of a prefetch share: what
// they are given, and what they give back.
//
// A package manager reads its lockfile from the source, and nothing else
// decides what is fetched. It has three promises to keep: every file below the
// output folder has the checksum that the lockfile says; nothing outside the
// source is read and nothing outside the output folder written; no code of the
// project or of a dependency runs.
package ecosystem

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/headrace-ci/headrace/pkg/prefetch/fetch"
)

// Input is one entry of what is to be fetched, read and found to make sense.
type Input interface {
	// Fetch downloads what the entry's lockfiles pin.
	Fetch(ctx context.Context, job Job) (*Result, error)
}

// Job is what an input is fetched with.
type Job struct {
	Source     *os.Root // nothing outside is read
	Output     string   // folder to fill
	Mount      string   // where the build sees the output folder
	Client     *fetch.Client
	Proxy      string // of this package manager, instead of its public registry; "" for none
	Index      string // of Python packages, instead of the public one; "" for none
	Permissive bool   // warn of what the source does not pin
}

// Result is what came of an input.
type Result struct {
	Main       []Component // of the source
	Components []Component // that were fetched
	Env        []Variable  // that make a build use them
	Edits      []Edit      // of the source that make a build use them
}

// Component is a package for the SBOM.
type Component struct {
	Name, Version, PURL string
	URL                 string // it was fetched from, without login; "" when it was not
	SHA256              string // of the file, in hex; "" when there is none
	Properties          []Property
}

// Property says something of a component that policies look for.
type Property struct{ Name, Value string }

// Properties by the names that policies for Konflux know.
const (
	MissingHash     = "hermeto:missing_hash:in_file" // value: the lockfile
	NpmBundled      = "cdx:npm:package:bundled"
	NpmDevelopment  = "cdx:npm:package:development"
	PipBinary       = "hermeto:pip:package:binary"
	PipBuild        = "hermeto:pip:package:build-dependency"
	BundlerBinary   = "hermeto:bundler:package:binary"
	ModularityLabel = "hermeto:rpm_modularity_label"
	RPMSummary      = "hermeto:rpm_summary"
)

// Of makes the component of a file that was fetched from what is known of it.
func Of(c Component, file fetch.Fetched, lock string) Component {
	c.URL, c.SHA256 = file.URL, file.SHA256
	if !file.Pinned {
		c.Properties = append(c.Properties, Property{MissingHash, lock})
	}
	return c
}

// PURL is the package URL of a package. What stands before the last slash of
// its name is the namespace; the subpath is below the source, "." or "" for its
// root.
func PURL(kind, name, version string, qualifiers map[string]string, subpath string) string {
	namespace := ""
	if at := strings.LastIndexByte(name, '/'); at >= 0 {
		namespace, name = name[:at], name[at+1:]
	}
	if subpath = path.Clean(subpath); subpath == "." {
		subpath = ""
	}
	return packageurl.NewPackageURL(kind, namespace, name, version, packageurl.QualifiersFromMap(qualifiers), subpath).ToString()
}

// Variable is one environment variable of a build.
type Variable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Edit is a file of the source that has to change for the build.
type Edit struct {
	Path    string // below the source, with slashes
	Content []byte
}

// InputError says that the input asks for something there is no way to do, or
// that the source does not have what it names.
type InputError struct{ Problem, Fix string }

func (e *InputError) Error() string { return e.Problem }

// Hint is the fix.
func (e *InputError) Hint() string { return e.Fix }

// LockError says what is wrong with a lockfile.
type LockError struct{ File, Problem, Fix string }

func (e *LockError) Error() string { return e.File + ": " + e.Problem }

// Hint is the fix.
func (e *LockError) Hint() string { return e.Fix }

// Decode reads an entry of the input into options. A key that options do not
// have is an error: what it asks for would be lost.
func Decode(raw []byte, options any) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(options)
	if err == nil {
		return nil
	}
	problem := strings.TrimPrefix(err.Error(), "json: ")
	if key, ok := strings.CutPrefix(problem, "unknown field "); ok {
		return &InputError{Problem: fmt.Sprintf("key %s is not supported for this type", key), Fix: "the README of the task lists the keys of each type"}
	}
	return &InputError{Problem: problem, Fix: "the README of the task says what each key holds"}
}

// CheckPath fails unless the path names something inside the source.
func CheckPath(key, value string) error {
	if value == "" || !filepath.IsLocal(filepath.FromSlash(value)) {
		return &InputError{
			Problem: fmt.Sprintf("%s %q leaves the source", key, value),
			Fix:     fmt.Sprintf("set %q to a path below the root of the repository", key),
		}
	}
	return nil
}

// Read reads a file of the source, of maxLock bytes at most.
func (j Job) Read(name string) ([]byte, error) {
	name = path.Clean(name)
	info, err := j.Source.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &LockError{File: name, Problem: "is not a regular file"}
	}
	if info.Size() > maxLock {
		return nil, &LockError{File: name, Problem: fmt.Sprintf("is larger than %d bytes", int64(maxLock))}
	}
	return j.Source.ReadFile(name)
}

// maxLock is how large a lockfile may be, in bytes. The largest known have some
// ten million.
const maxLock = 64 << 20

// ReadLock reads a file that must be there.
func (j Job) ReadLock(name, fix string) ([]byte, error) {
	raw, err := j.Read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &InputError{Problem: fmt.Sprintf("the source has no %s", path.Clean(name)), Fix: fix}
	}
	return raw, err
}

// Exists tells whether the source has the file or folder.
func (j Job) Exists(name string) bool {
	_, err := j.Source.Lstat(path.Clean(name))
	return err == nil
}

// Mounted is where the build sees a file of the output folder.
func (j Job) Mounted(name string) string { return path.Join(j.Mount, name) }

// Rebase moves a URL from one of the public registries to the proxy, if there
// is one. A registry is the start of a URL, with a slash at its end.
func (j Job) Rebase(raw string, registries ...string) (string, error) {
	if j.Proxy == "" {
		return raw, nil
	}
	proxy, err := url.Parse(j.Proxy)
	if err != nil || proxy.Scheme != "http" && proxy.Scheme != "https" || proxy.Host == "" {
		return "", &ProxyError{}
	}
	for _, registry := range registries {
		if rest, ok := strings.CutPrefix(raw, registry); ok {
			return strings.TrimSuffix(j.Proxy, "/") + "/" + rest, nil
		}
	}
	return raw, nil
}

// ProxyError says that the proxy of a package manager cannot be asked. It does
// not quote the URL, which may hold a login.
type ProxyError struct{}

func (*ProxyError) Error() string { return "a package proxy is not an http or https URL" }

// Hint says where it comes from.
func (*ProxyError) Hint() string {
	return "correct the URLs in ConfigMap prefetch-config, in the run's namespace"
}
