package gomod

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/dirhash"
	"golang.org/x/sync/errgroup"

	"github.com/headrace-ci/headrace/pkg/prefetch/fetch"
)

// fetchedModule is a module whose archive was fetched and checked.
type fetchedModule struct {
	module.Version
	URL    string // it came from, without login
	SHA256 string // of the archive, in hex
}

// fetchAll fetches every module and go.mod file that sums names into dir.
func (p *proxies) fetchAll(ctx context.Context, sums checksums, dir string) ([]fetchedModule, error) {
	var mu sync.Mutex
	var fetched []fetchedModule
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(p.client.Concurrency)
	for _, mod := range sums.sorted() {
		group.Go(func() error {
			version, isMod := strings.CutSuffix(mod.Version, modSuffix)
			if isMod {
				return p.fetchMod(ctx, module.Version{Path: mod.Path, Version: version}, sums[mod], dir)
			}
			if _, ok := sums[module.Version{Path: mod.Path, Version: version + modSuffix}]; !ok {
				// A line that go mod tidy would remove: the go command uses no
				// module whose go.mod is not pinned.
				slog.DebugContext(ctx, "module without a checksum of its go.mod is left out", "module", mod)
				return nil
			}
			done, err := p.fetchZip(ctx, mod, sums[mod], dir)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			fetched = append(fetched, done)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(fetched, func(a, b fetchedModule) int { return compare(a.Version, b.Version) })
	return fetched, nil
}

// location is a module's path below a proxy, without its extension.
func location(mod module.Version) (string, error) {
	escapedPath, err := module.EscapePath(mod.Path)
	if err != nil {
		return "", err
	}
	escapedVersion, err := module.EscapeVersion(mod.Version)
	if err != nil {
		return "", err
	}
	return path.Join(escapedPath, "@v", escapedVersion), nil
}

func (p *proxies) fetchMod(ctx context.Context, mod module.Version, want, dir string) error {
	at, err := location(mod)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, filepath.FromSlash(at)+".mod")
	if have, err := os.ReadFile(file); err == nil {
		return checkMod(mod, at, have, want) // another input of the same run has it
	}
	_, err = p.get(ctx, at+".mod", maxMod, func(body io.Reader) error {
		raw, err := io.ReadAll(body)
		if err != nil {
			return err
		}
		if err := checkMod(mod, at, raw, want); err != nil {
			return fetch.Final(err)
		}
		return fetch.Final(write(file, raw))
	})
	if err != nil {
		return fmt.Errorf("fetching go.mod of %s: %w", mod, err)
	}
	return nil
}

func checkMod(mod module.Version, at string, raw []byte, want string) error {
	got, err := dirhash.Hash1([]string{goMod}, func(string) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(raw)), nil
	})
	if err != nil {
		return err
	}
	if got != want {
		return &fetch.ChecksumError{Package: mod.String(), URL: at + ".mod", Lock: goSum, Want: want, Got: got}
	}
	return nil
}

// fetchZip keeps the archive as the go command would: beside it what versions
// there are, and its checksum. The version's time is left out, since nothing
// vouches for it.
func (p *proxies) fetchZip(ctx context.Context, mod module.Version, want, dir string) (fetchedModule, error) {
	done := fetchedModule{Version: mod}
	at, err := location(mod)
	if err != nil {
		return done, err
	}
	file := filepath.Join(dir, filepath.FromSlash(at))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return done, err
	}
	if have, err := os.ReadFile(file + ".ziphash"); err == nil {
		return p.again(done, file, at, string(have), want)
	}
	done.URL, err = p.get(ctx, at+".zip", maxZip, func(body io.Reader) error {
		sum, err := download(file+".partial", body)
		if err != nil {
			return err
		}
		got, err := dirhash.HashZip(file+".partial", dirhash.Hash1)
		if err != nil {
			return fetch.Final(fmt.Errorf("%s.zip: %w", at, err))
		}
		if got != want {
			differs := &fetch.ChecksumError{Package: mod.String(), URL: at + ".zip", Lock: goSum, Want: want, Got: got}
			return fetch.Final(errors.Join(differs, os.Remove(file+".partial")))
		}
		done.SHA256 = sum
		return fetch.Final(os.Rename(file+".partial", file+".zip"))
	})
	if err != nil {
		return done, fmt.Errorf("fetching module %s: %w", mod, err)
	}
	info, err := json.Marshal(map[string]string{"Version": mod.Version})
	if err != nil {
		return done, err
	}
	return done, errors.Join(write(file+".info", info), write(file+".ziphash", []byte(want)))
}

// again is the module that another input of the same run has fetched.
func (p *proxies) again(done fetchedModule, file, at, have, want string) (fetchedModule, error) {
	if have != want {
		return done, fmt.Errorf("%s has two checksums, %s and %s", done.Version, have, want)
	}
	archive, err := os.Open(file + ".zip")
	if err != nil {
		return done, err
	}
	defer archive.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, archive); err != nil {
		return done, err
	}
	done.SHA256, done.URL = hex.EncodeToString(sum.Sum(nil)), fetch.Show(p.list[0].url.JoinPath(at+".zip"))
	return done, nil
}

// download writes body to file and returns its SHA-256.
func download(file string, body io.Reader) (string, error) {
	out, err := os.Create(file)
	if err != nil {
		return "", fetch.Final(err)
	}
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(out, sum), body)
	return hex.EncodeToString(sum.Sum(nil)), errors.Join(err, out.Close())
}

func write(file string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, content, 0o644)
}
