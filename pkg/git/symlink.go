package git

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// SymlinkError says that a repository has a link that leads out of it.
type SymlinkError struct{ Link, Target string }

func (e *SymlinkError) Error() string {
	return fmt.Sprintf("the cloned repository contains symlink %q that points outside of it, to %q", e.Link, e.Target)
}

// Hint says what to do about it.
func (e *SymlinkError) Hint() string {
	return "remove the link from the repository, or name it in the task's param symlinkCheckIgnorePattern"
}

// CheckSymlinks fails with a [*SymlinkError] on the first link below dir that
// leads out of dir, by itself or through others. Links whose path in dir
// matches a pattern of ignore are left alone. In a pattern, '*' stands for any
// text, also with slashes, and '?' for one character, as in a shell's case.
func CheckSymlinks(dir string, ignore []string) error {
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	var patterns []*regexp.Regexp
	for _, pattern := range ignore {
		quoted := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern))
		compiled, err := regexp.Compile("^(?s:" + quoted + ")$")
		if err != nil {
			return fmt.Errorf("pattern %q: %w", pattern, err)
		}
		patterns = append(patterns, compiled)
	}
	return filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink == 0 {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		for _, pattern := range patterns {
			if pattern.MatchString(filepath.ToSlash(rel)) {
				return nil
			}
		}
		text, err := os.Readlink(file)
		if err != nil {
			return err
		}
		if outside(root, file, text) {
			return &SymlinkError{Link: rel, Target: text}
		}
		return nil
	})
}

// outside follows a link as far as it leads to something, and takes the rest
// by its letters: what is not there now may be later.
func outside(root, link, text string) bool {
	if filepath.IsAbs(text) {
		return true
	}
	lexical := filepath.Join(filepath.Dir(link), text)
	if !within(root, lexical) {
		return true
	}
	real, err := filepath.EvalSymlinks(link)
	if errors.Is(err, fs.ErrNotExist) {
		parent, err := filepath.EvalSymlinks(filepath.Dir(lexical))
		return err == nil && !within(root, parent)
	}
	return err != nil || !within(root, real)
}

func within(root, path string) bool {
	return path == root || strings.HasPrefix(path, root+string(filepath.Separator))
}
