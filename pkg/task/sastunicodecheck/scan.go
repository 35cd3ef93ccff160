package sastunicodecheck

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// sniff is how many bytes at the start of a file say whether it is text.
const sniff = 8000

// maxFindings bounds the report: a source with more is as bad as it gets.
const maxFindings = 10000

// finding is one line with characters that should not be there.
type finding struct {
	File  string // relative to the source, with slashes
	Line  int    // from 1
	Col   int    // of the first, in characters from 1
	Runes []rune // in order
}

// scanner looks for characters in the text files of a source.
type scanner struct {
	root      *os.Root
	forbidden func(rune) bool
	skipTests bool

	files    int // text files read
	findings []finding
	more     int // findings past maxFindings
}

// bidi are the characters that change the direction of the text after them:
// what a reader sees is then not what a compiler reads.
var bidi = &unicode.RangeTable{R16: []unicode.Range16{{Lo: 0x202a, Hi: 0x202e, Stride: 1}, {Lo: 0x2066, Hi: 0x2069, Stride: 1}}}

func isBidi(r rune) bool { return unicode.Is(bidi, r) }

// isNonprinting takes in every control and format character, but not those
// that lay out ordinary text.
func isNonprinting(r rune) bool {
	switch r {
	case '\t', '\n', '\r', '\f', '\v':
		return false
	}
	return unicode.In(r, unicode.Cc, unicode.Cf)
}

// scan reads the files below dir, or the file dir. Links are not followed:
// what they lead to is either in the source, and read there, or none of ours.
func (s *scanner) scan(ctx context.Context, dir string) error {
	return fs.WalkDir(s.root.FS(), dir, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case entry.IsDir() && slices.Contains([]string{".git", ".hg"}, entry.Name()):
			return fs.SkipDir
		case s.skipTests && isTest(entry.Name()) && name != dir:
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case !entry.Type().IsRegular():
			return nil
		}
		if err := s.file(name); err != nil {
			return fmt.Errorf("reading %q: %w", name, err)
		}
		return nil
	})
}

// isTest reports whether a name is of tests: "test" or "tests", whatever its
// extension.
func isTest(name string) bool {
	stem, _, _ := strings.Cut(name, ".")
	return stem == "test" || stem == "tests"
}

func (s *scanner) file(name string) error {
	file, err := s.root.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	buffered := bufio.NewReaderSize(file, sniff)
	start, err := buffered.Peek(sniff)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	var text io.RuneReader
	switch {
	case bytes.HasPrefix(start, []byte{0xff, 0xfe}):
		text = &utf16Reader{r: buffered, high: 1}
	case bytes.HasPrefix(start, []byte{0xfe, 0xff}):
		text = &utf16Reader{r: buffered, high: 0}
	case bytes.IndexByte(start, 0) >= 0:
		return nil // not text
	default:
		text = buffered
	}
	s.files++
	return s.text(path.Clean(name), text)
}

// text reads characters, so that neither a long file nor a long line is ever
// in memory.
func (s *scanner) text(name string, text io.RuneReader) error {
	line, col := 1, 0
	var found *finding
	for first := true; ; first = false {
		r, _, err := text.ReadRune()
		if errors.Is(err, io.EOF) {
			s.add(found)
			return nil
		}
		if err != nil {
			return err
		}
		if first && r == '\ufeff' {
			continue // says how the file is encoded
		}
		col++
		if s.forbidden(r) {
			if found == nil {
				found = &finding{File: name, Line: line, Col: col}
			}
			if len(found.Runes) < 16 {
				found.Runes = append(found.Runes, r)
			}
		}
		if r == '\n' {
			s.add(found)
			found, line, col = nil, line+1, 0
		}
	}
}

func (s *scanner) add(f *finding) {
	switch {
	case f == nil:
	case len(s.findings) == maxFindings:
		s.more++
	default:
		s.findings = append(s.findings, *f)
	}
}

// utf16Reader reads UTF-16, whose order of bytes high gives.
type utf16Reader struct {
	r       io.Reader
	high    int // index of the high byte
	pending rune
}

func (u *utf16Reader) unit() (rune, error) {
	var pair [2]byte
	if _, err := io.ReadFull(u.r, pair[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, io.EOF
		}
		return 0, err
	}
	return rune(pair[u.high])<<8 | rune(pair[1-u.high]), nil
}

func (u *utf16Reader) ReadRune() (rune, int, error) {
	first := u.pending
	u.pending = 0
	if first == 0 {
		var err error
		if first, err = u.unit(); err != nil {
			return 0, 0, err
		}
	}
	if !utf16.IsSurrogate(first) {
		return first, 2, nil
	}
	second, err := u.unit()
	if err != nil {
		return utf8.RuneError, 2, nil
	}
	if r := utf16.DecodeRune(first, second); r != utf8.RuneError {
		return r, 4, nil
	}
	u.pending = second
	return utf8.RuneError, 2, nil
}
