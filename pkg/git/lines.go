package git

import (
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/utils/diff"
)

// hunk is a change of one side: lines from..to of the base became others.
type hunk struct {
	from, to int // lines of the base, to excluded
	lines    []string
}

// mergeText merges what two sides made of a text, line by line. It reports
// false where both changed the same lines, or lines that touch, each in a way
// of its own.
func mergeText(base, ours, theirs string) (string, bool) {
	a, b := hunks(base, ours), hunks(base, theirs)
	lines := strings.SplitAfter(base, "\n")
	var out strings.Builder
	at := 0
	put := func(h hunk) {
		out.WriteString(strings.Join(lines[at:h.from], ""))
		out.WriteString(strings.Join(h.lines, ""))
		at = h.to
	}
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].to < b[0].from:
			put(a[0])
			a = a[1:]
		case len(a) == 0 || b[0].to < a[0].from:
			put(b[0])
			b = b[1:]
		case a[0].from == b[0].from && a[0].to == b[0].to && slices.Equal(a[0].lines, b[0].lines):
			put(a[0])
			a, b = a[1:], b[1:]
		default:
			return "", false
		}
	}
	out.WriteString(strings.Join(lines[at:], ""))
	return out.String(), true
}

// hunks are the changes that make one text of another, in order.
func hunks(base, text string) []hunk {
	var all []hunk
	at, open := 0, false
	for _, d := range diff.Do(base, text) {
		lines := strings.SplitAfter(d.Text, "\n")
		if lines[len(lines)-1] == "" {
			lines = lines[:len(lines)-1]
		}
		if d.Type == 0 { // the same in both
			at, open = at+len(lines), false
			continue
		}
		if !open {
			all, open = append(all, hunk{from: at, to: at}), true
		}
		last := &all[len(all)-1]
		if d.Type < 0 { // only in the base
			at += len(lines)
			last.to = at
		} else {
			last.lines = append(last.lines, lines...)
		}
	}
	return all
}
