// Package generic fetches files that artifacts.lock.yaml names by URL and
// checksum, whatever they are.
//
// Format, in its versions 1.0 and 2.0 (without logins, which belong into a
// .netrc): https://hermetoproject.github.io/hermeto/generic/
package generic

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"path"
	"path/filepath"
	"strings"

	"github.com/package-url/packageurl-go"
	"sigs.k8s.io/yaml"

	"github.com/headrace-ci/headrace/pkg/prefetch/ecosystem"
	"github.com/headrace-ci/headrace/pkg/prefetch/fetch"
)

const (
	deps     = "deps/generic"
	lockfile = "artifacts.lock.yaml"
	fix      = `an artifact has download_url, checksum ("sha256:" and hex) and filename, or type, attributes and checksum`
)

// Input is a folder with a lockfile.
type Input struct {
	Type     string `json:"type"`
	Path     string `json:"path"`
	Lockfile string `json:"lockfile"` // below Path
}

// Parse reads an entry of type generic.
func Parse(raw []byte) (ecosystem.Input, error) {
	input := Input{Path: ".", Lockfile: lockfile}
	if err := ecosystem.Decode(raw, &input); err != nil {
		return nil, err
	}
	if err := ecosystem.CheckPath("path", input.Path); err != nil {
		return nil, err
	}
	return input, ecosystem.CheckPath("lockfile", input.Lockfile)
}

// lock is a lockfile.
type lock struct {
	Metadata struct {
		Version any `json:"version"`
	} `json:"metadata"`
	Artifacts []artifact `json:"artifacts"`
}

// artifact is one file: given by its URL, or by what it is in a Maven
// repository.
type artifact struct {
	DownloadURL string         `json:"download_url"`
	Filename    string         `json:"filename"`
	Checksum    string         `json:"checksum"`
	Type        string         `json:"type"`
	Attributes  *attributes    `json:"attributes"`
	Auth        map[string]any `json:"auth"`
}

type attributes struct {
	RepositoryURL string `json:"repository_url"`
	GroupID       string `json:"group_id"`
	ArtifactID    string `json:"artifact_id"`
	Version       string `json:"version"`
	Classifier    string `json:"classifier"`
	Type          string `json:"type"`
}

// Fetch implements [ecosystem.Input].
func (i Input) Fetch(ctx context.Context, job ecosystem.Job) (*ecosystem.Result, error) {
	name := path.Join(i.Path, i.Lockfile)
	raw, err := job.ReadLock(name, `commit it, or set "path" and "lockfile" to where it is`)
	if err != nil {
		return nil, err
	}
	files, components, err := parse(name, raw)
	if err != nil {
		return nil, err
	}
	fetched, err := job.Client.Files(ctx, job.Output, files)
	if err != nil {
		return nil, err
	}
	slog.InfoContext(ctx, "fetched files", "lockfile", name, "files", len(fetched))
	for n := range components {
		components[n] = ecosystem.Of(components[n], fetched[n], name)
	}
	return &ecosystem.Result{Components: components}, nil
}

// parse reads a lockfile: its files, and what each is.
func parse(name string, raw []byte) ([]fetch.File, []ecosystem.Component, error) {
	var content lock
	if err := yaml.UnmarshalStrict(raw, &content); err != nil {
		return nil, nil, &ecosystem.LockError{File: name, Problem: strings.TrimPrefix(err.Error(), "error unmarshaling JSON: "), Fix: fix}
	}
	switch version := fmt.Sprint(content.Metadata.Version); version {
	case "1.0", "1", "2.0", "2": // YAML reads 1.0 without quotes as a number
	default:
		return nil, nil, &ecosystem.LockError{
			File: name, Problem: fmt.Sprintf("metadata.version %q is not supported", version), Fix: `set it to "1.0"`,
		}
	}
	var files []fetch.File
	var components []ecosystem.Component
	places := map[string]bool{}
	for n, a := range content.Artifacts {
		file, component, err := a.read(name)
		if err == nil && places[file.Path] {
			err = fmt.Errorf("an artifact before it has file name %q too", strings.TrimPrefix(file.Path, deps+"/"))
		}
		if err != nil {
			return nil, nil, &ecosystem.LockError{File: name, Problem: fmt.Sprintf("artifact %d: %v", n+1, err), Fix: fix}
		}
		places[file.Path] = true
		files, components = append(files, file), append(components, component)
	}
	return files, components, nil
}

func (a artifact) read(lock string) (fetch.File, ecosystem.Component, error) {
	file := fetch.File{Lock: lock, Fix: fix, URL: a.DownloadURL}
	var c ecosystem.Component
	if a.Auth != nil {
		return file, c, fmt.Errorf("auth is not supported: put the login for the host into workspace netrc")
	}
	if a.Checksum != "" {
		sum, err := fetch.ParseChecksum(a.Checksum)
		if err != nil {
			return file, c, err
		}
		file.Checksums = []fetch.Checksum{sum}
	}
	var err error
	switch {
	case a.Type == "maven" && a.Attributes != nil && a.DownloadURL == "":
		file.URL, c, err = a.Attributes.locate(a.Checksum)
	case a.Type != "" || a.Attributes != nil:
		return file, c, fmt.Errorf("type %q with download_url %q is not a Maven artifact", a.Type, a.DownloadURL)
	}
	if err != nil {
		return file, c, err
	}
	at, err := url.Parse(file.URL)
	if err != nil || at.Scheme != "http" && at.Scheme != "https" {
		return file, c, fmt.Errorf("its URL is not an http or https URL")
	}
	if at.User != nil {
		return file, c, fmt.Errorf("its URL has a login: put it into workspace netrc")
	}
	filename := a.Filename
	if filename == "" {
		filename = path.Base(at.Path)
	}
	file.Path = path.Join(deps, filename)
	if !filepath.IsLocal(filepath.FromSlash(filename)) || file.Path == deps {
		return file, c, fmt.Errorf("file name %q leaves the folder of what is fetched", filename)
	}
	if c.PURL == "" {
		qualifiers := map[string]string{"download_url": at.String()}
		if a.Checksum != "" {
			qualifiers["checksum"] = a.Checksum
		}
		c = ecosystem.Component{Name: path.Base(filename), PURL: packageurl.NewPackageURL(
			packageurl.TypeGeneric, "", path.Base(filename), "", packageurl.QualifiersFromMap(qualifiers), "").ToString()}
	}
	file.Package = strings.TrimSuffix(c.Name+"@"+c.Version, "@")
	return file, c, nil
}

// locate is where a Maven repository has the file, and what it is.
func (m attributes) locate(checksum string) (string, ecosystem.Component, error) {
	for _, a := range [][2]string{{"group_id", m.GroupID}, {"artifact_id", m.ArtifactID}, {"version", m.Version}} {
		if a[1] == "" || strings.ContainsAny(a[1], "/?#%") {
			return "", ecosystem.Component{}, fmt.Errorf("attribute %s is %q", a[0], a[1])
		}
	}
	if m.Type == "" {
		m.Type = "jar"
	}
	file := m.ArtifactID + "-" + m.Version
	qualifiers := map[string]string{"type": m.Type, "repository_url": m.RepositoryURL}
	if checksum != "" {
		qualifiers["checksum"] = checksum
	}
	if m.Classifier != "" {
		file += "-" + m.Classifier
		qualifiers["classifier"] = m.Classifier
	}
	// The packaging is not always the file's extension.
	// https://maven.apache.org/ref/current/maven-core/artifact-handlers.html
	switch m.Type {
	case "maven-plugin", "ejb", "ejb-client", "test-jar", "javadoc", "java-source", "bundle":
		file += ".jar"
	default:
		file += "." + m.Type
	}
	at, err := url.Parse(m.RepositoryURL)
	if err != nil {
		return "", ecosystem.Component{}, fmt.Errorf("attribute repository_url is not a URL")
	}
	c := ecosystem.Component{Name: m.ArtifactID, Version: m.Version, PURL: packageurl.NewPackageURL(
		packageurl.TypeMaven, m.GroupID, m.ArtifactID, m.Version, packageurl.QualifiersFromMap(qualifiers), "").ToString()}
	return at.JoinPath(strings.ReplaceAll(m.GroupID, ".", "/"), m.ArtifactID, m.Version, file).String(), c, nil
}
