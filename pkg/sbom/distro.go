package sbom

import (
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/headrace-ci/headrace/pkg/rpmdb"
)

// osRelease reads NAME=value lines, values bare or in quotes.
func osRelease(raw []byte) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(string(raw)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && !strings.HasPrefix(name, "#") {
			values[name] = strings.Trim(value, `"'`)
		}
	}
	return values
}

func dpkgPackages(db database, distro map[string]string) []Package {
	var all []Package
	for _, paragraph := range paragraphs(db.content, ": ") {
		// A package that was removed keeps its entry.
		if status := paragraph["Status"]; status != "" && !strings.HasSuffix(status, " installed") {
			continue
		}
		all = add(all, db.file, packageurl.TypeDebian, "debian", paragraph["Package"], paragraph["Version"], paragraph["Architecture"], distro)
		if source, version, ok := strings.Cut(strings.TrimSuffix(paragraph["Source"], ")"), " ("); source != "" && paragraph["Package"] != "" {
			last := &all[len(all)-1]
			last.Source, last.SourceVersion = source, last.Version
			if ok {
				last.SourceVersion = version
			}
		}
	}
	return all
}

func apkPackages(db database, distro map[string]string) []Package {
	var all []Package
	for _, paragraph := range paragraphs(db.content, ":") {
		all = add(all, db.file, packageurl.TypeApk, "alpine", paragraph["P"], paragraph["V"], paragraph["A"], distro)
		if paragraph["o"] != "" && paragraph["P"] != "" {
			last := &all[len(all)-1]
			last.Source, last.SourceVersion = paragraph["o"], last.Version
		}
	}
	return all
}

func add(all []Package, file, kind, namespace, name, version, arch string, distro map[string]string) []Package {
	if name == "" {
		return all
	}
	if id := distro["ID"]; id != "" {
		namespace = id
	}
	qualifiers := map[string]string{}
	if arch != "" {
		qualifiers["arch"] = arch
	}
	if id, v := distro["ID"], distro["VERSION_ID"]; id != "" && v != "" {
		qualifiers["distro"] = id + "-" + v
	}
	purl := packageurl.NewPackageURL(kind, namespace, name, version, packageurl.QualifiersFromMap(qualifiers), "")
	return append(all, Package{Name: name, Version: version, PURL: purl.ToString(), Location: file})
}

// paragraphs splits records at empty lines; lines that continue a value start
// with a space and are left out.
func paragraphs(raw []byte, separator string) []map[string]string {
	var all []map[string]string
	current := map[string]string{}
	for line := range strings.SplitSeq(string(raw)+"\n\n", "\n") {
		line = strings.TrimSuffix(line, "\r")
		if line == "" {
			if len(current) > 0 {
				all, current = append(all, current), map[string]string{}
			}
			continue
		}
		name, value, ok := strings.Cut(line, separator)
		if _, twice := current[name]; ok && !twice && !strings.HasPrefix(line, " ") {
			current[name] = strings.TrimSpace(value)
		}
	}
	return all
}

// rpmPackages reads an RPM database, which has to be a file to be read here
// and there.
func rpmPackages(content io.Reader) ([]rpmdb.Package, error) {
	copied, err := os.CreateTemp("", "rpmdb-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(copied.Name())
	if _, err := io.Copy(copied, content); err != nil {
		_ = copied.Close() // the copy's error is the one to show
		return nil, err
	}
	if err := copied.Close(); err != nil {
		return nil, err
	}
	return rpmdb.Read(copied.Name())
}

func rpmPackage(p rpmdb.Package, file string, distro map[string]string) Package {
	version := p.Version
	if p.Release != "" {
		version += "-" + p.Release
	}
	qualifiers := map[string]string{}
	if p.Arch != "" {
		qualifiers["arch"] = p.Arch
	}
	if p.Epoch > 0 {
		qualifiers["epoch"] = strconv.FormatUint(uint64(p.Epoch), 10)
	}
	if id, v := distro["ID"], distro["VERSION_ID"]; id != "" && v != "" {
		qualifiers["distro"] = id + "-" + v
	}
	purl := packageurl.NewPackageURL(packageurl.TypeRPM, distro["ID"], p.Name, version, packageurl.QualifiersFromMap(qualifiers), "")
	return Package{Name: p.Name, Version: version, PURL: purl.ToString(), Location: file}
}
