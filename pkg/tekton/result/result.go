// Package result writes Tekton task results.
//
// A result is one small file under the results directory, which Tekton
// copies into the container's termination message. That message holds at
// most 4096 bytes for all results of a step together, less what Tekton keeps
// for itself, so this package counts bytes before it writes anything.
//
// Units: sizes are bytes of UTF-8, never runes; values are written exactly as
// given, with no trailing newline.
//
// Errors: a set that is over budget fails with a [*TooLargeError] and leaves
// the directory as it was. A value is never truncated, because half a digest
// is worse than none. Every other error wraps an [fs.PathError].
//
// A [Writer] is not safe for concurrent use: a step has one writer, used once,
// after the work is done.
package result

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Budget is how many bytes names and values of one set may take together.
const Budget = 3072

// Writer writes results into Dir.
type Writer struct {
	Dir string
}

// TooLargeError says that a set of results does not fit in Budget.
type TooLargeError struct {
	Largest string // name of the largest result: the one to move elsewhere
	Size    int    // bytes wanted for the whole set
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("results need %d bytes, %d more than a step may write; the largest is %q",
		e.Size, e.Size-Budget, e.Largest)
}

// Hint tells the task's author what to do about it.
func (e *TooLargeError) Hint() string {
	return fmt.Sprintf("push %q to the registry and return its digest", e.Largest)
}

// AddFlag adds --results-dir.
func (w *Writer) AddFlag(flags *pflag.FlagSet) {
	flags.StringVar(&w.Dir, "results-dir", "/tekton/results", "Directory to write results to")
}

// Write writes all values, or none.
func (w Writer) Write(values map[string]string) error {
	size, largest := 0, ""
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if name == "" || strings.ContainsAny(name, "/\\\x00") || name == "." || name == ".." {
			return fmt.Errorf("result %q is not a file name", name)
		}
		size += len(name) + len(values[name])
		if largest == "" || len(values[name]) > len(values[largest]) {
			largest = name
		}
	}
	if size > Budget {
		return &TooLargeError{Largest: largest, Size: size}
	}
	var written []string
	for name, value := range values {
		// Written beside and renamed, so that a reader never sees half of it.
		partial := filepath.Join(w.Dir, "."+name+".partial")
		if err := os.WriteFile(partial, []byte(value), 0o644); err != nil {
			remove(written)
			return fmt.Errorf("writing result %q: %w", name, err)
		}
		written = append(written, partial)
	}
	for name := range values {
		if err := os.Rename(filepath.Join(w.Dir, "."+name+".partial"), filepath.Join(w.Dir, name)); err != nil {
			remove(written)
			return fmt.Errorf("writing result %q: %w", name, err)
		}
	}
	return nil
}

func remove(files []string) {
	for _, f := range files {
		_ = os.Remove(f) // the error that led here is the one to show
	}
}
