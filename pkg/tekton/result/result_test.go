package result_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/pkg/tekton/result"
)

func TestWriterWrite(t *testing.T) {
	cases := map[string]struct {
		values  map[string]string
		want    map[string]string
		wantErr *result.TooLargeError
	}{
		"a value is written as is": {
			values: map[string]string{"commit": "0f1e2d\n"},
			want:   map[string]string{"commit": "0f1e2d\n"},
		},
		"exactly at the budget": {
			values: map[string]string{"r": strings.Repeat("x", result.Budget-1)},
			want:   map[string]string{"r": strings.Repeat("x", result.Budget-1)},
		},
		"one byte over writes nothing": {
			values:  map[string]string{"r": strings.Repeat("x", result.Budget), "s": ""},
			want:    map[string]string{},
			wantErr: &result.TooLargeError{Largest: "r", Size: result.Budget + 2},
		},
		"bytes count, not runes": {
			values:  map[string]string{"r": strings.Repeat("é", result.Budget/2)},
			want:    map[string]string{},
			wantErr: &result.TooLargeError{Largest: "r", Size: result.Budget + 1},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()

			err := result.Writer{Dir: dir}.Write(tc.values)

			var gotErr *result.TooLargeError
			if err != nil && !errors.As(err, &gotErr) {
				t.Fatalf("Write() = %v, want a *TooLargeError or nil", err)
			}
			if diff := cmp.Diff(tc.wantErr, gotErr); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.want, files(t, dir)); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzWriterName(f *testing.F) {
	for _, name := range []string{"commit", "../escape", "a/b", "", ".", "..", "IMAGE_URL"} {
		f.Add(name, "value")
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		outer := t.TempDir()
		dir := outer + "/results"
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		_ = result.Writer{Dir: dir}.Write(map[string]string{name: value})
		entries, err := os.ReadDir(outer)
		if err != nil || len(entries) != 1 {
			t.Fatalf("result %q left %v beside the directory (%v)", name, entries, err)
		}
	})
}

func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, e := range entries {
		content, err := os.ReadFile(dir + "/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		got[e.Name()] = string(content)
	}
	return got
}
