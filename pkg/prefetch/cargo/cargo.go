// Package cargo fetches the crates that Cargo.lock pins, for cargo without
// network.
//
// They are laid out as `cargo vendor` does, and .cargo/config.toml of the build
// replaces their registries by that folder.
package cargo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/package-url/packageurl-go"
	"golang.org/x/sync/errgroup"

	"github.com/headrace-ci/headrace/pkg/prefetch/ecosystem"
	"github.com/headrace-ci/headrace/pkg/prefetch/fetch"
)

const (
	deps     = "deps/cargo"
	lockfile = "Cargo.lock"
	// publicDownloads is where the public registry's own configuration says that
	// crates are.
	publicDownloads = "https://static.crates.io/crates"
	// maxConfig is how large a registry's config.json may be, in bytes.
	maxConfig = 1 << 20
)

// Input is a folder with a Cargo.lock: a crate, or the root of a workspace.
type Input struct {
	Type string `json:"type"`
	Path string `json:"path"`
}

// Parse reads an entry of type cargo.
func Parse(raw []byte) (ecosystem.Input, error) {
	input := Input{Path: "."}
	if err := ecosystem.Decode(raw, &input); err != nil {
		return nil, err
	}
	return input, ecosystem.CheckPath("path", input.Path)
}

// Fetch implements [ecosystem.Input].
func (i Input) Fetch(ctx context.Context, job ecosystem.Job) (*ecosystem.Result, error) {
	lock := path.Join(i.Path, lockfile)
	raw, err := job.ReadLock(lock, "run `cargo generate-lockfile` and commit it, or set \"path\" to its folder")
	if err != nil {
		return nil, err
	}
	own, others, err := parseLock(lock, raw)
	if err != nil {
		return nil, err
	}
	edit, err := i.config(job, sources(others))
	if err != nil {
		return nil, err
	}
	files, err := archives(ctx, job, lock, others)
	if err != nil {
		return nil, err
	}
	fetched, err := job.Client.Files(ctx, job.Output, files)
	if err != nil {
		return nil, err
	}
	var group errgroup.Group
	group.SetLimit(job.Client.Concurrency)
	for n, c := range others {
		group.Go(func() error {
			if err := vendor(job.Output, c, files[n].Path, fetched[n].SHA256); err != nil {
				return fmt.Errorf("unpacking crate %s %s: %w", c.Name, c.Version, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for _, source := range sources(others) { // where archives were until they were unpacked
		if err := os.RemoveAll(filepath.Join(job.Output, filepath.FromSlash(folder(source)+"-crates"))); err != nil {
			return nil, err
		}
	}
	slog.InfoContext(ctx, "fetched crates", "lockfile", lock, "crates", len(fetched))
	result := &ecosystem.Result{Edits: []ecosystem.Edit{edit}}
	for _, c := range own {
		result.Main = append(result.Main, component(c, nil, i.Path))
	}
	for n, c := range others {
		qualifiers := map[string]string{}
		if c.Checksum != "" {
			qualifiers["checksum"] = "sha256:" + c.Checksum
		}
		if c.Source != cratesIO {
			qualifiers["repository_url"] = strings.TrimPrefix(c.Source, "sparse+")
		}
		result.Components = append(result.Components, ecosystem.Of(component(c, qualifiers, ""), fetched[n], lock))
	}
	return result, nil
}

func component(c crate, qualifiers map[string]string, subpath string) ecosystem.Component {
	return ecosystem.Component{Name: c.Name, Version: c.Version, PURL: ecosystem.PURL(packageurl.TypeCargo, c.Name, c.Version, qualifiers, subpath)}
}

// archives are the files to fetch, one for each crate.
func archives(ctx context.Context, job ecosystem.Job, lock string, crates []crate) ([]fetch.File, error) {
	downloads := map[string]string{}
	for _, source := range sources(crates) {
		at, err := downloadURL(ctx, job, source)
		if err != nil {
			return nil, err
		}
		downloads[source] = at
	}
	files := make([]fetch.File, len(crates))
	for n, c := range crates {
		sums, err := c.checksums()
		if err != nil {
			return nil, &ecosystem.LockError{File: lock, Problem: fmt.Sprintf("%s %s: %v", c.Name, c.Version, err), Fix: pinFix}
		}
		files[n] = fetch.File{
			Package: c.Name + " " + c.Version, URL: c.url(downloads[c.Source]), Checksums: sums,
			Path: path.Join(folder(c.Source)+"-crates", c.Name+"-"+c.Version+".crate"), Lock: lock, Fix: pinFix,
		}
	}
	return files, nil
}

// downloadURL is the template of a registry's URLs of crates.
// Format: https://doc.rust-lang.org/cargo/reference/registry-index.html#index-configuration
func downloadURL(ctx context.Context, job ecosystem.Job, source string) (string, error) {
	index := source
	if source == cratesIO {
		if index = job.Proxy; index == "" {
			return publicDownloads, nil
		}
	}
	at, err := indexOf(index)
	if err != nil {
		return "", &ecosystem.ProxyError{} // lockfiles were checked before
	}
	raw, _, err := job.Client.Bytes(ctx, fetch.Request{URL: at.JoinPath("config.json"), Limit: maxConfig})
	if err != nil {
		return "", fmt.Errorf("asking a registry of crates where its crates are: %w", err)
	}
	var config struct {
		Downloads string `json:"dl"`
	}
	if err := json.Unmarshal(raw, &config); err != nil || config.Downloads == "" {
		return "", fmt.Errorf("%s does not say where crates are", fetch.Show(at.JoinPath("config.json")))
	}
	if dl, err := url.Parse(config.Downloads); err == nil && dl.Host == at.Host && dl.User == nil && at.User != nil {
		return strings.Replace(config.Downloads, "://", "://"+at.User.String()+"@", 1), nil
	}
	return config.Downloads, nil
}

// url fills the template of a registry.
func (c crate) url(template string) string {
	prefix := func(name string) string {
		switch len(name) {
		case 1, 2:
			return fmt.Sprint(len(name))
		case 3:
			return "3/" + name[:1]
		default:
			return name[:2] + "/" + name[2:4]
		}
	}
	filled := strings.NewReplacer(
		"{crate}", c.Name, "{version}", c.Version, "{prefix}", prefix(c.Name),
		"{lowerprefix}", prefix(strings.ToLower(c.Name)), "{sha256-checksum}", c.Checksum,
	).Replace(template)
	if filled == template {
		return strings.TrimSuffix(template, "/") + "/" + c.Name + "/" + c.Version + "/download"
	}
	return filled
}

// folder is where crates of a registry are below the output folder. Two
// registries may have different crates by one name.
func folder(source string) string {
	if source == cratesIO {
		return deps
	}
	sum := sha256.Sum256([]byte(source))
	return deps + "-" + hex.EncodeToString(sum[:4])
}

// configFiles are where cargo looks for its configuration in a folder; the
// older one wins.
var configFiles = []string{".cargo/config", ".cargo/config.toml"}

// config makes cargo take crates from the output folder.
func (i Input) config(job ecosystem.Job, registries []string) (ecosystem.Edit, error) {
	edit := ecosystem.Edit{Path: path.Join(i.Path, configFiles[1])}
	for _, name := range configFiles {
		if name = path.Join(i.Path, name); !job.Exists(name) {
			continue
		}
		raw, err := job.Read(name)
		if err != nil {
			return edit, err
		}
		var have map[string]any
		if err := toml.Unmarshal(raw, &have); err != nil {
			return edit, &ecosystem.LockError{File: name, Problem: err.Error(), Fix: "correct the TOML"}
		}
		if _, ok := have["source"]; ok {
			return edit, &ecosystem.LockError{File: name, Problem: "has a table source, which the build needs for itself", Fix: "remove it from the repository"}
		}
		edit.Path, edit.Content = name, raw
		break
	}
	var text strings.Builder
	if !slices.Contains(registries, cratesIO) {
		registries = append([]string{cratesIO}, registries...)
	}
	for n, source := range registries {
		name := "crates-io"
		if source != cratesIO {
			name = fmt.Sprintf("prefetched-registry-%d", n)
		}
		fmt.Fprintf(&text, "\n[source.%s]\nreplace-with = \"prefetched-%d\"\n", name, n)
		if source != cratesIO {
			fmt.Fprintf(&text, "registry = %q\n", source)
		}
		fmt.Fprintf(&text, "\n[source.prefetched-%d]\ndirectory = %q\n", n, job.Mounted(folder(source)))
		// cargo refuses a folder that is not there, be it for no crate.
		if err := os.MkdirAll(filepath.Join(job.Output, filepath.FromSlash(folder(source))), 0o755); err != nil {
			return edit, err
		}
	}
	if len(edit.Content) > 0 && !strings.HasSuffix(string(edit.Content), "\n") {
		edit.Content = append(edit.Content, '\n')
	}
	edit.Content = append(edit.Content, text.String()...)
	return edit, nil
}

// isThere tells whether an earlier input of the run unpacked the crate.
func isThere(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, checksumFile))
	return !errors.Is(err, os.ErrNotExist)
}
