package clairscan

import (
	"strconv"
	"strings"
	"time"

	"github.com/package-url/packageurl-go"

	"github.com/headrace-ci/headrace/pkg/sbom"
	"github.com/headrace-ci/headrace/pkg/vuln"
)

// reportType is the media type that policies look for.
const reportType = "application/vnd.redhat.clair-report+json"

// updater is what a report says its findings come from.
const updater = "osv"

// report is a report of vulnerabilities in the form of Clair: packages and
// vulnerabilities by ID, and which package has which.
type report struct {
	ManifestHash           string                   `json:"manifest_hash"`
	Packages               map[string]pkg           `json:"packages"`
	Distributions          map[string]any           `json:"distributions"`
	Repository             map[string]any           `json:"repository"`
	Environments           map[string][]environment `json:"environments"`
	Vulnerabilities        map[string]vulnerability `json:"vulnerabilities"`
	PackageVulnerabilities map[string][]string      `json:"package_vulnerabilities"`
	Enrichments            map[string]any           `json:"enrichments"`
}

type pkg struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Version string `json:"version"`
	Kind    string `json:"kind"`
	PURL    string `json:"purl"`
	Source  *pkg   `json:"source,omitempty"`
}

type environment struct {
	PackageDB string `json:"package_db"`
}

type vulnerability struct {
	ID                 string `json:"id"`
	Updater            string `json:"updater"`
	Name               string `json:"name"`
	Description        string `json:"description"`
	Issued             string `json:"issued"` // RFC 3339
	Links              string `json:"links"`
	Severity           string `json:"severity"`
	NormalizedSeverity string `json:"normalized_severity"`
	Package            pkg    `json:"package"`
	FixedInVersion     string `json:"fixed_in_version"`
}

// newReport lists an image's packages and what is known of them.
func newReport(digest string, found []sbom.Package, known *vuln.Scan) report {
	r := report{
		ManifestHash: digest, Packages: map[string]pkg{}, Distributions: map[string]any{}, Repository: map[string]any{},
		Environments: map[string][]environment{}, Vulnerabilities: map[string]vulnerability{},
		PackageVulnerabilities: map[string][]string{}, Enrichments: map[string]any{},
	}
	for i, p := range found {
		id := strconv.Itoa(i + 1)
		described := pkg{ID: id, Name: p.Name, Version: p.Version, Kind: "binary", PURL: p.PURL}
		if p.Source != "" {
			described.Source = &pkg{Name: p.Source, Version: p.SourceVersion, Kind: "source"}
		}
		r.Packages[id] = described
		r.Environments[id] = []environment{{PackageDB: p.Location}}
		for _, m := range known.Of(p.PURL) {
			vid := strconv.Itoa(len(r.Vulnerabilities) + 1)
			r.Vulnerabilities[vid] = vulnerability{
				ID: vid, Updater: updater + "/" + m.ID, Name: m.Name, Description: m.Summary, Issued: m.Issued.UTC().Format(time.RFC3339),
				Links: strings.Join(m.Links, " "), Severity: string(m.Severity), NormalizedSeverity: string(m.Severity),
				Package: described, FixedInVersion: m.Fixed,
			}
			r.PackageVulnerabilities[id] = append(r.PackageVulnerabilities[id], vid)
		}
	}
	return r
}

// counts are numbers of vulnerabilities by severity, those with a fix apart.
type counts struct {
	Fixable   map[string]int `json:"vulnerabilities"`
	Unpatched map[string]int `json:"unpatched_vulnerabilities"`
}

func newCounts() *counts {
	none := func() map[string]int {
		return map[string]int{"critical": 0, "high": 0, "medium": 0, "low": 0, "unknown": 0}
	}
	return &counts{none(), none()}
}

func (c *counts) add(r report) {
	for _, v := range r.Vulnerabilities {
		severity := strings.ToLower(v.NormalizedSeverity)
		if v.NormalizedSeverity == string(vuln.Negligible) {
			severity = "low"
		}
		if v.FixedInVersion != "" {
			c.Fixable[severity]++
		} else {
			c.Unpatched[severity]++
		}
	}
}

func (c *counts) total() int {
	sum := 0
	for _, numbers := range []map[string]int{c.Fixable, c.Unpatched} {
		for _, n := range numbers {
			sum += n
		}
	}
	return sum
}

// String is the value of SCAN_OUTPUT. Before all is scanned it has no number:
// none would say that nothing was found.
func (c *counts) String() string {
	if c == nil {
		return compact(counts{map[string]int{}, map[string]int{}})
	}
	return compact(c)
}

// nameOf is the name in a package URL.
func nameOf(purl string) string {
	p, err := packageurl.FromString(purl)
	if err != nil {
		return purl
	}
	if p.Namespace != "" {
		return p.Namespace + "/" + p.Name
	}
	return p.Name
}

// versionOf is the version in a package URL.
func versionOf(purl string) string {
	p, err := packageurl.FromString(purl)
	if err != nil {
		return ""
	}
	return p.Version
}
