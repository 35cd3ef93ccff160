package yarn

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/headrace-ci/headrace/pkg/prefetch/ecosystem"
)

// entry is a package of a lockfile of version 1.
type entry struct {
	Patterns     []string // what it was asked for as, such as left-pad@^1.0.0
	Version      string
	Resolved     string
	Integrity    string
	Dependencies []string // patterns
}

// parseLock reads a lockfile of version 1: a simple format of its own, in which
// indentation says what belongs to what.
func parseLock(name string, raw []byte) ([]entry, error) {
	var entries []entry
	section := ""
	number := 0
	for text := range strings.SplitSeq(string(raw), "\n") {
		number++
		text = strings.TrimRight(text, "\r ")
		content := strings.TrimLeft(text, " ")
		if content == "" || strings.HasPrefix(content, "#") {
			continue
		}
		words, err := split(content)
		indent := len(text) - len(content)
		switch {
		case err != nil:
		case len(words) == 0:
			err = fmt.Errorf("names no package")
		case indent == 0 && strings.HasSuffix(content, ":"):
			entries = append(entries, entry{Patterns: words})
			section = ""
		case len(entries) == 0 || indent != 2 && indent != 4:
			err = fmt.Errorf("is not indented as yarn does")
		case indent == 2 && strings.HasSuffix(content, ":") && len(words) == 1:
			section = words[0]
		case len(words) != 2:
			err = fmt.Errorf("is not a key and a value")
		default:
			entries[len(entries)-1].set(section, indent, words[0], words[1])
		}
		if err != nil {
			return nil, &ecosystem.LockError{File: name, Problem: fmt.Sprintf("line %d %v", number, err), Fix: pinFix}
		}
	}
	return entries, nil
}

func (e *entry) set(section string, indent int, key, value string) {
	switch {
	case indent == 4 && (section == "dependencies" || section == "optionalDependencies"):
		e.Dependencies = append(e.Dependencies, key+"@"+value)
	case indent == 4:
	case key == "version":
		e.Version = value
	case key == "resolved":
		e.Resolved = value
	case key == "integrity":
		e.Integrity = value
	}
}

// split reads words with spaces or commas between, each perhaps in quotes.
func split(text string) ([]string, error) {
	var words []string
	for text = strings.TrimSuffix(text, ":"); text != ""; {
		word := text
		if text[0] == '"' {
			end := 1
			for end < len(text) && text[end] != '"' {
				if text[end] == '\\' {
					end++
				}
				end++
			}
			if end >= len(text) {
				return nil, fmt.Errorf("has a quote that does not end")
			}
			if err := json.Unmarshal([]byte(text[:end+1]), &word); err != nil {
				return nil, fmt.Errorf("has a word that cannot be read")
			}
			text = text[end+1:]
		} else {
			if end := strings.IndexAny(text, " ,"); end >= 0 {
				word = text[:end]
			}
			text = text[len(word):]
		}
		words = append(words, word)
		text = strings.TrimLeft(text, " ,")
	}
	return words, nil
}

// real is the name of the package, which an alias is not.
func (e entry) real() string {
	name, asked := cut(e.Patterns[0])
	if target, ok := strings.CutPrefix(asked, "npm:"); ok {
		name, _ = cut(target)
	}
	return name
}

// cut is a pattern's name and what is asked of it. The name of a package in a
// scope begins with an @ of its own.
func cut(pattern string) (name, asked string) {
	if pattern == "" {
		return "", ""
	}
	if at := strings.IndexByte(pattern[1:], '@'); at >= 0 {
		return pattern[:at+1], pattern[at+2:]
	}
	return pattern, ""
}
