package demo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/go-git/go-billy/v5/memfs"
	billyutil "github.com/go-git/go-billy/v5/util"
	"github.com/go-git/go-git/v5"
	gitconfig "github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	"github.com/go-git/go-git/v5/storage/memory"
)

// sampleTime dates the samples' commits: the same files are the same commit
// on every machine, and pushing them twice pushes nothing.
var sampleTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// push brings a component's sources to url and returns the commit of its
// main branch and that commit's first line.
func push(ctx context.Context, component Component, url string, auth *githttp.BasicAuth) (*object.Commit, error) {
	repo, err := sourceOf(component)
	if err != nil {
		return nil, err
	}
	head, err := repo.Head()
	if err != nil {
		return nil, fmt.Errorf("reading the sources of %q: %w", component.Name, err)
	}
	if err := repo.DeleteRemote("demo"); err != nil && !errors.Is(err, git.ErrRemoteNotFound) {
		return nil, err
	}
	remote, err := repo.CreateRemote(&gitconfig.RemoteConfig{Name: "demo", URLs: []string{url}})
	if err != nil {
		return nil, err
	}
	err = remote.PushContext(ctx, &git.PushOptions{
		RemoteName: "demo", Auth: auth, Force: true,
		RefSpecs: []gitconfig.RefSpec{gitconfig.RefSpec(head.Name().String() + ":refs/heads/main")},
	})
	if err != nil && !errors.Is(err, git.NoErrAlreadyUpToDate) {
		return nil, fmt.Errorf("pushing %q: %w", component.Name, err)
	}
	return repo.CommitObject(head.Hash())
}

func sourceOf(component Component) (*git.Repository, error) {
	if component.Repo == "" {
		return commitFiles(component.Files)
	}
	repo, err := git.PlainOpenWithOptions(component.Repo, &git.PlainOpenOptions{DetectDotGit: true})
	if err != nil {
		return nil, fmt.Errorf("opening repository %q: %w", component.Repo, err)
	}
	return repo, nil
}

// commitFiles makes a repository of one commit that holds files.
func commitFiles(files fs.FS) (*git.Repository, error) {
	tree := memfs.New()
	repo, err := git.InitWithOptions(memory.NewStorage(), tree, git.InitOptions{DefaultBranch: plumbing.Main})
	if err != nil {
		return nil, err
	}
	work, err := repo.Worktree()
	if err != nil {
		return nil, err
	}
	err = fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		if err := billyutil.WriteFile(tree, name, content, 0o644); err != nil {
			return err
		}
		_, err = work.Add(name)
		return err
	})
	if err != nil {
		return nil, err
	}
	who := &object.Signature{Name: "Demo", Email: "demo@example.com", When: sampleTime}
	_, err = work.Commit("Greet the world", &git.CommitOptions{Author: who, Committer: who})
	return repo, err
}
