// Package rpm fetches the RPMs that rpms.lock.yaml pins, and makes repositories
// of them that dnf can install from without network.
//
// Signatures are for dnf to check, with the keys of the image: the repositories
// say gpgcheck=1.
package rpm

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/headrace-ci/headrace/pkg/prefetch/ecosystem"
	"github.com/headrace-ci/headrace/pkg/prefetch/fetch"
)

const (
	deps     = "deps/rpm"
	lockfile = "rpms.lock.yaml"
	// repoFile is beside the repositories of an architecture, in a folder by the
	// name that builders for Konflux look for.
	repoFile = "repos.d/hermeto.repo"
	all      = ":all:"
)

// Input is a folder with a lockfile.
type Input struct {
	Type    string   `json:"type"`
	Path    string   `json:"path"`
	Summary bool     `json:"include_summary_in_sbom"`
	Binary  *Filter  `json:"binary"`
	Options *Options `json:"options"`
}

// Filter says which architectures are wanted, as a list with commas.
type Filter struct {
	Arch string `json:"arch"`
}

// Options are dnf's, by repository, and those of TLS, which are refused.
type Options struct {
	DNF map[string]map[string]any `json:"dnf"`
	SSL json.RawMessage           `json:"ssl"`
}

// optionForm is what may name one of dnf's options.
var optionForm = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// Parse reads an entry of type rpm.
func Parse(raw []byte) (ecosystem.Input, error) {
	input := Input{Path: "."}
	if err := ecosystem.Decode(raw, &input); err != nil {
		return nil, err
	}
	if o := input.Options; o != nil {
		if o.SSL != nil && string(o.SSL) != "null" {
			return nil, &ecosystem.InputError{
				Problem: "options.ssl is not supported", Fix: "put logins into workspace netrc and certificates of authorities into ConfigMap trusted-ca",
			}
		}
		for repo, options := range o.DNF {
			for key, value := range options {
				text := fmt.Sprint(value)
				if !folderForm.MatchString(repo) || !optionForm.MatchString(key) || strings.ContainsAny(text, "\r\n") || key == "baseurl" {
					return nil, &ecosystem.InputError{Problem: fmt.Sprintf("options.dnf.%s.%s cannot be set", repo, key), Fix: "name a repository, and one of dnf's options in one line"}
				}
			}
		}
	}
	return input, ecosystem.CheckPath("path", input.Path)
}

func (i Input) wants(arch string) bool {
	return i.Binary == nil || i.Binary.Arch == "" || slices.ContainsFunc(strings.Split(i.Binary.Arch, ","), func(entry string) bool {
		entry = strings.TrimSpace(entry)
		return entry == all || entry == arch
	})
}

// Fetch implements [ecosystem.Input].
func (i Input) Fetch(ctx context.Context, job ecosystem.Job) (*ecosystem.Result, error) {
	name := path.Join(i.Path, lockfile)
	raw, err := job.ReadLock(name, `commit it, or set "path" to its folder`)
	if err != nil {
		return nil, err
	}
	wanted, err := parseLock(name, raw, i.wants)
	if err != nil {
		return nil, err
	}
	files := make([]fetch.File, len(wanted))
	for n := range wanted {
		files[n] = wanted[n].file
	}
	fetched, err := job.Client.Files(ctx, job.Output, files)
	if err != nil {
		return nil, err
	}
	result := &ecosystem.Result{}
	repos := map[string]bool{}
	for n, w := range wanted {
		c, err := i.inspect(job, w, fetched[n])
		if err != nil {
			return nil, &ecosystem.LockError{File: name, Problem: fmt.Sprintf("%s: %v", w.file.Package, err), Fix: pinFix}
		}
		if c != nil {
			result.Components = append(result.Components, ecosystem.Of(*c, fetched[n], name))
		}
		repos[path.Join(w.arch, w.repo)] = true
	}
	slog.InfoContext(ctx, "fetched RPMs", "lockfile", name, "files", len(fetched))
	return result, i.repositories(job, slices.Sorted(maps.Keys(repos)))
}

// inspect compares a file with what the lockfile says of it, and returns what
// it is; nil for module metadata.
func (i Input) inspect(job ecosystem.Job, w wanted, done fetch.Fetched) (*ecosystem.Component, error) {
	at := filepath.Join(job.Output, filepath.FromSlash(w.file.Path))
	info, err := os.Stat(at)
	if err != nil {
		return nil, err
	}
	if w.Size != nil && info.Size() != *w.Size {
		return nil, fmt.Errorf("it has %d bytes, and the lockfile says %d", info.Size(), *w.Size)
	}
	if w.kind == isModules {
		return nil, nil
	}
	l, err := open(at)
	if err != nil {
		return nil, err
	}
	qualifiers := map[string]string{"arch": l.arch(), "checksum": "sha256:" + done.SHA256}
	if w.Checksum != "" {
		qualifiers["checksum"] = w.Checksum
	}
	if epoch := l.number(tagEpoch); epoch != 0 {
		qualifiers["epoch"] = fmt.Sprint(epoch)
	}
	if w.RepoID != "" {
		qualifiers["repository_id"] = w.RepoID
	} else {
		qualifiers["download_url"] = done.URL
	}
	c := &ecosystem.Component{Name: l.text(tagName), Version: l.text(tagVersion), PURL: packageurl.NewPackageURL(
		packageurl.TypeRPM, vendor(l.text(tagVendor)), l.text(tagName), l.text(tagVersion)+"-"+l.text(tagRelease),
		packageurl.QualifiersFromMap(qualifiers), "").ToString()}
	if label := l.text(tagModularityLabel); label != "" {
		c.Properties = append(c.Properties, ecosystem.Property{Name: ecosystem.ModularityLabel, Value: label})
	}
	if i.Summary {
		c.Properties = append(c.Properties, ecosystem.Property{Name: ecosystem.RPMSummary, Value: l.text(tagSummary)})
	}
	return c, nil
}

// vendor is a package URL's namespace for what a package says its vendor is.
func vendor(text string) string {
	for _, known := range []string{"Red Hat", "Fedora", "SUSE"} {
		if strings.Contains(text, known) {
			return strings.ToLower(strings.ReplaceAll(known, " ", ""))
		}
	}
	return strings.ToLower(strings.ReplaceAll(text, " ", "_"))
}

func open(name string) (*file, error) {
	in, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return readFile(bufio.NewReader(in))
}

// repositories writes the metadata of repositories, and a file for dnf beside
// those of an architecture. They hold what earlier inputs fetched as well.
func (i Input) repositories(job ecosystem.Job, repos []string) error {
	arches := map[string]bool{}
	for _, repo := range repos {
		dir := filepath.Join(job.Output, filepath.FromSlash(deps), filepath.FromSlash(repo))
		if err := describe(dir); err != nil {
			return fmt.Errorf("making repository %s: %w", repo, err)
		}
		arches[path.Dir(repo)] = true
	}
	for arch := range arches {
		if err := i.repoFile(job, arch); err != nil {
			return err
		}
	}
	return nil
}

// describe writes the metadata of the files in a folder.
func describe(dir string) error {
	if err := os.RemoveAll(filepath.Join(dir, "repodata")); err != nil {
		return err
	}
	found, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var packages []listed
	var modules []string
	for _, entry := range found {
		name := entry.Name()
		if !strings.HasSuffix(name, ".rpm") {
			modules = append(modules, name)
			continue
		}
		f, err := open(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		l := listed{file: f, Location: name}
		if l.SHA256, l.Size, err = measure(filepath.Join(dir, name)); err != nil {
			return err
		}
		packages = append(packages, l)
	}
	return writeRepodata(dir, packages, modules)
}

// measure returns a file's SHA-256, in hex, and its size in bytes.
func measure(name string) (digest string, size int64, err error) {
	in, err := os.Open(name)
	if err != nil {
		return "", 0, err
	}
	defer in.Close()
	hash := sha256.New()
	size, err = io.Copy(hash, in)
	return hex.EncodeToString(hash.Sum(nil)), size, err
}

// repoFile tells dnf of the repositories of an architecture.
func (i Input) repoFile(job ecosystem.Job, arch string) error {
	dir := filepath.Join(job.Output, filepath.FromSlash(deps), arch)
	found, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, entry := range found {
		repo := entry.Name()
		if repo == path.Dir(repoFile) {
			continue
		}
		options := map[string]any{"name": repo, "gpgcheck": 1, "enabled": 1}
		if i.Options != nil {
			maps.Copy(options, i.Options.DNF[repo])
		}
		options["baseurl"] = "file://" + job.Mounted(path.Join(deps, arch, repo))
		fmt.Fprintf(&text, "[%s]\n", repo)
		for _, key := range slices.Sorted(maps.Keys(options)) {
			fmt.Fprintf(&text, "%s=%v\n", key, options[key])
		}
		text.WriteString("\n")
	}
	if err := os.MkdirAll(filepath.Join(dir, path.Dir(repoFile)), 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, filepath.FromSlash(repoFile)), []byte(text.String()), 0o644)
}
