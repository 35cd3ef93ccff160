package git_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/pkg/git"
	"github.com/headrace-ci/headrace/test/fixture"
)

const text = "one\ntwo\nthree\nfour\nfive\nsix\nseven\n"

// branches makes a repository where topic and main parted after base.
func branches(t *testing.T, server *fixture.Git, name string, base, topic, main map[string]string) (tip string) {
	t.Helper()
	server.Push(name, "main", base)
	server.Run(name, "branch", "topic", "main")
	tip = server.Push(name, "topic", topic)
	server.Push(name, "main", main)
	return tip
}

func TestMerge(t *testing.T) {
	server := fixture.NewGit(t)
	base := map[string]string{"text": text, "both/a": "1", "gone": "1", "same": "1", "dir/x": "1"}
	cases := map[string]struct{ topic, main, want map[string]string }{
		"files of each": {
			map[string]string{"topic": "t", "both/t": "t"}, map[string]string{"main": "m", "both/m": "m"},
			map[string]string{"topic": "t", "main": "m", "both/t": "t", "both/m": "m", "both/a": "1", "text": text},
		},
		"lines of one file": {
			map[string]string{"text": strings.Replace(text, "one", "ONE", 1)}, map[string]string{"text": strings.Replace(text, "seven\n", "seven\neight\n", 1)},
			map[string]string{"text": "ONE\ntwo\nthree\nfour\nfive\nsix\nseven\neight\n"},
		},
		"the same change": {
			map[string]string{"same": "2"}, map[string]string{"same": "2", "main": "m"},
			map[string]string{"same": "2", "main": "m"},
		},
		"nothing new in the branch": {map[string]string{"topic": "t"}, nil, map[string]string{"topic": "t"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			repo := "app-" + sha(name)[:8]
			server.Push(repo, "main", base)
			server.Run(repo, "branch", "topic", "main")
			tip := server.Push(repo, "topic", tc.topic)
			if tc.main != nil {
				server.Push(repo, "main", tc.main)
			}
			opts := git.CloneOptions{URL: server.Repo(repo), Revision: "topic", Depth: 1, Merge: &git.Merge{Branch: "main"}}

			cloned, dir := clone(t, opts)

			got := map[string]string{}
			for file := range tc.want {
				raw, err := os.ReadFile(filepath.Join(dir, file))
				if err != nil {
					t.Error(err)
				}
				got[file] = string(raw)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			if cloned.Commit.Hash.String() != tip {
				t.Errorf("commit is %s, want that of the branch, %s", cloned.Commit.Hash, tip)
			}
			if head := in(t, dir, "rev-parse", "HEAD"); head != cloned.Merged.Hash.String() || in(t, dir, "status", "--porcelain") != "" {
				t.Errorf("HEAD is %s, want %s and no changes", head, cloned.Merged.Hash)
			}
			in(t, dir, "fsck", "--strict")
			again, _ := clone(t, opts)
			if again.Merged.Hash != cloned.Merged.Hash {
				t.Errorf("the same merge again is %s, not %s", again.Merged.Hash, cloned.Merged.Hash)
			}
			// git's own merge has the same files.
			theirs := filepath.Join(t.TempDir(), "theirs")
			in(t, "/", "clone", "--quiet", "--branch=topic", server.Repo(repo), theirs)
			in(t, theirs, "-c", "user.name=t", "-c", "user.email=t@example.com", "merge", "--quiet", "--no-edit", "origin/main")
			if want, have := in(t, theirs, "rev-parse", "HEAD^{tree}"), in(t, dir, "rev-parse", "HEAD^{tree}"); want != have {
				t.Errorf("the tree is %s, and git's %s", have, want)
			}
		})
	}
}

func TestMergeFromAnotherRepository(t *testing.T) {
	server := fixture.NewGit(t)
	server.Push("upstream", "main", map[string]string{"text": text})
	server.Copy("upstream", "fork")
	server.Run("fork", "branch", "topic", "main")
	tip := server.Push("fork", "topic", map[string]string{"topic": "t"})
	server.Push("upstream", "main", map[string]string{"new": "n"})

	cloned, dir := clone(t, git.CloneOptions{
		URL: server.Repo("fork"), Revision: "topic", Depth: 1, Merge: &git.Merge{URL: server.Repo("upstream"), Branch: "main"},
	})

	if diff := cmp.Diff([]string{"new", "text", "topic"}, files(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if got := in(t, dir, "log", "-1", "--format=%an|%ae|%s"); got != "Konflux CI Git Clone|git-clone@konflux-ci.dev|Merge branch 'main' from merge-source into "+tip {
		t.Errorf("the merge says %q", got)
	}
	if cloned.Merged.NumParents() != 2 {
		t.Errorf("the merge has %d parents", cloned.Merged.NumParents())
	}
}

func TestMergeConflicts(t *testing.T) {
	server := fixture.NewGit(t)
	base := map[string]string{"text": text, "bin": "\x00\x01", "dir/x": "1"}
	cases := map[string]struct {
		topic, main map[string]string
		want        string
	}{
		"the same line":     {map[string]string{"text": "1\n" + text[4:]}, map[string]string{"text": "I\n" + text[4:]}, "text (both changed the same lines)"},
		"lines that touch":  {map[string]string{"text": strings.Replace(text, "two", "2", 1)}, map[string]string{"text": strings.Replace(text, "three", "3", 1)}, "text (both changed the same lines)"},
		"a binary file":     {map[string]string{"bin": "\x00\x02"}, map[string]string{"bin": "\x00\x03"}, "bin (both changed a binary file)"},
		"two new files":     {map[string]string{"new": "1"}, map[string]string{"new": "2"}, "new (both changed what it is)"},
		"a file and a link": {map[string]string{"dir/x": "2"}, map[string]string{"dir/x": "symlink:../text"}, "dir/x (both changed what it is)"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			repo := "app-" + sha(name)[:8]
			branches(t, server, repo, base, tc.topic, tc.main)

			err := refused(t, git.CloneOptions{URL: server.Repo(repo), Revision: "topic", Depth: 1, Merge: &git.Merge{Branch: "main"}})

			var conflict *git.ConflictError
			if !errors.As(err, &conflict) || !strings.Contains(err.Error(), tc.want) || !strings.Contains(hint(err), "resolve") {
				t.Errorf("Clone() = %v, want %q", err, tc.want)
			}
		})
	}
	server.Push("one", "main", base)
	err := refused(t, git.CloneOptions{URL: server.Repo("one"), Merge: &git.Merge{Branch: "nope"}})
	if !strings.Contains(err.Error(), `no branch, tag or commit "nope"`) {
		t.Errorf("a branch that is not there: %v", err)
	}
}

func TestMergeOfUnrelatedBranches(t *testing.T) {
	server := fixture.NewGit(t)
	server.Push("app", "main", map[string]string{"main": "m", "same": "s"})
	server.Push("app", "topic", map[string]string{"topic": "t", "same": "s"})

	_, dir := clone(t, git.CloneOptions{URL: server.Repo("app"), Revision: "topic", Merge: &git.Merge{Branch: "main"}})

	if diff := cmp.Diff([]string{"main", "same", "topic"}, files(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// TestMergeOfBranchesThatCrossed has branches that were each merged into the
// other, so that they parted at two commits.
func TestMergeOfBranchesThatCrossed(t *testing.T) {
	server := fixture.NewGit(t)
	a := branches(t, server, "app", map[string]string{"base": "1"}, map[string]string{"topic": "t"}, map[string]string{"main": "m"})
	b := server.Run("app", "rev-parse", "main")
	tree := server.Run("app", "rev-parse", "main^{tree}")
	for branch, parents := range map[string][]string{"main": {b, a}, "topic": {a, b}} {
		commit := server.Run("app", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit-tree", "-p", parents[0], "-p", parents[1], "-m", "cross", tree)
		server.Run("app", "update-ref", "refs/heads/"+branch, commit)
	}
	err := refused(t, git.CloneOptions{URL: server.Repo("app"), Revision: "topic", Merge: &git.Merge{Branch: "main"}})
	if !strings.Contains(err.Error(), "merge them on the git host") {
		t.Errorf("Clone() = %v", err)
	}
}

// FuzzMergeText holds the merge to what is true of every merge: with one side
// unchanged it is the other, and the order of the sides does not matter.
func FuzzMergeText(f *testing.F) {
	f.Add(text, "ONE\n"+text[4:], text+"eight\n")
	f.Add("", "a", "b")
	f.Add("a\nb", "a\nb\n", "a")
	f.Fuzz(func(t *testing.T, base, ours, theirs string) {
		if got, ok := git.MergeText(base, base, theirs); !ok || got != theirs {
			t.Errorf("only theirs changed: %q, %v, want %q", got, ok, theirs)
		}
		if got, ok := git.MergeText(base, ours, base); !ok || got != ours {
			t.Errorf("only ours changed: %q, %v, want %q", got, ok, ours)
		}
		a, okA := git.MergeText(base, ours, theirs)
		b, okB := git.MergeText(base, theirs, ours)
		if okA != okB || a != b {
			t.Errorf("sides swapped: %q, %v and %q, %v", a, okA, b, okB)
		}
	})
}
