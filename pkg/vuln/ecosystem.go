package vuln

import (
	"net/url"
	"regexp"
	"strings"

	"deps.dev/util/semver"
	"github.com/package-url/packageurl-go"
)

// Package is a package to look up.
type Package struct {
	PURL                  string
	Source, SourceVersion string // what it was built from, if that has another name
}

// subject is how a database knows a package.
type subject struct {
	name, version string
	ecosystem     string // its name, or its beginning with family
	family        bool
	compare       order
}

// known reports whether a record's ecosystem is the subject's.
func (s subject) known(ecosystem string) bool {
	return ecosystem == s.ecosystem || s.family && strings.HasPrefix(ecosystem, s.ecosystem+":")
}

// languages are the package systems of languages.
var languages = map[string]struct {
	ecosystem string
	system    semver.System
}{
	packageurl.TypeNPM:    {"npm", semver.NPM},
	packageurl.TypePyPi:   {"PyPI", semver.PyPI},
	packageurl.TypeGolang: {"Go", semver.Go},
	packageurl.TypeCargo:  {"crates.io", semver.Cargo},
	packageurl.TypeGem:    {"RubyGems", semver.RubyGems},
	packageurl.TypeMaven:  {"Maven", semver.Maven},
	packageurl.TypeNuget:  {"NuGet", semver.NuGet},
}

var pypiSeparators = regexp.MustCompile(`[-_.]+`)

// subject understands a package; not those of systems that OSV has no
// records of, and those without a version.
func (p Package) subject() (subject, bool) {
	purl, err := packageurl.FromString(p.PURL)
	if err != nil || purl.Version == "" {
		return subject{}, false
	}
	if l, ok := languages[purl.Type]; ok {
		s := subject{name: purl.Name, version: purl.Version, ecosystem: l.ecosystem, compare: semverOrder(l.system)}
		switch {
		case purl.Type == packageurl.TypePyPi:
			s.name = pypiSeparators.ReplaceAllString(strings.ToLower(purl.Name), "-")
		case purl.Type == packageurl.TypeMaven:
			s.name = purl.Namespace + ":" + purl.Name
		case purl.Namespace != "":
			s.name = purl.Namespace + "/" + purl.Name
		}
		if purl.Type == packageurl.TypeGolang {
			s.version = strings.TrimPrefix(purl.Version, "v")
		}
		return s, true
	}
	return p.ofDistribution(purl)
}

func (p Package) ofDistribution(purl packageurl.PackageURL) (subject, bool) {
	s := subject{name: purl.Name, version: purl.Version}
	qualifiers := purl.Qualifiers.Map()
	_, release, _ := strings.Cut(qualifiers["distro"], "-")
	if unescaped, err := url.PathUnescape(release); err == nil {
		release = unescaped
	}
	major, rest, _ := strings.Cut(release, ".")
	minor, _, _ := strings.Cut(rest, ".")
	if p.Source != "" {
		s.name, s.version = p.Source, p.SourceVersion
	}
	switch purl.Type + "/" + purl.Namespace {
	case "deb/debian":
		s.ecosystem, s.compare = "Debian:"+major, debOrder
	case "deb/ubuntu":
		s.ecosystem, s.family, s.compare = "Ubuntu:"+major+"."+minor, true, debOrder
	case "apk/alpine":
		s.ecosystem, s.compare = "Alpine:v"+major+"."+minor, apkOrder
	case "apk/wolfi":
		s.ecosystem, s.compare = "Wolfi", apkOrder
	case "apk/chainguard":
		s.ecosystem, s.compare = "Chainguard", apkOrder
	case "rpm/rhel", "rpm/redhat":
		s.ecosystem, s.family, s.compare = "Red Hat:enterprise_linux:"+major, true, rpmOrder
	case "rpm/rocky":
		s.ecosystem, s.compare = "Rocky Linux:"+major, rpmOrder
	case "rpm/almalinux":
		s.ecosystem, s.compare = "AlmaLinux:"+major, rpmOrder
	default:
		return subject{}, false
	}
	if purl.Type == packageurl.TypeRPM {
		// Records say the epoch, and 0 where there is none.
		epoch := qualifiers["epoch"]
		if epoch == "" {
			epoch = "0"
		}
		s.version = epoch + ":" + s.version
	}
	return s, true
}
