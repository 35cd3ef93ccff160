package test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A file that is longer has two thoughts, and a main that is longer has logic.
const (
	maxLines     = 400
	maxMainLines = 30
)

func TestFilesAreShort(t *testing.T) {
	eachFile(t, "..", func(path string, content []byte) {
		if filepath.Ext(path) != ".go" || strings.HasPrefix(filepath.Base(path), "zz_generated.") {
			return
		}
		limit := maxLines
		if filepath.Base(path) == "main.go" {
			limit = maxMainLines
		}
		if n := bytes.Count(content, []byte("\n")); n > limit {
			t.Errorf("%s has %d lines, want at most %d", path, n, limit)
		}
	})
}

func TestTasksHaveNoShell(t *testing.T) {
	for _, folder := range []string{"../tasks", "../pipelines"} {
		eachFile(t, folder, func(path string, content []byte) {
			if bytes.Contains(content, []byte("script:")) {
				t.Errorf("%s has a script", path)
			}
		})
	}
}

// eachFile visits the files of the project, hidden folders and what was built
// left out.
func eachFile(t *testing.T, root string, visit func(path string, content []byte)) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "bin"):
			return filepath.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		files++
		content, err := os.ReadFile(path)
		if err == nil {
			visit(path, content)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if files == 0 {
		t.Fatalf("%s holds no files", root)
	}
}
