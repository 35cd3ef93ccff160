package pip

import (
	"regexp"
	"slices"
	"strings"
)

// versionForm is a version's. https://peps.python.org/pep-0440/#appendix-b-parsing-version-strings-with-regular-expressions
var versionForm = regexp.MustCompile(`^v?(?:(\d+)!)?(\d+(?:\.\d+)*)` +
	`(?:[-_.]?(alpha|beta|preview|pre|a|b|c|rc)[-_.]?(\d*))?` +
	`(?:-(\d+)|[-_.]?(post|rev|r)[-_.]?(\d*))?` +
	`(?:[-_.]?(dev)[-_.]?(\d*))?` +
	`(?:\+([a-z0-9]+(?:[-_.][a-z0-9]+)*))?$`)

var spellings = map[string]string{"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}

// canonical makes two spellings of a version one.
func canonical(version string) string {
	version = strings.ToLower(strings.TrimSpace(version))
	m := versionForm.FindStringSubmatch(version)
	if m == nil {
		return version
	}
	number := func(text string) string {
		text = strings.TrimLeft(text, "0")
		if text == "" {
			return "0"
		}
		return text
	}
	release := strings.Split(m[2], ".")
	for i := range release {
		release[i] = number(release[i])
	}
	for len(release) > 1 && release[len(release)-1] == "0" {
		release = release[:len(release)-1]
	}
	out := strings.Join(release, ".")
	if m[1] != "" && number(m[1]) != "0" {
		out = number(m[1]) + "!" + out
	}
	if kind := m[3]; kind != "" {
		if other, ok := spellings[kind]; ok {
			kind = other
		}
		out += kind + number(m[4])
	}
	if m[5] != "" || m[6] != "" {
		out += ".post" + number(m[5]+m[7])
	}
	if m[8] != "" {
		out += ".dev" + number(m[9])
	}
	if m[10] != "" {
		out += "+" + strings.NewReplacer("-", ".", "_", ".").Replace(m[10])
	}
	return out
}

// sdistEndings of source archives, the preferred first.
var sdistEndings = []string{".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tar.Z", ".tar", ".tgz"}

const wheelEnding = ".whl"

// sdistVersion is the version in the name of a project's source archive.
func sdistVersion(filename, project string) (version string, preference int, ok bool) {
	preference = slices.IndexFunc(sdistEndings, func(ending string) bool { return strings.HasSuffix(filename, ending) })
	if preference < 0 {
		return "", 0, false
	}
	stem := strings.TrimSuffix(filename, sdistEndings[preference])
	for i := range len(stem) { // a dash may be part of both
		if stem[i] == '-' && normalize(stem[:i]) == project {
			return stem[i+1:], preference, true
		}
	}
	return "", 0, false
}

// wheel is what a wheel's name says. https://packaging.python.org/specifications/binary-distribution-format/
type wheel struct {
	project, version         string
	pythons, abis, platforms []string
}

func parseWheel(filename string) (wheel, bool) {
	parts := strings.Split(strings.TrimSuffix(filename, wheelEnding), "-")
	if !strings.HasSuffix(filename, wheelEnding) || len(parts) != 5 && len(parts) != 6 {
		return wheel{}, false
	}
	tags := parts[len(parts)-3:]
	return wheel{
		project: normalize(parts[0]), version: parts[1],
		pythons: strings.Split(tags[0], "."), abis: strings.Split(tags[1], "."), platforms: strings.Split(tags[2], "."),
	}, true
}
