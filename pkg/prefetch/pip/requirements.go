package pip

import (
	"fmt"
	"log/slog"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/headrace-ci/headrace/pkg/prefetch/ecosystem"
	"github.com/headrace-ci/headrace/pkg/prefetch/fetch"
)

const pinFix = "pin every package with == and --hash, as `pip-compile --generate-hashes` or `uv pip compile --generate-hashes` write it"

// requirement is a line that asks for a package.
type requirement struct {
	Name    string // normalized
	Version string // "" with a URL
	URL     string // of an archive; "" for a version of the index
	Hashes  []fetch.Checksum
	at      int // of the URL in the file, in bytes
}

// requirements are what a file asks for, and the files it takes in.
type requirements struct {
	File     string
	Raw      []byte
	Packages []requirement
	Index    string // it asks for; "" for none
	Nested   []string
}

// ignored are options that change what pip does in the build, or nothing.
var ignored = map[string]bool{ // with a value or not
	"--require-hashes": false, "--pre": false, "--prefer-binary": false, "--use-pep517": false,
	"--no-binary": true, "--only-binary": true, "--use-feature": true,
	"--constraint": true, "-c": true, "--trusted-host": true,
}

// refused are options that would take packages from where nobody looked.
var refused = map[string]string{
	"--extra-index-url": "use one index, with --index-url: with two, anybody can offer a package of yours on the other",
	"--find-links":      "name the archive's URL as name @ URL", "-f": "name the archive's URL as name @ URL",
	"--no-index": "leave it out: the build gets it in its environment",
	"--editable": "install the project itself in the Containerfile", "-e": "install the project itself in the Containerfile",
}

// parseRequirements reads a requirements file.
// Format: https://pip.pypa.io/en/stable/reference/requirements-file-format/
func parseRequirements(name string, raw []byte) (*requirements, error) {
	r := &requirements{File: name, Raw: raw}
	for _, line := range logicalLines(raw) {
		var err error
		if fields := strings.Fields(line.text); strings.HasPrefix(fields[0], "-") {
			err = r.options(fields)
		} else {
			err = r.requirement(line)
		}
		if err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *requirements) wrong(fix, format string, args ...any) error {
	return &ecosystem.LockError{File: r.File, Problem: fmt.Sprintf(format, args...), Fix: fix}
}

type line struct {
	text string // without comments; lines that go on are joined
	at   int    // in the file, in bytes
}

var comment = regexp.MustCompile(`(^|\s)#.*$`)

func logicalLines(raw []byte) []line {
	var lines []line
	var text strings.Builder
	start, at := 0, 0
	for part := range strings.SplitAfterSeq(string(raw), "\n") {
		if text.Len() == 0 {
			start = at
		}
		at += len(part)
		part = strings.TrimRight(part, "\r\n")
		if goesOn := strings.HasSuffix(part, `\`) && !comment.MatchString(part); goesOn && at < len(raw) {
			text.WriteString(strings.TrimSuffix(part, `\`) + " ")
			continue
		}
		text.WriteString(comment.ReplaceAllString(strings.TrimSuffix(part, `\`), ""))
		if trimmed := strings.TrimSpace(text.String()); trimmed != "" {
			lines = append(lines, line{text: trimmed, at: start})
		}
		text.Reset()
	}
	return lines
}

// options reads a line of options for the whole file.
func (r *requirements) options(fields []string) error {
	for len(fields) > 0 {
		option, value, inline := strings.Cut(fields[0], "=")
		fields = fields[1:]
		takes, ok := ignored[option]
		why, isRefused := refused[option]
		switch option {
		case "-r", "--requirement", "-i", "--index-url":
			takes, ok = true, true
		}
		switch {
		case isRefused:
			return r.wrong(why, "option %s is not supported", option)
		case !ok:
			return r.wrong("leave it out", "option %q is not known", option)
		case takes && !inline && len(fields) == 0:
			return r.wrong("give it one", "option %s has no value", option)
		case takes && !inline:
			value, fields = fields[0], fields[1:]
		}
		if err := r.option(option, value); err != nil {
			return err
		}
	}
	return nil
}

func (r *requirements) option(option, value string) error {
	switch option {
	case "-r", "--requirement":
		nested := path.Join(path.Dir(r.File), value)
		if path.IsAbs(value) || !filepath.IsLocal(filepath.FromSlash(nested)) {
			return r.wrong("keep it in the repository", "requirements file %q leaves the source", value)
		}
		r.Nested = append(r.Nested, nested)
	case "-i", "--index-url":
		if _, err := indexURL(value); err != nil {
			return r.wrong("give the index's URL, and its login in workspace netrc", "option %s: %v", option, err)
		}
		r.Index = value
	case "--trusted-host":
		slog.Warn("option is ignored: certificates are checked in any case", "file", r.File, "option", option)
	}
	return nil
}

// indexURL reads the URL of an index.
func indexURL(text string) (*url.URL, error) {
	at, err := url.Parse(text)
	switch {
	case err != nil, at.Scheme != "http" && at.Scheme != "https", at.Host == "":
		return nil, fmt.Errorf("the index is not an http or https URL")
	case at.User != nil:
		return nil, fmt.Errorf("the index's URL holds a login")
	}
	return at, nil
}

var (
	head    = regexp.MustCompile(`^([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[[^\]]*\])?\s*(.*)$`)
	exactly = regexp.MustCompile(`^\(?\s*={2,3}\s*([A-Za-z0-9.!+_-]+)\s*\)?$`)
	dashes  = regexp.MustCompile(`[-_.]+`)
)

// normalize makes two spellings of a name one. https://peps.python.org/pep-0503/
func normalize(name string) string { return strings.ToLower(dashes.ReplaceAllString(name, "-")) }

func (r *requirements) requirement(l line) error {
	text, options := l.text, ""
	if cut := strings.Index(text, " --"); cut >= 0 {
		text, options = strings.TrimSpace(text[:cut]), text[cut:]
	}
	match := head.FindStringSubmatch(text)
	if match == nil || strings.Contains(strings.SplitN(text, "@", 2)[0], "://") {
		return r.wrong("write name==version, or name @ URL", "%q is not a requirement that can be prefetched", text)
	}
	req := requirement{Name: normalize(match[1])}
	hashes, err := r.hashes(req.Name, options)
	if err != nil {
		return err
	}
	req.Hashes = hashes
	if rest, ok := strings.CutPrefix(match[2], "@"); ok {
		if err := r.archive(&req, l, strings.TrimSpace(rest)); err != nil {
			return err
		}
	} else {
		spec, _, _ := strings.Cut(match[2], ";") // a marker; every platform's packages are fetched
		version := exactly.FindStringSubmatch(strings.TrimSpace(spec))
		if version == nil {
			return r.wrong(pinFix, "%s is not pinned to one version with ==", match[1])
		}
		req.Version = version[1]
	}
	r.Packages = append(r.Packages, req)
	return nil
}

func (r *requirements) hashes(name, options string) ([]fetch.Checksum, error) {
	var sums []fetch.Checksum
	fields := strings.Fields(options)
	for len(fields) > 0 {
		option, value, inline := strings.Cut(fields[0], "=")
		fields = fields[1:]
		if option != "--hash" {
			return nil, r.wrong("leave it out", "%s: option %s is not supported", name, option)
		}
		if !inline && len(fields) > 0 {
			value, fields = fields[0], fields[1:]
		}
		sum, err := fetch.ParseChecksum(value)
		if err != nil {
			return nil, r.wrong(pinFix, "%s: %v", name, err)
		}
		sums = append(sums, sum)
	}
	return sums, nil
}

// archive reads a requirement that names its archive.
func (r *requirements) archive(req *requirement, l line, rest string) error {
	text := strings.Fields(rest + " ;")[0]
	at, err := url.Parse(text)
	if err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Host == "" {
		return r.wrong("name an archive by http or https, or a version of an index", "%s does not come as an archive that a hash could pin", req.Name)
	}
	if at.User != nil {
		return r.wrong("put it into workspace netrc", "the URL of %s has a login", req.Name)
	}
	if fragment, err := url.ParseQuery(at.Fragment); err == nil && len(req.Hashes) == 0 {
		for _, algorithm := range []string{"sha256", "sha384", "sha512"} {
			if sum, err := fetch.ParseChecksum(algorithm + ":" + fragment.Get(algorithm)); err == nil {
				req.Hashes = append(req.Hashes, sum)
			}
		}
	}
	req.URL = text
	req.at = l.at + strings.Index(string(r.Raw[l.at:]), text)
	return nil
}
