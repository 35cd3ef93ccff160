package git_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/pkg/git"
	"github.com/headrace-ci/headrace/test/fixture"
)

func module(path, url string) string {
	return fmt.Sprintf("[submodule %q]\n\tpath = %s\n\turl = %s\n", path, path, url)
}

func TestSubmodules(t *testing.T) {
	server := fixture.NewGit(t)
	deep := server.Push("deep", "main", map[string]string{"deep": "1"})
	server.Push("lib", "main", map[string]string{"lib": "1", ".gitmodules": module("deep", "../deep.git")})
	lib := server.Link("lib", "main", "deep", deep)
	server.Push("lib", "main", map[string]string{"lib": "newer"})
	server.Push("app", "main", map[string]string{"app": "1", ".gitmodules": module("third/lib", server.Repo("lib")) + module("third/libs", server.Repo("lib")) + module("deep", "../deep.git")})
	server.Link("app", "main", "third/lib", lib)
	server.Link("app", "main", "third/libs", lib)
	server.Link("app", "main", "deep", deep)
	all := []string{".gitmodules", "app", "deep/deep", "third/lib/.gitmodules", "third/lib/deep/deep", "third/lib/lib", "third/libs/.gitmodules", "third/libs/deep/deep", "third/libs/lib"}
	cases := map[string]struct {
		submodules bool
		paths      []string
		want       []string
	}{
		"all":                  {true, nil, all},
		"none":                 {false, nil, all[:2]},
		"one":                  {true, []string{"deep"}, all[:3]},
		"those of a folder":    {true, []string{"third"}, append([]string{".gitmodules", "app"}, all[3:]...)},
		"not one of like name": {true, []string{"./third/lib"}, append([]string{".gitmodules", "app"}, all[3:6]...)},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, dir := clone(t, git.CloneOptions{URL: server.Repo("app"), Depth: 1, Submodules: tc.submodules, SubmodulePaths: tc.paths})
			if diff := cmp.Diff(tc.want, files(t, dir)); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			if status := in(t, dir, "status", "--porcelain", "--ignore-submodules=none"); status != "" {
				t.Errorf("git sees changes:\n%s", status)
			}
		})
	}
}

func TestSubmodulesThatAreRefused(t *testing.T) {
	server := fixture.NewGit(t)
	lib := server.Push("lib", "main", map[string]string{"lib": "1"})
	cases := map[string]struct{ modules, want string }{
		"a program":                    {module("lib", "ext::sh"), "URL in .gitmodules names a remote helper"},
		"a folder of this machine":     {module("lib", "file:///etc"), "is not of the form"},
		"an option":                    {module("lib", "--upload-pack=id"), "begins with '-'"},
		"a path that is no submodule":  {module("../lib", server.Repo("lib")), "does not say where it comes from"},
		"no .gitmodules":               {"", "does not say where it comes from"},
		"a repository that is not":     {module("lib", server.Repo("nope")), "does not exist"},
		"a commit that is not there":   {module("lib", server.Repo("app0")), "no branch, tag or commit"},
		".gitmodules that is not read": {"[submodule", "reading .gitmodules"},
	}
	server.Push("app0", "main", map[string]string{"x": "1"})
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			repo := "app-" + sha(name)[:8]
			server.Push(repo, "main", map[string]string{"file": "1"})
			if tc.modules != "" {
				server.Push(repo, "main", map[string]string{".gitmodules": tc.modules})
			}
			server.Link(repo, "main", "lib", lib)

			err := refused(t, git.CloneOptions{URL: server.Repo(repo), Depth: 1, Submodules: true, Attempts: 1})
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Clone() = %v, want %q", err, tc.want)
			}
		})
	}
}

func TestSubmodulesOfThemselvesEnd(t *testing.T) {
	server := fixture.NewGit(t)
	commit := server.Push("app", "main", map[string]string{".gitmodules": module("self", "../app.git")})
	for range 12 {
		commit = server.Link("app", "main", "self", commit)
	}
	err := refused(t, git.CloneOptions{URL: server.Repo("app"), Depth: 1, Submodules: true})
	if !strings.Contains(err.Error(), "nested more than 10 deep") {
		t.Errorf("Clone() = %v", err)
	}
}

func TestRelativeSubmodules(t *testing.T) {
	cases := map[string]struct{ parent, url, want string }{
		"beside":                {"https://host/org/app.git", "../lib.git", "https://host/org/lib.git"},
		"beside, with a login":  {"https://me:pw@host/org/app", "../lib", "https://me:pw@host/org/lib"},
		"of another owner":      {"https://host/org/app/", "../../other/lib", "https://host/other/lib"},
		"below":                 {"https://host/org/app", "./lib", "https://host/org/app/lib"},
		"by ssh":                {"ssh://git@host:22/org/app", "../lib", "ssh://git@host:22/org/lib"},
		"by ssh's short form":   {"git@host:org/app.git", "../lib.git", "git@host:org/lib.git"},
		"above what ssh serves": {"git@host:org/app.git", "../../../lib.git", ""},
		"the host itself":       {"https://host/org/app.git", "../../..", ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := git.Resolve(tc.parent, tc.url)
			if tc.want == "" && err == nil || tc.want != "" && got != tc.want {
				t.Errorf("resolve() = %q, %v, want %q", got, err, tc.want)
			}
		})
	}
}
