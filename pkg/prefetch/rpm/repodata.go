package rpm

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// listed is a package of a repository.
type listed struct {
	*file
	Location string // of the file in the repository
	SHA256   string
	Size     int64
}

// The parts of the metadata, as dnf reads them. They carry no time, so that the
// same packages give the same bytes.
// Format: https://github.com/rpm-software-management/createrepo_c (its tests
// hold examples; there is no specification).
type (
	version struct {
		Epoch string `xml:"epoch,attr"`
		Ver   string `xml:"ver,attr"`
		Rel   string `xml:"rel,attr"`
	}
	checksumXML struct {
		Type  string `xml:"type,attr"`
		PkgID string `xml:"pkgid,attr,omitempty"`
		Value string `xml:",chardata"`
	}
	entryXML struct {
		Name  string `xml:"name,attr"`
		Flags string `xml:"flags,attr,omitempty"`
		Epoch string `xml:"epoch,attr,omitempty"`
		Ver   string `xml:"ver,attr,omitempty"`
		Rel   string `xml:"rel,attr,omitempty"`
		Pre   string `xml:"pre,attr,omitempty"`
	}
	fileXML struct {
		Type string `xml:"type,attr,omitempty"`
		Name string `xml:",chardata"`
	}
	location struct {
		Href string `xml:"href,attr"`
	}
	primaryPackage struct {
		Type        string      `xml:"type,attr"`
		Name        string      `xml:"name"`
		Arch        string      `xml:"arch"`
		Version     version     `xml:"version"`
		Checksum    checksumXML `xml:"checksum"`
		Summary     string      `xml:"summary"`
		Description string      `xml:"description"`
		Packager    string      `xml:"packager"`
		URL         string      `xml:"url"`
		Time        struct {
			File  uint64 `xml:"file,attr"`
			Build uint64 `xml:"build,attr"`
		} `xml:"time"`
		Size struct {
			Package   int64  `xml:"package,attr"`
			Installed uint64 `xml:"installed,attr"`
			Archive   uint64 `xml:"archive,attr"`
		} `xml:"size"`
		Location location `xml:"location"`
		Format   format   `xml:"format"`
	}
	format struct {
		License   string `xml:"rpm:license"`
		Vendor    string `xml:"rpm:vendor"`
		Group     string `xml:"rpm:group"`
		BuildHost string `xml:"rpm:buildhost"`
		SourceRPM string `xml:"rpm:sourcerpm"`
		Range     struct {
			Start int64 `xml:"start,attr"`
			End   int64 `xml:"end,attr"`
		} `xml:"rpm:header-range"`
		Provides    *[]entryXML `xml:"rpm:provides>rpm:entry,omitempty"`
		Requires    *[]entryXML `xml:"rpm:requires>rpm:entry,omitempty"`
		Conflicts   *[]entryXML `xml:"rpm:conflicts>rpm:entry,omitempty"`
		Obsoletes   *[]entryXML `xml:"rpm:obsoletes>rpm:entry,omitempty"`
		Suggests    *[]entryXML `xml:"rpm:suggests>rpm:entry,omitempty"`
		Enhances    *[]entryXML `xml:"rpm:enhances>rpm:entry,omitempty"`
		Recommends  *[]entryXML `xml:"rpm:recommends>rpm:entry,omitempty"`
		Supplements *[]entryXML `xml:"rpm:supplements>rpm:entry,omitempty"`
		Files       []fileXML   `xml:"file"`
	}
	listedPackage struct {
		PkgID   string    `xml:"pkgid,attr"`
		Name    string    `xml:"name,attr"`
		Arch    string    `xml:"arch,attr"`
		Version version   `xml:"version"`
		Files   []fileXML `xml:"file"`
	}
	document struct {
		XMLName  xml.Name
		NS       string `xml:"xmlns,attr"`
		RPM      string `xml:"xmlns:rpm,attr,omitempty"`
		Count    int    `xml:"packages,attr"`
		Packages any    `xml:"package"`
	}
	dataXML struct {
		Type         string       `xml:"type,attr"`
		Checksum     checksumXML  `xml:"checksum"`
		OpenChecksum *checksumXML `xml:"open-checksum"`
		Location     location     `xml:"location"`
		Timestamp    int64        `xml:"timestamp"`
		Size         int          `xml:"size"`
		OpenSize     int          `xml:"open-size,omitempty"`
	}
	repomd struct {
		XMLName  xml.Name  `xml:"repomd"`
		NS       string    `xml:"xmlns,attr"`
		RPM      string    `xml:"xmlns:rpm,attr"`
		Revision string    `xml:"revision"`
		Data     []dataXML `xml:"data"`
	}
)

const namespace = "http://linux.duke.edu/metadata/"

func (l listed) version() version {
	return version{Epoch: strconv.FormatUint(l.number(tagEpoch), 10), Ver: l.text(tagVersion), Rel: l.text(tagRelease)}
}

// What a relation's flags mean.
const (
	less    = 1 << 1
	greater = 1 << 2
	equal   = 1 << 3
	early   = 1<<6 | 1<<9 | 1<<10 // before the package itself is installed, or its scripts run
)

// requires are what others must provide: neither rpm nor the package itself.
func requires(relations, provides []relation) *[]entryXML {
	var others []relation
	for _, r := range relations {
		own := slices.ContainsFunc(provides, func(p relation) bool {
			return p.Name == r.Name && p.Version == r.Version && (p.Flags^r.Flags)&(less|greater|equal) == 0
		})
		if !own && !strings.HasPrefix(r.Name, "rpmlib(") {
			others = append(others, r)
		}
	}
	return entries(others, true)
}

func entries(relations []relation, required bool) *[]entryXML {
	var all []entryXML
	for _, r := range relations {
		e := entryXML{Name: r.Name}
		e.Flags = map[uint64]string{equal: "EQ", less: "LT", greater: "GT", less | equal: "LE", greater | equal: "GE"}[r.Flags&(less|greater|equal)]
		if e.Flags != "" {
			e.Epoch, e.Ver, e.Rel = splitVersion(r.Version)
		}
		if required && r.Flags&early != 0 {
			e.Pre = "1"
		}
		if !slices.Contains(all, e) {
			all = append(all, e)
		}
	}
	if all == nil {
		return nil
	}
	return &all
}

// splitVersion takes epoch:version-release apart.
func splitVersion(text string) (epoch, ver, rel string) {
	epoch = "0"
	if before, after, ok := strings.Cut(text, ":"); ok {
		epoch, text = before, after
	}
	ver, rel, _ = strings.Cut(text, "-")
	return epoch, ver, rel
}

func (l listed) primary() primaryPackage {
	p := primaryPackage{
		Type: "rpm", Name: l.text(tagName), Arch: l.arch(), Version: l.version(),
		Checksum: checksumXML{Type: "sha256", PkgID: "YES", Value: l.SHA256},
		Summary:  l.text(tagSummary), Description: l.text(tagDescription), Packager: l.text(tagPackager), URL: l.text(tagURL),
		Location: location{Href: l.Location},
	}
	p.Time.Build = l.number(tagBuildTime)
	p.Time.File = p.Time.Build
	p.Size.Package, p.Size.Archive = l.Size, l.payload
	if p.Size.Installed = l.number(tagLongSize); p.Size.Installed == 0 {
		p.Size.Installed = l.number(tagSize)
	}
	f := &p.Format
	f.License, f.Vendor, f.Group = l.text(tagLicense), l.text(tagVendor), l.text(tagGroup)
	f.BuildHost, f.SourceRPM = l.text(tagBuildHost), l.text(tagSourceRPM)
	f.Range.Start, f.Range.End = l.start, l.end
	provides := l.relations(1047, 1113, 1112)
	f.Provides = entries(provides, false)
	f.Requires = requires(l.relations(1049, 1050, 1048), provides)
	f.Conflicts = entries(l.relations(1054, 1055, 1053), false)
	f.Obsoletes = entries(l.relations(1090, 1115, 1114), false)
	f.Recommends = entries(l.relations(5046, 5047, 5048), false)
	f.Suggests = entries(l.relations(5049, 5050, 5051), false)
	f.Supplements = entries(l.relations(5052, 5053, 5054), false)
	f.Enhances = entries(l.relations(5055, 5056, 5057), false)
	for _, file := range l.files() {
		if isPrimary(file.Name) {
			f.Files = append(f.Files, file)
		}
	}
	return p
}

func (l listed) files() []fileXML {
	var files []fileXML
	for _, p := range l.paths() {
		file := fileXML{Name: p.Name}
		switch {
		case p.Dir:
			file.Type = "dir"
		case p.Ghost:
			file.Type = "ghost"
		}
		files = append(files, file)
	}
	return files
}

// writeRepodata makes the folder a repository of the packages in it. Modules
// are its module metadata, files in the folder; there may be none.
func writeRepodata(dir string, packages []listed, modules []string) error {
	if err := os.MkdirAll(filepath.Join(dir, "repodata"), 0o755); err != nil {
		return err
	}
	slices.SortFunc(packages, func(a, b listed) int { return strings.Compare(a.Location, b.Location) })
	var primary []primaryPackage
	var filelists, other []listedPackage
	for _, l := range packages {
		p := listedPackage{PkgID: l.SHA256, Name: l.text(tagName), Arch: l.arch(), Version: l.version()}
		primary, other = append(primary, l.primary()), append(other, p)
		p.Files = l.files()
		filelists = append(filelists, p)
	}
	index := repomd{NS: namespace + "repo", RPM: namespace + "rpm", Revision: "0"}
	for _, part := range []struct {
		kind, root, ns string
		packages       any
	}{{"primary", "metadata", "common", primary}, {"filelists", "filelists", "filelists", filelists}, {"other", "otherdata", "other", other}} {
		doc := document{XMLName: xml.Name{Local: part.root}, NS: namespace + part.ns, Count: len(packages), Packages: part.packages}
		if part.kind == "primary" {
			doc.RPM = namespace + "rpm"
		}
		open, err := encode(doc)
		if err != nil {
			return err
		}
		var zipped bytes.Buffer
		zip := gzip.NewWriter(&zipped)
		if _, err := zip.Write(open); err != nil {
			return err
		}
		if err := zip.Close(); err != nil {
			return err
		}
		data, err := writeData(dir, part.kind, part.kind+".xml.gz", zipped.Bytes())
		if err != nil {
			return err
		}
		data.OpenChecksum, data.OpenSize = &checksumXML{Type: "sha256", Value: sum(open)}, len(open)
		index.Data = append(index.Data, data)
	}
	for _, name := range modules {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		data, err := writeData(dir, "modules", name, content)
		if err != nil {
			return err
		}
		index.Data = append(index.Data, data)
	}
	text, err := encode(index)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "repodata", "repomd.xml"), text, 0o644)
}

func writeData(dir, kind, name string, content []byte) (dataXML, error) {
	at := "repodata/" + sum(content) + "-" + name
	return dataXML{
		Type: kind, Checksum: checksumXML{Type: "sha256", Value: sum(content)}, Location: location{Href: at}, Size: len(content),
	}, os.WriteFile(filepath.Join(dir, filepath.FromSlash(at)), content, 0o644)
}

func encode(doc any) ([]byte, error) {
	text, err := xml.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("writing a repository's metadata: %w", err)
	}
	return append([]byte(xml.Header), text...), nil
}

func sum(content []byte) string {
	digest := sha256.Sum256(content)
	return hex.EncodeToString(digest[:])
}
