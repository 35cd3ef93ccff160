package gitclone

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
)

// TestAVolumeOfAnotherUser is not run as the step is: root may write anywhere.
func TestAVolumeOfAnotherUser(t *testing.T) {
	err := explain(fmt.Errorf("making folder: %w", &fs.PathError{Op: "mkdir", Path: "source", Err: fs.ErrPermission}))
	var hinter interface{ Hint() string }
	if !errors.As(err, &hinter) || !strings.Contains(hinter.Hint(), "fsGroup") || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("explain() = %v", err)
	}
	other := errors.New("another")
	if explain(other) != other {
		t.Error("explain() changed another error")
	}
}
