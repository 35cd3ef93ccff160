package git_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/headrace-ci/headrace/pkg/git"
	"github.com/headrace-ci/headrace/pkg/run"
	"github.com/headrace-ci/headrace/test/fixture"
)

// BenchmarkClone clones what git clone --depth 1 clones, from the same server
// in turns, and reports how much longer it takes than git: metric x-git.
func BenchmarkClone(b *testing.B) {
	cases := map[string]struct{ commits, files int }{
		"1000 commits": {1000, 200},
		"50000 files":  {1, 50_000},
	}
	for name, tc := range cases {
		b.Run(name, func(b *testing.B) {
			server := fixture.NewGit(b)
			server.Push("big", "main", map[string]string{"README": "made first"})
			server.Import("big", history(tc.commits, tc.files))
			var ours, theirs time.Duration
			turn := 0
			clone := func() {
				start := time.Now()
				_, err := git.Clone(b.Context(), git.CloneOptions{URL: server.Repo("big"), Revision: "main", Depth: 1, Dir: filepath.Join(b.TempDir(), "ours")})
				if err != nil {
					b.Fatal(err)
				}
				ours += time.Since(start)
			}
			gitClone := func() {
				start := time.Now()
				_, err := run.Output(b.Context(), "git", "clone", "--quiet", "--depth=1", "--branch=main", server.Repo("big"), filepath.Join(b.TempDir(), "theirs"))
				if err != nil {
					b.Fatal(err)
				}
				theirs += time.Since(start)
			}
			// In turns, and each first half of the time: the disk is slower
			// for who comes second.
			for b.Loop() {
				order := []func(){clone, gitClone}
				for i := range order {
					order[(i+turn)%2]()
				}
				turn++
			}
			b.ReportMetric(ours.Seconds()/float64(b.N), "s/clone")
			b.ReportMetric(theirs.Seconds()/float64(b.N), "s/git-clone")
			b.ReportMetric(float64(ours)/float64(theirs), "x-git")
		})
	}
}

// history is commits over files, as git fast-import reads it. Each commit
// changes some files; the first writes all.
func history(commits, files int) []byte {
	var buf bytes.Buffer
	for c := range commits {
		fmt.Fprintf(&buf, "commit refs/heads/main\ncommitter T <t@example.com> %d +0000\ndata 1\nc\n", 1_700_000_000+c)
		if c == 0 {
			buf.WriteString("deleteall\n")
		}
		for f := range files {
			if c > 0 && f%100 != c%100 {
				continue
			}
			content := fmt.Sprintf("file %d of commit %d\n", f, c)
			content += string(bytes.Repeat([]byte(fmt.Sprintf("line of file %d\n", f*7919)), 1+f%120))
			fmt.Fprintf(&buf, "M 100644 inline d%d/e%d/f%d.txt\ndata %d\n%s\n", f%50, f%500, f, len(content), content)
		}
	}
	buf.WriteString("done\n")
	return buf.Bytes()
}
