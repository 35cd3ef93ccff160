package sastunicodecheck

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
)

const (
	rlo = "\u202e"
	zws = "\u200b"
)

func inUTF16(text string, high int) string {
	var raw bytes.Buffer
	for _, unit := range utf16.Encode([]rune("\ufeff" + text)) {
		pair := [2]byte{}
		pair[high], pair[1-high] = byte(unit>>8), byte(unit)
		raw.Write(pair[:])
	}
	return raw.String()
}

func TestScan(t *testing.T) {
	cases := map[string]struct {
		files     map[string]string
		args      string
		want      []finding
		wantFiles int
	}{
		"plain text is clean": {
			files: map[string]string{"a.go": "package a // héllo\r\n\tx\n"}, args: "-p bidi", wantFiles: 1,
		},
		"a character that turns the line around": {
			files: map[string]string{"a/b.c": "int x;\nif " + rlo + "admin\u2066 {\n"}, args: "-p bidi", wantFiles: 1,
			want: []finding{{File: "a/b.c", Line: 2, Col: 4, Runes: []rune{0x202e, 0x2066}}},
		},
		"each line counts once": {
			files: map[string]string{"a": rlo + rlo + "\n\n" + rlo}, args: "-p bidi", wantFiles: 1,
			want: []finding{{File: "a", Line: 1, Col: 1, Runes: []rune{0x202e, 0x202e}}, {File: "a", Line: 3, Col: 1, Runes: []rune{0x202e}}},
		},
		"a space without width only when all is asked for": {
			files: map[string]string{"a": "x" + zws}, args: "-p bidi", wantFiles: 1,
		},
		"all takes it in": {
			files: map[string]string{"a": "x" + zws}, args: "-p all -v", wantFiles: 1,
			want: []finding{{File: "a", Line: 1, Col: 2, Runes: []rune{0x200b}}},
		},
		"a byte order mark says how to read, and is no finding": {
			files: map[string]string{"a": "\ufeffx", "b": inUTF16("y"+rlo, 1), "c": inUTF16("😀"+rlo, 0)}, args: "-p all", wantFiles: 3,
			want: []finding{{File: "b", Line: 1, Col: 2, Runes: []rune{0x202e}}, {File: "c", Line: 1, Col: 2, Runes: []rune{0x202e}}},
		},
		"tests are left out when asked": {
			files: map[string]string{"test/a": rlo, "tests.py": rlo, "src/test.c": rlo, "latest/a": rlo}, args: "-p bidi -t", wantFiles: 1,
			want: []finding{{File: "latest/a", Line: 1, Col: 1, Runes: []rune{0x202e}}},
		},
		"tests are read when not": {
			files: map[string]string{"test/a": rlo}, args: "-p bidi", wantFiles: 1,
			want: []finding{{File: "test/a", Line: 1, Col: 1, Runes: []rune{0x202e}}},
		},
		"neither binary files nor git's own are read": {
			files: map[string]string{"a.bin": "\x00" + rlo, ".git/x": rlo, "b": "\xff\xfe\x00"}, args: "-p bidi", wantFiles: 1,
		},
		"text that is not UTF-8 is read all the same": {
			files: map[string]string{"latin1": "caf\xe9 " + rlo}, args: "-p bidi", wantFiles: 1,
			want: []finding{{File: "latin1", Line: 1, Col: 6, Runes: []rune{0x202e}}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range tc.files {
				file = filepath.Join(dir, file)
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got := scanDir(t, dir, tc.args)
			if diff := cmp.Diff(tc.want, got.findings); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if got.files != tc.wantFiles {
				t.Errorf("%d files were read, want %d", got.files, tc.wantFiles)
			}
		})
	}
}

func scanDir(t *testing.T, dir, args string) *scanner {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var p plan
	if err := p.readArgs(args); err != nil {
		t.Fatal(err)
	}
	s := &scanner{root: root, forbidden: p.forbidden, skipTests: p.skipTests}
	if err := s.scan(context.Background(), "."); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestScanDoesNotFollowLinks(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "x"), []byte(rlo), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"file": filepath.Join(outside, "x"), "dir": outside, "loop": "."} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if s := scanDir(t, dir, "-p bidi"); s.files != 0 || len(s.findings) != 0 {
		t.Errorf("read %d files, found %v", s.files, s.findings)
	}
}

func FuzzText(f *testing.F) {
	f.Add("a"+rlo+"\nb", true)
	f.Add(inUTF16("a"+rlo, 1), false)
	f.Fuzz(func(t *testing.T, text string, wide bool) {
		s := &scanner{forbidden: isBidi}
		if wide {
			if err := s.text("f", &utf16Reader{r: strings.NewReader(text)}); err != nil {
				t.Fatal(err)
			}
			return
		}
		if err := s.text("f", strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		if want := strings.ContainsFunc(text, isBidi); want != (len(s.findings) > 0) {
			t.Fatalf("found %v in %q", s.findings, text)
		}
	})
}
